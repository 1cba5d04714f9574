"""What lies in a store: blobs named by their digest, and the manifests that name other blobs.

* A descriptor is checked where it is parsed; a manifest is read strictly, but fields that a bundle does not have are
  let through: signatures are other people's documents.
* Bytes are hashed as they pass, and the last of them are withheld until size and digest are right (rule C19): a
  reader that gets all of them has the right ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundler.runtime.documents import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_DOCUMENT,
    Fields,
    digest_of,
    parse_digest,
    parse_json,
)
from bundler.runtime.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHUNK = 1 << 20
# Gives the bytes of one blob from an offset on.
Reader = Callable[[int], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """An OCI descriptor: what is known of a blob without reading it. *size* is in bytes."""

    digest: str
    size: int
    media_type: str
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Blob:
        """Describe *data*."""
        return cls(digest=digest_of(data), size=len(data), media_type=media_type)

    @classmethod
    def from_fields(cls, fields: Fields) -> Blob:
        """Validate a descriptor (rule B16)."""
        if "urls" in fields.value:
            raise ContentError(fields.at("urls"), "is refused: a blob is named by its digest only", rule="B16")
        artifact_type = fields.value.get("artifactType")
        annotations = fields.value.get("annotations") or {}
        if artifact_type is not None and not isinstance(artifact_type, str):
            raise ContentError(fields.at("artifactType"), "is not text", rule="B15")
        if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
            raise ContentError(fields.at("annotations"), "are not texts", rule="B15")
        return cls(
            digest=fields.digest("digest"),
            size=fields.size("size"),
            media_type=fields.get("mediaType", str),
            artifact_type=artifact_type,
            annotations=annotations,
        )

    @property
    def hex(self) -> str:
        """The sha256 as 64 hex digits."""
        return self.digest.removeprefix("sha256:")

    @property
    def is_manifest(self) -> bool:
        """Whether registries keep it among the manifests."""
        return self.media_type in (MANIFEST_TYPE, INDEX_TYPE)

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor."""
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type is not None:
            value["artifactType"] = self.artifact_type
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What a manifest names: its config and layers, and the digest of the image that it is about, if any."""

    blobs: tuple[Blob, ...]
    subject: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


def read_links(data: bytes, where: str) -> Links:
    """Return what the image manifest *data* names; raise ``ContentError`` if it is none."""
    fields = Fields(parse_json(data, where), where)
    if fields.value.get("mediaType", MANIFEST_TYPE) != MANIFEST_TYPE or "manifests" in fields.value:
        got = fields.value.get("mediaType")
        raise ContentError(where, "is not an image manifest", got=got, want=MANIFEST_TYPE, rule="B16")
    config = Blob.from_fields(Fields(fields.value.get("config"), fields.at("config")))
    layers = tuple(Blob.from_fields(item) for item in fields.items("layers"))
    subject = None
    if fields.value.get("subject") is not None:
        subject = Fields(fields.value["subject"], fields.at("subject")).digest("digest")
    artifact_type = fields.value.get("artifactType")
    annotations = fields.value.get("annotations") or {}
    return Links(
        blobs=tuple({blob.digest: blob for blob in (config, *layers)}.values()),
        subject=subject,
        # "If artifactType is empty or missing …, it MUST be set to the config descriptor mediaType value."
        artifact_type=artifact_type if isinstance(artifact_type, str) and artifact_type else config.media_type,
        annotations={key: text for key, text in annotations.items() if isinstance(text, str)},
    )


def verified_chunks(
    blob: Blob,
    chunks: Iterable[bytes],
    where: str,
    known: Any = None,  # noqa: ANN401 - hashlib's
    size: int = 0,
) -> Iterator[bytes]:
    """Yield *chunks*, the last of them only if they are the bytes of *blob*.

    *known* is a sha256 of the first *size* bytes, where those are known already.
    """
    digest = known or hashlib.sha256()
    last = b""
    for chunk in chunks:
        size += len(chunk)
        if size > blob.size:
            raise wrong_blob(blob, where, f"{size} bytes or more", f"{blob.size} bytes")
        digest.update(chunk)
        if last:
            yield last
        last = chunk
    if size != blob.size:
        raise wrong_blob(blob, where, f"{size} bytes", f"{blob.size} bytes")
    if (got := "sha256:" + digest.hexdigest()) != blob.digest:
        raise wrong_blob(blob, where, got, blob.digest)
    if last:
        yield last


def wrong_blob(blob: Blob, where: str, got: str, want: str) -> ContentError:
    """Return the error for bytes at *where* that are not those of *blob*."""
    hint = "the store or the way to it has damaged it: push the bundle again from where it was made"
    where = f"{where}: {blob.digest}"
    return ContentError(where, "is not what was promised", got=got, want=want, hint=hint, rule="C19")


def check_document(blob: Blob, where: str) -> None:
    """Refuse a manifest or config that is too large to be one."""
    if blob.size > MAX_DOCUMENT:
        got, want = f"{blob.size} bytes", f"at most {MAX_DOCUMENT}"
        raise ContentError(f"{where}: {blob.digest}", "is too large for a document", got=got, want=want, rule="B15")


def is_digest(text: str) -> bool:
    """Tell whether *text* is a digest."""
    try:
        parse_digest(text, "")
    except ContentError:
        return False
    return True
