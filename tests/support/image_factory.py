"""Images made from a dict of files, without wheels, for the tests of the runtime and the carriers."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bundler.images.launch import launch_files
from bundler.images.oci_image import Image, assemble
from bundler.layers.packing import BuiltLayer, Packer
from bundler.runtime.indexes import DECODER_PATH, Distribution, directories_of
from bundler.runtime.targets import Target, this_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_layer(directory: Path, name: str, files: Mapping[str, bytes], *, frame_size: int = 1 << 16) -> BuiltLayer:
    """Pack *files*; names that start with ``bin/`` are executable."""
    directory.mkdir(parents=True, exist_ok=True)
    blob = directory / f"{name}.blob"
    with blob.open("wb") as out, ThreadPoolExecutor(2) as executor:
        packer = Packer(out, level=3, frame_size=frame_size, executor=executor, ahead=2)
        packer.add_directories(directories_of(files))
        for path, data in sorted(files.items()):
            packer.add(
                path,
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                executable=path.startswith("bin/"),
                chunks=[data],
            )
        packed = packer.finish()
    distribution = Distribution(
        name=name,
        version="1.0",
        wheel=f"{name}-1.0-py3-none-any.whl",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        layer=0,
        size=sum(map(len, files.values())),
        requires=(),
    )
    return BuiltLayer(
        name=name,
        packed=packed,
        owners=(0,) * len(files),
        distributions=(distribution,),
        console_scripts={},
        allowances=(),
        blob=blob,
        cached=False,
    )


def make_image(
    directory: Path,
    *layers: Mapping[str, bytes],
    target: Target | None = None,
    libc_version: str | None = None,
    decoder: bytes | None = None,
    frame_size: int = 1 << 16,
    serial: int = 0,
) -> Image:
    """Make an image of *layers* for *target* (default: this interpreter)."""
    target = target or this_target()
    documents = {".bundle/pylock.toml": b"# a lock\n"}
    if decoder is not None:
        documents[DECODER_PATH] = decoder
    documents.update(launch_files(None))
    return assemble(
        tuple(make_layer(directory, f"layer{n}", files, frame_size=frame_size) for n, files in enumerate(layers)),
        target=target,
        libc_version=libc_version or target.libc_version,
        bytecode=None,
        documents=documents,
        serial=serial,
    )
