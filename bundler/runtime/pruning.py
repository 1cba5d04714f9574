"""Trees in a cache → those that nobody needs any more are removed, and never one that a live process uses.

* A tree is removed after it was locked alone and renamed aside: whoever comes in between finds no tree, and unpacks.
* When a tree is unpacked, those that were not used for a month are removed. So nothing grows for ever.
"""

from __future__ import annotations

import os
import time
from typing import List, Mapping, NamedTuple, Optional

from .markers import SUFFIX
from .places import Lock, candidates, flock, is_private, remove_if_abandoned, remove_tree

MONTH = 30 * 86400.0
_HOUR = 3600.0
_DIGITS = frozenset("0123456789abcdef")


class Tree(NamedTuple):
    """A tree in a cache: bytes on disk, seconds since its last use, and whether a process uses it."""

    path: str
    size: int
    age: float
    in_use: bool


def trees_of(environ: Mapping[str, str]) -> List[Tree]:
    """Return the trees in all caches that may be this user's, the least recently used first."""
    found = []
    for cache in candidates(environ):
        if is_private(cache):
            for path in _paths(cache):
                try:
                    found.append(Tree(path, _size(path), _age(path), _in_use(path)))
                except FileNotFoundError:  # another process was first
                    continue
    return sorted(found, key=lambda tree: -tree.age)


def prune(environ: Mapping[str, str], *, max_age: float = MONTH, max_size: Optional[int] = None) -> List[Tree]:
    """Remove trees not used for *max_age* seconds, then the least recently used beyond *max_size* bytes in all.

    Return what was removed. A tree that is in use stays.
    """
    trees = trees_of(environ)
    total = sum(tree.size for tree in trees)
    removed = []
    for tree in trees:
        too_much = max_size is not None and total > max_size
        if (tree.age >= max_age or too_much) and _remove(tree.path):
            removed.append(tree)
            total -= tree.size
    for cache in candidates(environ):
        if is_private(cache):
            _remove_leftovers(cache, max_age)
    return removed


def prune_beside(root: str) -> None:
    """Remove from the cache of *root*, which was just unpacked, what was not used for a month."""
    cache = os.path.dirname(root)
    for path in _paths(cache):
        try:
            if _age(path) >= MONTH:
                _remove(path)
        except FileNotFoundError:  # another process was first
            continue
    _remove_leftovers(cache, MONTH)


def _paths(cache: str) -> List[str]:
    names = os.listdir(cache)
    return [os.path.join(cache, name) for name in names if len(name) == 64 and _DIGITS.issuperset(name)]  # noqa: PLR2004


def _remove(path: str) -> bool:
    with Lock(path + ".lock", wait=False) as lock:
        if not lock.held or not os.path.isdir(path):
            return False
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not flock(fd, wait=False):
                return False
            aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.partial-{os.urandom(8).hex()}")
            os.rename(path, aside)
            for name in (path + SUFFIX, path + ".lock"):  # nobody else removes them: the lock is ours
                if os.path.exists(name):
                    os.unlink(name)
            remove_tree(aside)
        finally:
            os.close(fd)
    return True


def _remove_leftovers(cache: str, max_age: float) -> None:
    """Remove the markers of trees that are not in this cache and were not asked about for *max_age* seconds.

    Remove also what is left of killed boots of bundles that nobody boots any more.
    """
    for name in os.listdir(cache):
        path = os.path.join(cache, name)
        try:
            age = time.time() - os.lstat(path).st_mtime
            if name.startswith("in-place-") and age >= max_age:
                os.unlink(path)
            elif name.startswith(".") and ".partial-" in name and age >= _HOUR:  # it is locked as soon as it is made
                remove_if_abandoned(path)
        except FileNotFoundError:  # another process was first
            continue


def _in_use(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return not flock(fd, wait=False)
    finally:
        os.close(fd)


def _age(path: str) -> float:
    try:
        used = os.lstat(path + SUFFIX).st_mtime
    except OSError:
        used = os.lstat(path).st_mtime
    return max(0.0, time.time() - used)


def _size(path: str) -> int:
    files = (os.path.join(directory, name) for directory, _, names in os.walk(path) for name in names)
    return sum(os.lstat(file).st_blocks * 512 for file in files)
