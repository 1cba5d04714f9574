"""Layers and documents → an OCI image: the blobs that every carrier holds, under their digests.

* Layer 0 is a gzipped tar of the documents of this bundle, ``tree.json`` last. The last layer is the same in every
  bundle for the target, so that it travels once: the decoder, and the files that make a tree mount itself.
* The image config is a real one, so that registries and container engines take the image as it is.
* Everything follows from the arguments: the same layers and documents give the same bytes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from bundler.archives.tar_writer import END, padding, tar_header
from bundler.layers.conflicts import Conflicts
from bundler.runtime.documents import (
    CONFIG_TYPE,
    GZIP_LAYER_TYPE,
    TREE_PATH,
    Config,
    Descriptor,
    File,
    Manifest,
    digest_of,
    to_json,
)
from bundler.runtime.indexes import DECODER_PATH, LAUNCH_PATHS, Index, Layer, directories_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.layers.conflicts import Owner
    from bundler.layers.packing import BuiltLayer
    from bundler.runtime.targets import Target

# OCI names architectures as Go does.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A complete image.

    *documents* are the bundle's own files but ``tree.json``; *blobs* maps digests to bytes or to the file that holds
    them; *crcs* has the CRC-32 of each of those files.
    """

    digest: str
    tree_digest: str
    tree: Index
    manifest: Manifest
    documents: Mapping[str, bytes]
    blobs: Mapping[str, bytes | Path]
    crcs: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        described = [self.manifest.config, *self.manifest.layers]
        return len(to_json(self.manifest.to_json())) + sum(descriptor.size for descriptor in described)


def assemble(
    layers: tuple[BuiltLayer, ...],
    *,
    target: Target,
    libc_version: str,
    bytecode: str | None,
    documents: Mapping[str, bytes],
    sources: Mapping[str, str] | None = None,
    serial: int = 0,
) -> Image:
    """Join *layers* to an image; *documents* maps paths of the bundle's own files to their bytes.

    *sources* says, by the name of a distribution, what its wheel was made of; others were published.
    """
    made = sources or {}
    alike = {path: data for path, data in documents.items() if path.startswith((DECODER_PATH, *LAUNCH_PATHS))}
    tar, listed = _tar_of_documents({path: data for path, data in documents.items() if path not in alike}, TREE_PATH)
    launch_tar, launched = _tar_of_documents(alike)
    launch = Layer(digest_of(launch_tar + END), len(launch_tar + END), launched)
    launch_blob = _gzip(launch_tar + END)
    index = Index(
        target=target,
        libc_version=libc_version,
        bytecode=bytecode,
        distributions=tuple(
            sorted(
                (
                    item._replace(layer=n, source=made.get(item.name, ""))
                    for n, layer in enumerate(layers, 1)
                    for item in layer.distributions
                ),
                key=lambda item: item.name,
            )
        ),
        console_scripts=dict(sorted(pair for layer in layers for pair in layer.console_scripts.items())),
        allowances=tuple(sorted({item for layer in layers for item in layer.allowances})),
        layers=_merge_layers(layers),
        documents=listed,
        launch=launch,
    )
    tree = index.to_bytes()
    index = Index.parse(tree)  # our own reader has to accept it
    tar += tar_header(TREE_PATH, len(tree))
    tree_offset = len(tar)
    layer_0 = tar + tree + padding(len(tree)) + END
    blob_0 = _gzip(layer_0)
    first, last = (Descriptor(GZIP_LAYER_TYPE, digest_of(blob), len(blob)) for blob in (blob_0, launch_blob))
    config = to_json(
        Config(
            arch=_ARCHITECTURES[target.arch],
            diff_ids=(digest_of(layer_0), *(layer.packed.diff_id for layer in layers), launch.diff_id),
            tree_digest=digest_of(tree),
            tree_offset=tree_offset,
            tree_size=len(tree),
            serial=serial,
        ).to_json()
    )
    manifest = Manifest(
        Descriptor(CONFIG_TYPE, digest_of(config), len(config)),
        (first, *(layer.packed.descriptor for layer in layers), last),
    )
    manifest_bytes = to_json(manifest.to_json())
    blobs: dict[str, bytes | Path] = {
        digest_of(manifest_bytes): manifest_bytes,
        digest_of(config): config,
        first.digest: blob_0,
        last.digest: launch_blob,
    }
    blobs.update((layer.packed.descriptor.digest, layer.blob) for layer in layers)
    return Image(
        digest=digest_of(manifest_bytes),
        tree_digest=digest_of(tree),
        tree=index,
        manifest=manifest,
        documents=documents,
        blobs=blobs,
        crcs={layer.packed.descriptor.digest: layer.packed.crc for layer in layers},
    )


def _tar_of_documents(documents: Mapping[str, bytes], *more: str) -> tuple[bytes, tuple[File, ...]]:
    """Return a tar of *documents*, with directories for *more* and without its end; and where each file lies in it."""
    tar = b"".join(tar_header(path, directory=True) for path in directories_of([*documents, *more]))
    files = []
    for path, data in sorted(documents.items()):
        tar += tar_header(path, len(data))
        files.append(File(path, len(data), sha256(data).hexdigest(), executable=False, offset=len(tar)))
        tar += data + padding(len(data))
    return tar, tuple(files)


def _merge_layers(layers: tuple[BuiltLayer, ...]) -> tuple[Layer, ...]:
    """Return the layers for the index: a path that two wheels have belongs to the first, if its bytes are the same.

    Raise ``ContentError`` if they differ (rule A14).
    """
    conflicts = Conflicts()
    first: dict[str, tuple[File, Owner]] = {}
    merged = []
    for layer in layers:
        files = []
        for file, owner in layer.files():
            other, its_owner = first.setdefault(file.path.casefold(), (file, owner))
            if other is file:
                files.append(file)
            elif file.path == other.path and file.path.endswith(".pyc"):
                pass  # of the same source: that was compared. Its bytes depend on what was compiled beside it.
            elif (other.path, other.sha256, other.executable) != (file.path, file.sha256, file.executable):
                conflicts.add(file.path, its_owner, owner)
        merged.append(Layer(layer.packed.diff_id, layer.packed.size, tuple(files)))
    conflicts.check()
    return tuple(merged)


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # a header without time stamp and name
    return compressor.compress(data) + compressor.flush()
