"""The bytes of a blob as they come → a file under its final name, complete and right.

* The bytes so far stay in a part, and the next attempt, in this process or another, resumes there.
* A part belongs to the process that holds a lock on it; another process waits, and then finds the blob complete.
* If a resumed blob is wrong, it is received once more from the start. Wrong bytes are then an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from typing import TYPE_CHECKING

from bundler.caching.file_locks import UNSUPPORTED, lock_file
from bundler.runtime.errors import BundleError, ContentError
from bundler.stores.blobs import CHUNK, verified_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path

    from bundler.stores.blobs import Blob, Reader

_PAUSE = 0.1


def receive(blob: Blob, part: Path, final: Path, read: Reader) -> None:
    """Bring the bytes of *blob*, which *read* gives, to *final* by way of *part*."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        with _hold(part, final) as own:
            if own is not None:
                _complete(blob, own, read)
                own.replace(final)
    except OSError as error:
        raise BundleError(final, f"cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _hold(part: Path, final: Path) -> Iterator[Path | None]:
    """Lock *part* and yield it, or None as soon as *final* exists; without locks, yield a private part."""
    lock: int | None = None
    while lock is None:
        if final.exists():
            yield None
            return
        try:
            lock = lock_file(part)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            break
        if lock is None:
            time.sleep(_PAUSE)
        elif not _is_open_at(lock, part):  # it was renamed or removed before it was locked
            os.close(lock)
            lock = None
    own = part if lock is not None else part.with_name(f"{part.name}.{secrets.token_hex(8)}")
    try:
        yield own
    except ContentError:
        own.unlink(missing_ok=True)
        raise
    finally:
        if lock is None:
            own.unlink(missing_ok=True)
        else:
            with contextlib.suppress(OSError):
                # Another's part may lie at this path by now: ours was given its final name, and that was removed.
                if _is_open_at(lock, own) and own.stat().st_size == 0:
                    own.unlink()
            os.close(lock)


def _is_open_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _complete(blob: Blob, part: Path, read: Reader) -> None:
    part.touch()
    with part.open("r+b") as file:
        if not _resume(blob, file, read, str(part)):
            file.seek(0)
            file.truncate()
            for chunk in verified_chunks(blob, read(0), str(part)):
                file.write(chunk)
        file.flush()
        os.fsync(file.fileno())  # a blob under its final name survives a crash


def _resume(blob: Blob, file: BufferedRandom, read: Reader, where: str) -> bool:
    """Receive what *file* lacks; return whether it then is the blob."""
    digest = hashlib.sha256()
    size = 0
    while size <= blob.size and (chunk := file.read(CHUNK)):
        digest.update(chunk)
        size += len(chunk)
    if not 0 < size <= blob.size:
        return False
    try:
        for chunk in verified_chunks(blob, read(size) if size < blob.size else (), where, digest, size):
            file.write(chunk)
    except ContentError:
        return False
    return True
