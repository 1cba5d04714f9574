"""Which trees of a cache are in use: a process that mounts one holds a shared lock on its directory while it lives.

* Forks share the lock, and ``run`` hands it on to the command; other children mount, and so lock, for themselves.
* Whoever wants to remove a tree needs the lock alone (see ``pruning``). Where the file system has no locks, trees are
  never removed.
* The time of the marker beside the tree is that of its last use, to the hour.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

_HOUR = 3600
_held: Dict[str, int] = {}


def hold(root: str, marker: str) -> bool:
    """Keep the tree at *root* from being removed as long as this process lives; tell whether it is still there."""
    if root in _held:
        return True
    import fcntl
    import time

    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # it is being removed
        os.close(fd)
        return False
    except OSError:  # no locks here
        pass
    try:
        there = os.path.samestat(os.fstat(fd), os.lstat(root))
        if time.time() - os.lstat(marker).st_mtime > _HOUR:
            os.utime(marker)
    except OSError:  # gone in the meantime, or a cache that is read-only
        there = os.path.isdir(root)
    if not there:
        os.close(fd)
        return False
    _held[root] = fd
    return True


def hand_on() -> None:
    """Let the program that replaces this process keep what this one holds."""
    for fd in _held.values():
        os.set_inheritable(fd, True)
