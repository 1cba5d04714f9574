"""The layers of a set, compressed in other ways: which level, frames, window and order are worth it?

The time is that of one processor. Frames are cut where they are full, not at the ends of files, which changes little.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from posixpath import splitext
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from bundler.layers.packing import WINDOW_LOG
from bundler.runtime.carriers import open_carrier
from bundler.runtime.images import load_image
from bundler.runtime.indexes import LOCK_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.runtime.documents import File

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20
ORDERS: dict[str, Callable[[File], tuple[str, ...]]] = {
    "path": lambda file: (file.path,),
    "suffix, path": lambda file: (splitext(file.path)[1], file.path),
    "suffix, name": lambda file: (splitext(file.path)[1], file.path.rpartition("/")[2], file.path),
}


class Way(NamedTuple):
    """How layers are compressed; *frame* is in MiB."""

    order: str = "suffix, path"
    level: int = 9
    frame: int = 24
    window: int | None = WINDOW_LOG
    far: bool = False


BASE = Way()
WAYS = [
    *(Way(level=level, frame=frame) for level in (3, 5, 7, 9, 12) for frame in (4, 8, 16, 24, 32)),
    *(Way(order=order, window=window) for order in ORDERS for window in (None, WINDOW_LOG)),
    Way(far=True),
    Way(level=19),
]


def contents(path: Path) -> tuple[int, list[dict[File, bytes]]]:
    """Return the bytes of the wheels of the bundle at *path*, and the files of each of its layers."""
    layers = []
    with open_carrier(str(path)) as carrier:
        image = load_image(carrier)
        packages = tomllib.loads(image.documents[LOCK_PATH].decode())["packages"]
        for descriptor, layer in zip(image.manifest.layers[1:-1], image.tree.layers, strict=True):
            blob, at, tar = carrier.blob(descriptor.digest), 0, bytearray()
            for frame in descriptor.frames:
                decoder = zstandard.ZstdDecompressor()
                tar += decoder.decompress(blob.read(at, frame.size), max_output_size=frame.raw)
                at += frame.size
            # With the header in front of each, as in the tar.
            layers.append({file: bytes(tar[file.offset - 512 : file.offset + file.size]) for file in layer.files})
    return sum(package["wheels"][0]["size"] for package in packages), layers


def compress(layers: list[dict[File, bytes]], way: Way) -> tuple[int, float, float]:
    """Return how many bytes *layers* take this *way*, and the seconds to compress and decompress them."""
    data = [b"".join(layer[file] for file in sorted(layer, key=ORDERS[way.order])) for layer in layers]
    options = {"enable_ldm": True} if way.far else {}
    if way.window:
        options["window_log"] = way.window
    size, packing, unpacking = 0, 0.0, 0.0
    for tar in data:
        for start in range(0, len(tar), way.frame * MIB):
            raw = tar[start : start + way.frame * MIB]
            parameters = zstandard.ZstdCompressionParameters.from_level(way.level, source_size=len(raw), **options)
            before = time.process_time()
            frame = zstandard.ZstdCompressor(compression_params=parameters).compress(raw)
            between = time.process_time()
            zstandard.ZstdDecompressor().decompress(frame, max_output_size=len(raw))
            size += len(frame)
            packing += between - before
            unpacking += time.process_time() - between
    return size, packing, unpacking


def twice(layers: list[dict[File, bytes]]) -> int:
    """Return the bytes of files whose contents another file has, too."""
    sizes = {file.sha256: file.size for layer in layers for file in layer}
    return sum(file.size for layer in layers for file in layer) - sum(sizes.values())


def main() -> None:
    """Measure every way, and write the table."""
    parser = argparse.ArgumentParser(prog="scripts/curve", description=__doc__)
    parser.add_argument("--set", default="sklearn")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "deps.pyz"
        requirements = ROOT / "fixtures" / "requirements" / f"{options.set}.txt"
        bundle = Path(sys.executable).with_name("bundle")
        command = [bundle, "create", "-q", "-r", requirements, "--compile", "never", "-o", path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wheels, layers = contents(path)
    raw = sum(len(data) for layer in layers for data in layer.values())
    lines = [f"# Level, frames, window, order: the layers of the {options.set} set without `.pyc`", ""]
    lines += [
        f"{wheels / 1e6:.1f} MB of wheels, {raw / 1e6:.0f} MB of layers, of which {twice(layers) / 1e6:.2f} MB are in"
    ]
    version = ".".join(map(str, zstandard.ZSTD_VERSION))
    lines[-1] += f" files that another file is equal to. zstd {version}; seconds of one processor."
    lines += ["", "| order | level | frame MiB | window | long distance | MB | × wheels | compress s | decompress s |"]
    lines += ["|---|---:|---:|---|---|---:|---:|---:|---:|"]
    for way in WAYS:
        size, packing, unpacking = compress(layers, way)
        window = f"{1 << way.window - 20} MiB" if way.window else "the level's"
        figures = f"{size / 1e6:.1f} | {size / wheels:.3f} | {packing:.1f} | {unpacking:.2f}"
        level = f"**{way.level}**" if way == BASE else way.level
        line = f"| {way.order} | {level} | {way.frame} | {window} | {'yes' if way.far else ''} | {figures} |"
        print(line, flush=True)
        lines.append(line)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "curve.md").write_text("\n".join(lines) + "\n")


main()
