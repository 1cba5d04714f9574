"""A signature → attached to the image of an existing artifact, in place.

* The image and its digest stay what they are. Blobs come first and ``index.json`` last, so that a crash in
  between leaves the old state; a ``.pyz`` and a file of a tree appear complete or not at all.
* The result depends only on what is attached: members stay as they are, blobs and referrers are sorted by digest.
* Temporary files lie beside the artifact, never in it.
"""

from __future__ import annotations

import contextlib
import secrets
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.archives.zip_writer import LIMIT, ZipWriter, zip_size
from bundler.images.carriers import index_json
from bundler.runtime.carriers import Pyz
from bundler.runtime.documents import MANIFEST_TYPE, Descriptor, digest_of, to_json
from bundler.runtime.errors import BundleError, ContentError
from bundler.runtime.referrers import EMPTY, MAX_SIGNATURES, Referrer, file_name
from bundler.runtime.signatures import BUNDLE_TYPE, PREDICATE_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.runtime.carriers import Carrier, Member

_INDEX = "index.json"
_CHUNK = 1 << 20


def attach(carrier: Carrier, signature: bytes) -> None:
    """Put *signature*, a Sigstore bundle, beside the image in *carrier*, which must be reopened afterwards.

    Raise ``BundleError`` if it cannot be written or there are too many already.
    """
    if len(carrier.signatures()) >= MAX_SIGNATURES:
        raise BundleError(carrier.path, "has too many signatures", got=MAX_SIGNATURES, want="fewer", rule="B18")
    path = Path(carrier.path)
    try:
        if carrier.kind == "tree":
            name = file_name(signature)
            path.joinpath(name).parent.mkdir(exist_ok=True)
            _place(signature, path, name, mode=0o444)
            return
        members = _members(carrier, signature)
        if isinstance(carrier, Pyz):
            _rewrite(carrier, members, path)
        else:
            for name in sorted(members):  # "blobs/…" before "index.json"
                _place(members[name], path, name)
    except OSError as error:
        raise BundleError(
            path, f"cannot be changed: {error.strerror}", hint="sign a copy in a directory that you may write to"
        ) from error


def _members(carrier: Carrier, signature: bytes) -> dict[str, bytes]:
    """Return the members that *signature* adds and changes."""
    listed = carrier.listed()
    image = listed[0][1]
    manifest = to_json(
        Referrer(
            artifact_type=BUNDLE_TYPE,
            config=EMPTY,
            layers=(Descriptor(BUNDLE_TYPE, digest_of(signature), len(signature)),),
            subject=image,
            annotations={
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": PREDICATE_TYPE,
            },
        ).to_json()
    )
    added = (BUNDLE_TYPE, Descriptor(MANIFEST_TYPE, digest_of(manifest), len(manifest)))
    referrers = sorted({*listed[1:], added}, key=lambda item: item[1].digest)
    blobs = [b"{}", signature, manifest]
    members = {f"blobs/sha256/{digest_of(blob)[7:]}": blob for blob in blobs}
    return {**members, _INDEX: index_json(image, referrers)}


def _place(data: bytes, artifact: Path, name: str, *, mode: int = 0o644) -> None:
    """Write *data* to the file *name* of *artifact*, a directory; it appears complete or not at all."""
    temporary = _temporary(artifact)
    try:
        temporary.write_bytes(data)
        temporary.chmod(mode)
        temporary.replace(artifact / name)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _rewrite(pyz: Pyz, changes: Mapping[str, bytes], path: Path) -> None:
    """Write the ``.pyz`` at *path* anew with *changes*; every other member stays byte for byte."""
    names = sorted({*pyz.names(), *changes}, key=lambda name: (name.startswith("blobs/"), name))
    sizes = [(name, len(changes[name]) if name in changes else pyz.member(name).size) for name in names]
    if zip_size(sizes) > LIMIT:
        raise BundleError(path, "would be too large for a .pyz", hint="create it with --format packed")
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            writer = ZipWriter(file)
            for name, size in sizes:
                if name in changes:
                    writer.add(name, size, zlib.crc32(changes[name]), [changes[name]])
                else:
                    writer.add(name, size, pyz.crc(name), _chunks(pyz.member(name), pyz.crc(name)))
            writer.finish()
        temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _chunks(member: Member, crc: int) -> Iterator[bytes]:
    got = 0
    for offset in range(0, member.size, _CHUNK):
        data = member.read(offset, min(_CHUNK, member.size - offset))
        got = zlib.crc32(data, got)
        yield data
    if got != crc:
        raise ContentError(member.where, "is damaged", got=f"CRC {got:08x}", want=f"{crc:08x}", rule="A6")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial-{secrets.token_hex(8)}")
