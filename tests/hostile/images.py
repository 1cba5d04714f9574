"""Bundles that contradict themselves, with right digests all the way: whoever made them computed these anew.

``pack`` writes a packed directory of one layer. Each part can be changed before the digest above it is made.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import zstandard

from bundler.archives.tar_writer import END, padding, tar_header
from bundler.images.oci_image import _gzip, _tar_of_documents
from bundler.runtime.carriers import LAYOUT
from bundler.runtime.documents import (
    CONFIG_TYPE,
    FRAMES,
    GZIP_LAYER_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    TREE_PATH,
    ZSTD_LAYER_TYPE,
    Config,
    digest_of,
    to_json,
)
from bundler.runtime.targets import this_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Change = "Callable[[Any], Any]"


class Listed(NamedTuple):
    """A file of the tar that the index lists: *header* and *behind* take the place of what belongs there."""

    path: str
    data: bytes
    header: bytes | None = None
    behind: bytes | None = None
    executable: bool = False


DIRECTORY = tar_header("site-packages", directory=True)
A, B = Listed("site-packages/a.py", b"a = 1\n"), Listed("site-packages/b.py", b"b = 2\n")
PLAIN = (DIRECTORY, A, B, END)


def tar_of(pieces: tuple[bytes | Listed, ...]) -> tuple[bytes, list[list[Any]]]:
    """Join *pieces* to a tar; return it and the files as the index lists them."""
    tar, files = b"", []
    for piece in pieces:
        if isinstance(piece, bytes):
            tar += piece
            continue
        path, data, header, behind, executable = piece
        tar += tar_header(path, len(data), executable=executable) if header is None else header
        files.append([path, len(data), hashlib.sha256(data).hexdigest(), executable, len(tar)])
        tar += data + (padding(len(data)) if behind is None else behind)
    return tar, files


def compress(data: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**{"write_checksum": True, **options}).compress(data)


def same(value: Any) -> Any:
    return value


def pack(
    directory: Path,
    pieces: tuple[bytes | Listed, ...] = PLAIN,
    *,
    frames: Callable[[bytes], list[tuple[int, bytes]]] = lambda tar: [(len(tar), compress(tar))],
    layer_0: Callable[[bytes], bytes] = same,
    gzip: Callable[[bytes], bytes] = same,
    tree: Callable[[Any], Any] = same,
    config: Callable[[Any], Any] = same,
    manifest: Callable[[Any], Any] = same,
    index: Callable[[Any], Any] = same,
) -> Path:
    """Write a packed directory; *frames* gives (raw size, bytes) of each frame of the tar of *pieces*."""
    tar, files = tar_of(pieces)
    cut = frames(tar)
    blob = b"".join(data for _, data in cut)
    documents = {".bundle/pylock.toml": b"# a lock\n"}
    tar_0, listed = _tar_of_documents(documents, TREE_PATH)
    launch = _gzip(END)
    target = this_target()
    tree_bytes = _bytes(
        tree(
            {
                "format": 1,
                "target": target.to_json(),
                "libc_version": target.libc_version,
                "bytecode": None,
                "distributions": [],
                "console_scripts": {},
                "allowances": [],
                "layers": [{"diff_id": digest_of(tar), "size": len(tar), "files": files}],
                "documents": [list(file) for file in listed],
                "launch": {"diff_id": digest_of(END), "size": len(END), "files": []},
            }
        )
    )
    tar_0 += tar_header(TREE_PATH, len(tree_bytes))
    offset = len(tar_0)
    tar_0 = layer_0(tar_0 + tree_bytes + padding(len(tree_bytes)) + END)
    compressed = gzip(_gzip(tar_0))
    document = Config(
        "amd64", (digest_of(tar_0), digest_of(tar), digest_of(END)), digest_of(tree_bytes), offset, len(tree_bytes)
    )
    config_bytes = _bytes(config(document.to_json()))
    annotation = " ".join(f"{raw}:{len(data)}:{hashlib.sha256(data).hexdigest()}" for raw, data in cut)
    manifest_bytes = _bytes(
        manifest(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config_bytes), "size": len(config_bytes)},
                "layers": [
                    {"mediaType": GZIP_LAYER_TYPE, "digest": digest_of(compressed), "size": len(compressed)},
                    {
                        "mediaType": ZSTD_LAYER_TYPE,
                        "digest": digest_of(blob),
                        "size": len(blob),
                        "annotations": {FRAMES: annotation},
                    },
                    {"mediaType": GZIP_LAYER_TYPE, "digest": digest_of(launch), "size": len(launch)},
                ],
            }
        )
    )
    named = {"mediaType": MANIFEST_TYPE, "digest": digest_of(manifest_bytes), "size": len(manifest_bytes)}
    index_bytes = _bytes(index({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [named]}))
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (compressed, blob, launch, config_bytes, manifest_bytes):
        (blobs / digest_of(data)[7:]).write_bytes(data)
    (directory / "oci-layout").write_bytes(LAYOUT)
    (directory / "index.json").write_bytes(index_bytes)
    return directory


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else to_json(value)


def put(*path: str | int, value: Any) -> Callable[[Any], Any]:
    """Return a change that sets what is at *path* to *value*; with an ellipsis as value, removes it."""

    def change(document: Any) -> Any:
        document = json.loads(json.dumps(document))
        at = document
        for part in path[:-1]:
            at = at[part]
        if value is ...:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return document

    return change
