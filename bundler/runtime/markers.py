"""Which trees were verified since the system started: one line for each, written last.

* A marker says digest, tree, interpreter and boot id. It is compared as bytes, and nothing in it is interpreted:
  another interpreter, a moved tree or a restart of the system give another line, and the tree is looked at again.
* Beside a tree in a cache lies its own marker. A tree that is used where it lies has one in a cache, or, where there
  is no place to write to, in the environment of the processes that this one starts.
* Nothing is imported here that a bare interpreter has not loaded: a start that finds its tree must cost nothing.
"""

from __future__ import annotations

import os
import sys

from .places import candidates, is_private, make_directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, MutableMapping

POLICIES = ("always", "boot", "never")
SUFFIX = ".verified"
INHERITED = "BUNDLE_VERIFIED"
_LONGEST = 8192


def boot_id() -> str:
    """Return what changes when the system starts anew; empty if it cannot be known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().decode().strip()
    except OSError:
        return ""


def line_for(digest: str, root: str) -> str:
    """Return what the marker of the tree *digest* at *root* says if this interpreter verified it in this boot."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        libc = "-"
    tag = f"{sys.implementation.cache_tag} {getattr(sys, 'abiflags', '')}"
    return f"{digest} {root} {tag} {os.uname().machine} {sys.maxsize:x} {libc} {boot_id()}\n"


def finished(digest: str, policy: str, environ: Mapping[str, str]) -> str | None:
    """Return the tree *digest* in a cache, if *policy* takes it as it is."""
    for cache in candidates(environ):
        root = os.path.join(cache, digest[7:])
        if is_private(cache) and _says(root + SUFFIX, line_for(digest, root), policy) and os.path.isdir(root):
            return root
    return None


def taken_in_place(digest: str, root: str, policy: str, environ: Mapping[str, str]) -> bool:
    """Tell whether *policy* takes the tree *digest* at *root*, whose documents were verified, as it is."""
    line = line_for(digest, root)
    if _is_cached(digest, root) and _says(root + SUFFIX, line, policy):
        return True
    if _matches(environ.get(INHERITED, ""), line, policy):
        return True
    return any(is_private(cache) and _says(_place(cache, root), line, policy) for cache in candidates(environ))


def note(root: str, digest: str) -> None:
    """Note down beside *root*, a tree in a cache, that it was verified."""
    _write(root + SUFFIX, line_for(digest, root))


def forget(root: str) -> None:
    """Take back what ``note`` has noted: the tree is about to go."""
    if os.path.lexists(root + SUFFIX):
        os.unlink(root + SUFFIX)


def note_in_place(root: str, digest: str, environ: MutableMapping[str, str]) -> None:
    """Note down in the first cache that can be written to that *root* was verified, else in *environ*."""
    line = line_for(digest, root)
    if _is_cached(digest, root):  # by a process that had no room to note it
        try:
            _write(root + SUFFIX, line)
        except OSError:
            pass
        else:
            return
    for cache in candidates(environ):
        try:
            make_directories(cache)
            if is_private(cache):
                _write(_place(cache, root), line)
                return
        except OSError:
            continue
    environ[INHERITED] = line


def _is_cached(digest: str, root: str) -> bool:
    return os.path.basename(root) == digest[7:] and is_private(os.path.dirname(root))


def _place(cache: str, root: str) -> str:
    status = os.stat(root)
    return os.path.join(cache, f"in-place-{status.st_dev:x}-{status.st_ino:x}{SUFFIX}")


def _says(path: str, line: str, policy: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return _matches(os.read(fd, _LONGEST).decode("utf-8", "surrogateescape"), line, policy)
    except OSError:
        return False
    finally:
        os.close(fd)


def _matches(found: str, line: str, policy: str) -> bool:
    if policy == "never":  # whatever the boot id
        return found.rpartition(" ")[0] == line.rpartition(" ")[0]
    return policy == "boot" and found == line and not line.endswith(" \n")


def _write(marker: str, line: str) -> None:
    """Write *line* over what *marker* says; one that is torn says nothing, so no second file is needed for it."""
    data = line.encode("utf-8", "surrogateescape")
    fd = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # Not truncated before: others who read the same line meanwhile find it complete.
        os.truncate(fd, os.pwrite(fd, data, 0))
    finally:
        os.close(fd)
