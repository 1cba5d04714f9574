"""A carrier → what was put beside its image later: signatures, and whatever else refers to it.

* In a ``.pyz`` or packed directory these are OCI referrers: manifests that name the image as their ``subject`` and are
  listed in ``index.json`` behind it. Those of unknown types are checked like the others, and left alone.
* In a tree they are files in ``.bundle/signatures/``, named by the sha256 of their bytes.
* The image's digest does not cover them, so nothing in them is believed: a signature counts for what it proves.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, List, NamedTuple, Tuple

from .carriers import Carrier, Directory
from .documents import MANIFEST_TYPE, Descriptor, Fields, digest_of, parse_digest, parse_json
from .errors import ContentError
from .images import read_verified
from .indexes import SIGNATURES
from .signatures import BUNDLE_TYPE, MAX_SIGNATURE, parse_signature

EMPTY = Descriptor("application/vnd.oci.empty.v1+json", digest_of(b"{}"), 2)
MAX_SIGNATURES = 16
_SUFFIX = ".json"


class Referrer(NamedTuple):
    """The manifest of something that refers to an image."""

    artifact_type: str
    config: Descriptor
    layers: Tuple[Descriptor, ...]
    subject: Descriptor
    annotations: Dict[str, str]

    @classmethod
    def parse(cls, data: bytes, where: str) -> Referrer:
        """Validate the bytes of a manifest."""
        fields = Fields(parse_json(data, where), where)
        if fields.get("schemaVersion", int) != 2 or fields.get("mediaType", str) != MANIFEST_TYPE:  # noqa: PLR2004
            raise ContentError(where, "is not an OCI image manifest", want=MANIFEST_TYPE, rule="B16")
        return cls(
            fields.get("artifactType", str),
            Descriptor.from_fields(Fields(fields.value.get("config"), fields.at("config"))),
            tuple(Descriptor.from_fields(layer) for layer in fields.items("layers")),
            Descriptor.from_fields(Fields(fields.value.get("subject"), fields.at("subject"))),
            fields.get("annotations", dict) if "annotations" in fields.value else {},
        )

    def to_json(self) -> Dict[str, Any]:
        """Return the document."""
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": self.artifact_type,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
            "subject": self.subject.to_json(),
            "annotations": self.annotations,
        }


def read_referrer(carrier: Carrier, artifact_type: str, descriptor: Descriptor, digest: str) -> Referrer:
    """Return a referrer that ``index.json`` of *carrier* lists, if it is what is said there and refers to *digest*."""
    member = carrier.blob(descriptor.digest)
    referrer = Referrer.parse(read_verified(member, descriptor.digest, descriptor.size), member.where)
    if referrer.subject.digest != digest:
        got = referrer.subject.digest
        raise ContentError(member.where, "refers to another image", got=got, want=digest, rule="B16")
    if referrer.artifact_type != artifact_type:
        got, want = referrer.artifact_type[:80], artifact_type[:80]
        raise ContentError(member.where, "is of another type than index.json says", got=got, want=want, rule="B16")
    return referrer


def signatures(carrier: Carrier) -> List[Tuple[str, bytes]]:
    """Return the signatures in *carrier*: where each lies, and its bytes, which are what their digest promised."""
    if carrier.kind == "tree":
        return [(f"{carrier.path}: {name}", _read_file(carrier, name)) for name in _files(carrier.path)]
    listed = carrier.listed()
    digest = listed[0][1].digest
    found = []
    for artifact_type, descriptor in listed[1:]:
        if artifact_type == BUNDLE_TYPE:
            where = carrier.blob(descriptor.digest).where
            layers = read_referrer(carrier, artifact_type, descriptor, digest).layers
            if [layer.media_type for layer in layers] != [BUNDLE_TYPE] or layers[0].size > MAX_SIGNATURE:
                raise ContentError(where, "does not hold one signature", want=BUNDLE_TYPE, rule="B18")
            member = carrier.blob(layers[0].digest)
            found.append((member.where, read_verified(member, layers[0].digest, layers[0].size)))
    if len(found) > MAX_SIGNATURES:
        raise _too_many(carrier.path, len(found))
    return found


def faults_of_signatures(root: str, digest: str) -> Dict[str, ContentError]:
    """Return what in ``.bundle/signatures`` of the tree at *root* is no signature of *digest* (rule C24), by path."""
    faults = {}
    try:
        names = _files(root)
    except ContentError as fault:
        return {SIGNATURES: fault}
    with Directory(root, "tree") as tree:
        for name in names:
            try:
                parse_signature(_read_file(tree, name), digest, name)
            except ContentError as fault:
                faults[name] = ContentError(name, f"is no signature of this bundle: {fault.fault}", rule="C24")
    return faults


def copy_signatures(carrier: Carrier, digest: str, root: str) -> None:
    """Write the signatures of *digest* in *carrier* into the tree at *root*; leave out what is no signature of it."""
    directory = os.path.join(root, SIGNATURES)
    os.mkdir(directory)
    for where, data in carrier.signatures():
        try:
            parse_signature(data, digest, where)
        except ContentError:
            continue
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(os.path.join(root, file_name(data)), flags, 0o444)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)


def file_name(data: bytes) -> str:
    """Return the path, in a tree, of the signature *data*."""
    return f"{SIGNATURES}/{digest_of(data)[7:]}{_SUFFIX}"


def _files(root: str) -> List[str]:
    """Return the paths of all that lies in ``.bundle/signatures``, which need not be there."""
    directory = os.path.join(root, SIGNATURES)
    try:
        if not stat.S_ISDIR(os.lstat(directory).st_mode):
            raise ContentError(SIGNATURES, "is not a directory", rule="C24")
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ContentError(SIGNATURES, f"cannot be read: {error.strerror}", rule="C24") from error
    if len(names) > MAX_SIGNATURES:
        raise _too_many(SIGNATURES, len(names))
    return [f"{SIGNATURES}/{name}" for name in sorted(names)]


def _read_file(tree: Carrier, name: str) -> bytes:
    """Return the bytes of the signature *name*, a regular file that is named by them."""
    stem = name[len(SIGNATURES) + 1 :]
    if not stem.endswith(_SUFFIX):
        raise ContentError(name, "is extra: the bundle has no such file", rule="C24")
    digest = parse_digest("sha256:" + stem[: -len(_SUFFIX)], name)
    member = tree.member(name)
    if os.fstat(member.fd).st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise ContentError(name, "has a set-id bit", rule="C24")
    return read_verified(member, digest, min(member.size, MAX_SIGNATURE))


def _too_many(where: str, got: int) -> ContentError:
    return ContentError(where, "has too many signatures", got=got, want=f"at most {MAX_SIGNATURES}", rule="B18")
