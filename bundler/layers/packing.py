"""Files → one layer: a deterministic tar in independent zstd frames, compressed in parallel.

* Every frame is one zstd call with one set of parameters: the same bytes for the same libzstd, whatever the jobs.
* A frame that somebody else has compressed (``CachedFrames``) is taken instead only if it is one plain frame, no
  larger than compressing may make it, and decodes to exactly our bytes.
* At most *ahead* frames are under way, so memory does not depend on the size of the files.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections import deque
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, Protocol

import zstandard

from bundler.archives.tar_writer import FrameWriter, tar_header
from bundler.layers.conflicts import Owner
from bundler.runtime.documents import MAX_FRAME, ZSTD_LAYER_TYPE, Descriptor, File, Frame
from bundler.runtime.errors import ContentError
from bundler.runtime.zstd import check_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from bundler.runtime.indexes import Allowance, Distribution

WINDOW_LOG = 23  # 8 MiB, the most that every zstd reader takes, and the runtime accepts
_local = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A finished layer: its descriptor, the CRC-32 of the blob, the diff_id and size in bytes of its tar."""

    descriptor: Descriptor
    crc: int
    diff_id: str
    size: int
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLayer:
    """A layer in the cache, and what was installed into it.

    *owners* says, for each file, which distribution it belongs to; *from_layer_cache* that it came from the shared
    cache.
    """

    name: str
    packed: Packed
    owners: tuple[int, ...]
    distributions: tuple[Distribution, ...]
    console_scripts: Mapping[str, str]
    allowances: tuple[Allowance, ...]
    blob: Path
    cached: bool
    from_layer_cache: bool = False

    def files(self) -> Iterator[tuple[File, Owner]]:
        """Yield each file with the distribution that it comes from."""
        owners = [Owner(item.name, item.version) for item in self.distributions]
        for file, owner in zip(self.packed.files, self.owners, strict=True):
            yield file, owners[owner]


class CachedFrames:
    """A blob at *path* whose *frames* are said to be those of the layer to be packed."""

    def __init__(self, path: Path, frames: tuple[Frame, ...]) -> None:
        self.path = path
        self.frames = frames
        self._offsets = [0, *accumulate(frame.size for frame in frames)]

    def take(self, number: int, data: bytearray) -> bytes | None:
        """Return the frame *number* if it decodes to *data*, else None."""
        if number >= len(self.frames) or self.frames[number].raw != len(data):
            return None
        size = self.frames[number].size
        if size > _most(len(data)):
            return None
        with self.path.open("rb") as file:
            compressed = os.pread(file.fileno(), size, self._offsets[number])
        try:
            check_frame(compressed, len(data), str(self.path))
            decoded = zstandard.ZstdDecompressor().decompress(compressed, max_output_size=len(data))
        except (ContentError, zstandard.ZstdError):
            return None
        return compressed if decoded == data else None


def _most(size: int) -> int:
    """Return the most bytes that zstd makes of *size* bytes: its ZSTD_COMPRESSBOUND."""
    return size + (size >> 8) + (((128 << 10) - size) >> 11 if size < 128 << 10 else 0)


class LayerCache(Protocol):
    """A shared cache of compressed layers, under the same keys as ours. Its contents are not trusted."""

    def take(self, key: str, path: Path, limit: int) -> CachedFrames | None:
        """Bring the layer *key*, of at most *limit* bytes, to *path*; None if there is none."""

    def give(self, key: str, layer: BuiltLayer) -> None:
        """Store *layer* for others."""

    def refused(self, layer: str) -> None:
        """Hear that the bytes returned by ``take`` are not those of *layer*."""


class Packer:
    """Writes the blob of a layer: ``add_directories``, ``add`` each file, ``finish``."""

    def __init__(
        self,
        blob: BinaryIO,
        *,
        level: int,
        frame_size: int,
        executor: Executor,
        ahead: int,
        cached_frames: CachedFrames | None = None,
    ) -> None:
        """Write to *blob*; compress in *executor*, where *cached_frames* does not have it. *frame_size* is in bytes."""
        self.taken = 0
        self._cached_frames = cached_frames
        self._submitted = 0
        self._blob = blob
        self._level = level
        self._executor = executor
        self._ahead = ahead
        self._pending: deque[Future[tuple[Frame, bytes, bool]]] = deque()
        self._frames: list[Frame] = []
        self._files: list[File] = []
        self._digest = hashlib.sha256()
        self._crc = 0
        self._size = 0
        self._tar = FrameWriter(frame_size, self._submit)

    def add_directories(self, paths: Iterable[str]) -> None:
        """Add directories, parents first."""
        for path in paths:
            self._tar.add(tar_header(path, directory=True), 0, ())

    def add(self, path: str, *, size: int, sha256: str, executable: bool, chunks: Iterable[bytes]) -> None:
        """Add a file whose *chunks* have *size* bytes and this *sha256*; the caller has seen to that."""
        offset = self._tar.add(tar_header(path, size, executable=executable), size, chunks)
        self._files.append(File(path, size, sha256, executable, offset))

    def finish(self) -> Packed:
        """Write what is still under way."""
        diff_id = self._tar.finish()
        while self._pending:
            self._write(self._pending.popleft())
        digest = "sha256:" + self._digest.hexdigest()
        return Packed(
            descriptor=Descriptor(ZSTD_LAYER_TYPE, digest, self._size, tuple(self._frames)),
            crc=self._crc,
            diff_id=diff_id,
            size=self._tar.offset,
            files=tuple(self._files),
        )

    def _submit(self, frame: bytearray) -> None:
        if len(self._pending) >= self._ahead:
            self._write(self._pending.popleft())
        self._pending.append(self._executor.submit(_compress, frame, self._level, self._cached_frames, self._submitted))
        self._submitted += 1

    def _write(self, future: Future[tuple[Frame, bytes, bool]]) -> None:
        frame, data, taken = future.result()
        self.taken += taken
        self._frames.append(frame)
        self._digest.update(data)
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._blob.write(data)


def _compress(data: bytearray, level: int, cached: CachedFrames | None, number: int) -> tuple[Frame, bytes, bool]:
    """Return the frame *number* of a layer, whose bytes are *data*, and whether it was *cached*."""
    if cached is not None and (known := cached.take(number, data)) is not None:
        return Frame(len(data), len(known), hashlib.sha256(known).hexdigest()), known, True
    if getattr(_local, "level", None) != level:  # a compressor is not for two threads at once
        _local.level = level
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, source_size=MAX_FRAME, window_log=WINDOW_LOG, write_checksum=False, write_content_size=True
        )
        _local.compressor = zstandard.ZstdCompressor(compression_params=parameters)
    compressed: bytes = _local.compressor.compress(data)
    return Frame(len(data), len(compressed), hashlib.sha256(compressed).hexdigest()), compressed, False


def decode(data: bytes, raw: int) -> bytes:
    """Decode a zstd frame with the builder's own library."""
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)
