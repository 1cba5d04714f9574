"""A path → a lock on it that ends with its process, whatever ends that.

* Locks are advisory (``flock``) and belong to one opening of the file, so threads exclude each other as processes do.
* A file system without locks is no error for ``locked``: locks save work here, and correctness does not need them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Called while another holds a lock: sleeps a little, or raises to give up.
Wait = Callable[[], None]

# The last is what NFS, which has byte locks only, says of a directory.
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF)


def lock_file(path: Path, *, shared: bool = False, create: bool = True) -> int | None:
    """Return a file descriptor that holds *path* until it is closed; None if another holds it.

    Raise ``OSError`` if it cannot be opened or the file system has no locks.
    """
    lock = _open(path, create=create)
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return lock


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, create: bool = True, wait: Wait | None = None) -> Iterator[None]:
    """Hold *path*, alone or *shared*. While another holds it, call *wait*, or simply wait."""
    lock: int | None = None
    try:
        if wait is None:
            lock = _open(path, create=create)
            fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        else:
            while (lock := lock_file(path, shared=shared, create=create)) is None:
                wait()
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            if lock is not None:
                os.close(lock)
            raise
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _open(path: Path, *, create: bool) -> int:
    flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
    return os.open(path, flags | os.O_CLOEXEC, 0o666)
