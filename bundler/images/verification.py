"""An artifact → every fault in it: those that the runtime finds, and those that only readers of its tars would."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from bundler.archives.tar_reader import faults_of_layer
from bundler.runtime import verifying
from bundler.runtime.carriers import open_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.documents import TREE_PATH, File
from bundler.runtime.errors import ContentError, Faults
from bundler.runtime.images import load_image
from bundler.runtime.indexes import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.runtime.carriers import Carrier
    from bundler.runtime.documents import Descriptor
    from bundler.runtime.images import Image
    from bundler.runtime.zstd import Decoder

__all__ = ["verify"]


def verify(path: str, demands: Demands = Demands(), *, decode: Decoder, jobs: int = 0) -> verifying.Verdict:  # noqa: B008
    """Verify the artifact at *path* as the runtime does, and that its tars hold what its index says (rule C21).

    Raise ``Faults`` with all faults, or the ``BundleError`` that stopped the work.
    """
    verdict = verifying.verify(path, demands, decode=decode, jobs=jobs)
    if verdict.carrier != "tree":
        with open_carrier(path) as carrier:
            image = load_image(carrier, verdict.image.digest)
            faults = _faults_of_tars(image, carrier, decode)
        if faults:
            raise Faults(path, faults)
    return verdict


def _faults_of_tars(image: Image, carrier: Carrier, decode: Decoder) -> list[ContentError]:
    files = {file.path: file for file in image.tree.files}
    faults = []
    for descriptor, layer in zip(
        image.manifest.layers, (_layer_0(image, carrier), *image.tree.layers, image.tree.launch), strict=True
    ):
        data = _decode_frames(carrier, descriptor, decode) if descriptor.frames else [_inflate(carrier, descriptor)]
        faults += faults_of_layer(data, layer, files, carrier.blob(descriptor.digest).where)
    return faults


def _layer_0(image: Image, carrier: Carrier) -> Layer:
    """Describe layer 0, which holds the index itself besides the documents that the index lists."""
    config = image.config
    tree = File(TREE_PATH, config.tree_size, config.tree_digest[7:], executable=False, offset=config.tree_offset)
    size = len(_inflate(carrier, image.manifest.layers[0]))
    return Layer(config.diff_ids[0], size, (*image.tree.documents, tree))


def _inflate(carrier: Carrier, descriptor: Descriptor) -> bytes:
    return zlib.decompress(carrier.blob(descriptor.digest).read(0, descriptor.size), 16 + zlib.MAX_WBITS)


def _decode_frames(carrier: Carrier, descriptor: Descriptor, decode: Decoder) -> Iterator[bytes]:
    blob = carrier.blob(descriptor.digest)
    at = 0
    for frame in descriptor.frames:
        yield decode(blob.read(at, frame.size), frame.raw)
        at += frame.size
