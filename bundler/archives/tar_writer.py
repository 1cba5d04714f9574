"""Files → the bytes of a deterministic tar, cut into frames.

* Headers are the same everywhere: uid and gid 0, mtime 0, mode 0644 or 0755, no names of users; PAX where needed.
* A frame ends at a file boundary; only a file larger than a frame spans several, and shares its frames with no other.
"""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BLOCK = tarfile.BLOCKSIZE


def tar_header(path: str, size: int = 0, *, executable: bool = False, directory: bool = False) -> bytes:
    """Return the header of a member, a multiple of 512 bytes."""
    info = tarfile.TarInfo(path)
    info.size = size
    info.mode = 0o755 if executable or directory else 0o644
    info.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """Return the zeros that follow a member's *size* bytes."""
    return bytes(-size % _BLOCK)


END = bytes(2 * _BLOCK)


class FrameWriter:
    """Collects the bytes of a tar and hands them on frame by frame; counts and hashes them on the way."""

    def __init__(self, frame_size: int, emit: Callable[[bytearray], None]) -> None:
        """Call *emit* with each frame of at most *frame_size* bytes; it owns the bytes."""
        self.offset = 0
        self._limit = frame_size
        self._emit = emit
        self._frame = bytearray()
        self._hasher = hashlib.sha256()

    def add(self, header: bytes, size: int, chunks: Iterable[bytes]) -> int:
        """Add a member of *size* bytes; return the offset of its first byte in the tar."""
        whole = len(header) + size + len(padding(size))
        if len(self._frame) + whole > self._limit:
            self._flush()
        self._write(header)
        start = self.offset
        for chunk in chunks:
            self._write(chunk)
        self._write(padding(size))
        if whole > self._limit:
            self._flush()
        return start

    def finish(self) -> str:
        """Add the end of the tar; return the diff_id."""
        self._write(END)
        self._flush()
        return "sha256:" + self._hasher.hexdigest()

    def _write(self, data: bytes) -> None:
        self._hasher.update(data)
        self.offset += len(data)
        view = memoryview(data)
        while view:
            room = self._limit - len(self._frame)
            self._frame += view[:room]
            view = view[room:]
            if len(self._frame) == self._limit:
                self._flush()

    def _flush(self) -> None:
        if self._frame:
            self._emit(self._frame)
            self._frame = bytearray()
