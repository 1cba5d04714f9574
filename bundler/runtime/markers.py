"""Which trees were verified since the system started: two lines for each, written last.

* A marker says digest, tree, interpreter and boot id, then what was demanded besides (``demands.py``). It is compared
  as bytes, and nothing in it is interpreted: another interpreter, a moved tree or a restart of the system give another
  line, and the tree is looked at again; other demands, and they are.
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
    from typing import Mapping, MutableMapping, Optional

POLICIES = ("always", "boot", "never")
SUFFIX = ".verified"
INHERITED = "BUNDLE_VERIFIED"
NONE = "-"
_LONGEST = 8192
_LONGEST_KEY = (64 << 10) + 1


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


def demanded(environ: Mapping[str, str]) -> str:
    """Return a name for the demands in *environ* but the digest: ``-`` for none, empty for what is to be looked at.

    Equal names mean equal demands: the name is made of the keys themselves, wherever they lie.
    """
    serial = environ.get("BUNDLE_MIN_SERIAL") or "0"
    if "BUNDLE_PUBLIC_KEY" not in environ:
        required = environ.get("BUNDLE_REQUIRE_SIGNATURE") or "0"
        return NONE if serial == "0" and required == "0" else ""
    keys = environ["BUNDLE_PUBLIC_KEY"]
    data = os.fsencode(keys)
    if "-----BEGIN" not in keys:
        try:
            data = b"".join(map(_read_key, keys.split(os.pathsep)))
        except OSError:
            return ""
    return sha256(serial.encode() + b"\0" + data)


def finished(digest: str, policy: str, environ: Mapping[str, str], demands: Optional[str]) -> Optional[str]:
    """Return the tree *digest* in a cache, if *policy* takes it as it is, and *demands* were met (None: are met)."""
    if demands != "":
        for cache in candidates(environ):
            root = os.path.join(cache, digest[7:])
            line = line_for(digest, root)
            if is_private(cache) and _says(root + SUFFIX, line, policy, demands) and os.path.isdir(root):
                return root
    return None


def taken_in_place(digest: str, root: str, policy: str, environ: Mapping[str, str], demands: Optional[str]) -> bool:
    """Tell whether *policy* takes the tree *digest* at *root*, whose documents were verified, as it is."""
    if demands == "":
        return False
    line = line_for(digest, root)
    if _is_cached(digest, root) and _says(root + SUFFIX, line, policy, demands):
        return True
    if _matches(environ.get(INHERITED, ""), line, policy, demands):
        return True
    places = (_place(cache, root) for cache in candidates(environ) if is_private(cache))
    return any(_says(place, line, policy, demands) for place in places)


def met(digest: str, root: str, demands: str) -> bool:
    """Tell whether *demands* were met when the tree *digest* at *root*, in a cache, was unpacked or last looked at."""
    if demands in ("", NONE):
        return demands == NONE
    try:
        said = os.fsdecode(_read(root + SUFFIX)) if _is_cached(digest, root) else ""
    except OSError:
        return False
    return said.startswith(f"{digest} {root} ") and said.partition("\n")[2] == demands + "\n"


def note(root: str, digest: str, demands: str, *, looked: bool = True) -> None:
    """Note down beside *root*, a tree in a cache, that *demands* were met, and, if it was *looked* at, verified."""
    line = line_for(digest, root)
    if not looked:
        line = line.rpartition(" ")[0] + " \n"
    _write(root + SUFFIX, line + demands + "\n")


def forget(root: str) -> None:
    """Take back what ``note`` has noted: the tree is about to go."""
    if os.path.lexists(root + SUFFIX):
        os.unlink(root + SUFFIX)


def note_in_place(root: str, digest: str, environ: MutableMapping[str, str], demands: str) -> None:
    """Note down in the first cache that can be written to that *root* was verified, else in *environ*."""
    text = line_for(digest, root) + demands + "\n"
    if _is_cached(digest, root):  # by a process that had no room to note it
        try:
            _write(root + SUFFIX, text)
        except OSError:
            pass
        else:
            return
    for cache in candidates(environ):
        try:
            make_directories(cache)
            if is_private(cache):
                _write(_place(cache, root), text)
                return
        except OSError:
            continue
    environ[INHERITED] = text


def sha256(data: bytes) -> str:
    """Hash *data* without ``hashlib``, which takes milliseconds to import."""
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]  # 3.7 to 3.11
    except ImportError:
        try:
            from _sha2 import sha256  # type: ignore[import-not-found]  # 3.12
        except ImportError:
            from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest


def _is_cached(digest: str, root: str) -> bool:
    return os.path.basename(root) == digest[7:] and is_private(os.path.dirname(root))


def _place(cache: str, root: str) -> str:
    # A directory that was made anew may get the number of the old one; not its time of change as well.
    status = os.stat(root)
    name = f"in-place-{status.st_dev:x}-{status.st_ino:x}-{status.st_ctime_ns:x}"
    return os.path.join(cache, name + SUFFIX)


def _says(path: str, line: str, policy: str, demands: Optional[str]) -> bool:
    try:
        return _matches(os.fsdecode(_read(path)), line, policy, demands)
    except OSError:
        return False


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(fd, _LONGEST)
    finally:
        os.close(fd)


def _read_key(path: str) -> bytes:
    with open(path, "rb") as file:  # a mounted secret is often a symlink
        return file.read(_LONGEST_KEY)


def _matches(text: str, line: str, policy: str, demands: Optional[str]) -> bool:
    found, end, noted = text.partition("\n")
    found += end
    if demands is not None and noted != demands + "\n":
        return False
    if policy == "never":  # whatever the boot id
        return found.rpartition(" ")[0] == line.rpartition(" ")[0]
    return policy == "boot" and found == line and not line.endswith(" \n")


def _write(marker: str, text: str) -> None:
    """Write *text* over what *marker* says; one that is torn says nothing, so no second file is needed for it."""
    data = os.fsencode(text)
    fd = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # Not truncated before: others who read the same line meanwhile find it complete.
        os.truncate(fd, os.pwrite(fd, data, 0))
    finally:
        os.close(fd)
