"""An artifact → every fault in it, in one run.

* The chain of documents is checked first: without it nothing else has a meaning.
* Then the files that start the bundle are compared with the image's own copy of them, and what refers to the image
  with its digests.
* Then every blob is hashed, and every frame decoded and every file in it hashed where this interpreter can.
* Nothing is written and nothing of the bundle is executed but its decoder, after its digest was checked.
"""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .carriers import TREE_MANIFEST, Carrier, member_of, open_carrier
from .demands import Demands
from .documents import Descriptor, File, digest_of
from .errors import ContentError, Faults
from .frames import in_parallel, processors, read_layers
from .images import Image, load_image
from .trees import faults_of_tree
from .zstd import Decoder, find_decoder

MAX_LEFT_OVER = 64 << 10
_CHUNK = 1 << 20


class Verdict(NamedTuple):
    """What was verified: *trust* is ``verified`` with an expected digest or a key, else only ``self-consistent``.

    *signed_by* is the fingerprint of the key whose signature was asked for, and is valid.
    """

    image: Image
    carrier: str
    trust: str
    files: int
    decoder: str
    signed_by: Optional[str] = None

    def to_json(self) -> Dict[str, Any]:
        """Return the verdict for ``--json`` and ``--report``."""
        return {
            "trust": self.trust,
            "digest": self.image.digest,
            "tree_digest": self.image.config.tree_digest,
            "carrier": self.carrier,
            "files": self.files,
            "decoder": self.decoder,
            "signed_by": self.signed_by,
            "serial": self.image.config.serial or None,
        }


def verify(
    path: str,
    demands: Demands = Demands(),  # noqa: B008 - it is a tuple
    *,
    decode: Optional[Decoder] = None,
    jobs: int = 0,
) -> Verdict:
    """Verify the artifact at *path* against itself and against *demands*.

    Raise ``Faults`` with all faults, or the ``BundleError`` that stopped the work. *decode* is a decoder to use
    instead of looking for one; without any, the files inside the blobs are covered by the blobs' digests only.
    """
    with open_carrier(path) as carrier:
        image = load_image(carrier, demands.expect)
        signed_by = demands.check(carrier, image.digest, image.config)
        faults = carrier.faults()
        source = "none"
        if carrier.kind == "tree":
            faults += faults_of_tree(image, carrier.path, jobs)
        else:
            beside, faults_beside = _referrers(image, carrier)
            faults += _faults_of_members(image, carrier, beside) + faults_beside
            faults += _faults_of_blobs(image, carrier, jobs or processors())
            source = "given"
            if decode is None:
                decode, source = find_decoder(image.decoder())
            if decode is not None:
                # A bad blob was named above; its frames say which files are hit.
                try:
                    faults += read_layers(image, carrier, decode, _Nowhere, jobs)
                except ContentError as fault:
                    faults += [] if faults else [fault]
        if faults:
            raise Faults(carrier.path, faults)
        trust = "verified" if demands.expect or signed_by else "self-consistent"
        return Verdict(image, carrier.kind, trust, len(image.tree.files) + 1, source, signed_by)


class _Nowhere:
    """A sink for files that are only hashed."""

    def __init__(self, _: File) -> None:
        pass

    def write(self, _: Any) -> None:  # noqa: ANN401 - bytes-like
        pass

    def close(self) -> None:
        pass


def _referrers(image: Image, carrier: Carrier) -> Tuple[List[str], List[ContentError]]:
    """Return the digests of all blobs that refer to the image, and what is wrong with them."""
    listed = carrier.listed()
    size = len(image.documents[TREE_MANIFEST])
    faults = []
    if listed[0][1].size != size:
        where, got = f"{carrier.path}: index.json", listed[0][1].size
        faults.append(ContentError(where, "says another size of the manifest", got=got, want=size, rule="B16"))
    digests = []
    for artifact_type, descriptor in listed[1:]:
        from .referrers import read_referrer

        digests.append(descriptor.digest)
        try:
            referrer = read_referrer(carrier, artifact_type, descriptor, image.digest)
            for blob in (referrer.config, *referrer.layers):
                digests.append(blob.digest)
                _hash_blob(carrier, blob)
        except ContentError as fault:
            faults.append(fault)
    return digests, faults


def _faults_of_members(image: Image, carrier: Carrier, beside: List[str]) -> List[ContentError]:
    """Compare what starts the bundle with the image's own copy of it, and find what does not belong there.

    A ``.pyc`` may be missing, as uploads drop them. *beside* has the digests of further blobs that belong there.
    """
    promised = {member_of(path, carrier.kind): data for path, data in image.documents.items()}
    blobs = [image.digest, image.manifest.config.digest, *(layer.digest for layer in image.manifest.layers), *beside]
    known = {"index.json", "oci-layout", *("blobs/sha256/" + digest[7:] for digest in blobs)}
    names = set(carrier.names())
    faults = [
        ContentError(f"{carrier.path}: {name}", "is extra: the bundle has no such file", rule="C24")
        for name in sorted(names - known - set(promised))
        if not _is_left_over(carrier, name)
    ]
    for name, data in sorted(promised.items()):
        if name and not (name.endswith(".pyc") and name not in names):
            try:
                member = carrier.member(name)
                if member.size != len(data) or member.read(0, member.size) != data:
                    what = "differs from the image's own copy of it"
                    faults.append(ContentError(member.where, what, want=digest_of(data), rule="C19"))
            except ContentError as fault:
                faults.append(fault)
    return faults


def _is_left_over(carrier: Carrier, name: str) -> bool:
    """Tell whether *name* is a small blob that nothing refers to, as a ``bundle sign`` that was killed leaves it."""
    try:
        member = carrier.member(name)
        data = member.read(0, member.size) if member.size <= MAX_LEFT_OVER else b""
    except ContentError:
        return False
    return name == "blobs/sha256/" + digest_of(data)[7:]


def _faults_of_blobs(image: Image, carrier: Carrier, jobs: int) -> List[ContentError]:
    """Hash every layer as a whole; the first and the last were read with the documents."""
    todo = iter(list(image.manifest.layers[1:-1]))
    faults: List[ContentError] = []

    def work(errors: List[BaseException]) -> None:
        for layer in iter(lambda: None if errors else next(todo, None), None):
            try:
                _hash_blob(carrier, layer)
            except ContentError as fault:
                faults.append(fault)

    in_parallel(work, jobs)
    return sorted(faults, key=lambda fault: fault.where)


def _hash_blob(carrier: Carrier, layer: Descriptor) -> None:
    member = carrier.blob(layer.digest)
    if member.size != layer.size:
        raise ContentError(member.where, "has the wrong size", got=f"{member.size} bytes", want=layer.size, rule="C19")
    hasher = hashlib.sha256()
    for offset in range(0, layer.size, _CHUNK):
        hasher.update(member.read(offset, min(_CHUNK, layer.size - offset)))
    if hasher.hexdigest() != layer.digest[7:]:
        got = f"sha256:{hasher.hexdigest()}"
        raise ContentError(member.where, "is not what its name promises", got=got, want=layer.digest, rule="C19")
