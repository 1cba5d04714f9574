"""Where trees are unpacked to: a directory that is ours, and a rename that makes a tree real.

* ``BUNDLE_CACHE`` alone if it is set; else ``XDG_CACHE_HOME``, ``~/.cache``, a private directory below ``TMPDIR``:
  the first that is ours, not writable by others, no symlink, not ``noexec``, and has room (rules C23 and D28).
* A tree is written into a private sibling and renamed to its final name: whoever dies before leaves the old state,
  whoever comes after finds the new one (rules D25 and D26). A lock only saves work.
* A sibling that belongs to nobody any more is removed: its maker held a lock on it while it lived.
"""

from __future__ import annotations

import os
import stat

from .errors import PlaceError

TYPE_CHECKING = False  # typing is not imported: this module is part of every start
if TYPE_CHECKING:
    from typing import Callable, List, Mapping, Optional, Tuple

_NOEXEC = 8  # ST_NOEXEC, which the os module names on Linux only
_MARGIN = 16 << 20


def choose_cache(environ: Mapping[str, str], needed: Callable[[str], Tuple[int, int]]) -> str:
    """Return the directory for trees, made if need be.

    *needed* tells how many bytes and files are still to be written into a directory. Raise ``PlaceError``, with the
    reason for each candidate, if there is none.
    """
    reasons = []
    for candidate in candidates(environ):
        reason = _make(candidate) or _reason_against(candidate, *needed(candidate))
        if reason is None:
            return candidate
        reasons.append(f"{candidate}: {reason}")
    raise PlaceError(
        "cache",
        "there is no usable place to unpack to",
        got="; ".join(reasons) or "no candidate",
        want="a directory of this user, writable by nobody else, not noexec, with room",
        hint="set BUNDLE_CACHE to such a directory, or unpack the bundle when the image is built",
        rule="C23",
    )


def candidates(environ: Mapping[str, str]) -> List[str]:
    """Return where a cache may be, the best place first."""
    if environ.get("BUNDLE_CACHE"):
        return [os.path.abspath(environ["BUNDLE_CACHE"])]
    places = []
    if os.path.isabs(environ.get("XDG_CACHE_HOME", "")):
        places.append(os.path.join(environ["XDG_CACHE_HOME"], "bundler", "trees"))
    home = environ.get("HOME", "")
    if os.path.isabs(home) and os.path.isdir(home):
        places.append(os.path.join(home, ".cache", "bundler", "trees"))
    temporary = dict.fromkeys([environ.get("TMPDIR", ""), "/tmp", "/var/tmp"])  # noqa: S108 - made private
    places += [os.path.join(path, f"bundler-{os.geteuid()}") for path in temporary if os.path.isabs(path)]
    return places


def is_private(path: str) -> bool:
    """Tell whether *path* is a directory of this user, no symlink, to which nobody else may write (rule C23)."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _make(path: str) -> Optional[str]:
    try:
        make_directories(os.path.dirname(path))
        if not os.path.lexists(path):
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)  # whatever the umask
    except FileExistsError:  # another process was first, or a file is in the way
        return None if os.path.lexists(path) else f"{os.path.dirname(path)} is no directory"
    except OSError as error:
        return error.strerror
    return None


def make_directories(path: str) -> None:
    """Make *path* and what is missing above it, all of them private whatever the umask (rule D28).

    ``os.makedirs`` would let others write to those above, and so put another directory in the place of *path*.
    """
    if not os.path.isdir(path):
        make_directories(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise


def _reason_against(path: str, size: int, files: int) -> Optional[str]:
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        return "is a symlink or no directory"
    if status.st_uid != os.geteuid():
        return f"belongs to uid {status.st_uid}, not {os.geteuid()}"
    if status.st_mode & 0o022:
        return f"others may write to it ({stat.filemode(status.st_mode)})"
    if size and not os.access(path, os.W_OK | os.X_OK):
        return "is not writable"
    system = os.statvfs(path)
    if system.f_flag & _NOEXEC:
        return "is mounted noexec, and native modules could not be loaded from it"
    free = system.f_bavail * system.f_frsize
    if size and free < size + _MARGIN:
        return f"has {free >> 20} MiB free, but {(size + _MARGIN) >> 20} MiB are needed"
    if system.f_files and system.f_favail < files:
        return f"has {system.f_favail} inodes free, but {files} are needed"
    return None


class Lock:
    """An exclusive lock on *path*, made if need be; ``held`` tells whether it is: a file system may have no locks."""

    def __init__(self, path: str, *, wait: bool = True) -> None:
        """Name the lock file; without *wait*, another holder is not waited for."""
        self._path = path
        self._wait = wait
        self._fd = -1
        self.held = False

    def __enter__(self) -> Lock:
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self.held = flock(self._fd, wait=self._wait)
            try:
                if not self.held or os.path.samestat(os.fstat(self._fd), os.lstat(self._path)):
                    return self
            except FileNotFoundError:  # whoever held it has removed it
                pass
            os.close(self._fd)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def flock(fd: int, *, wait: bool) -> bool:
    """Lock *fd*; tell whether that worked."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


class Staging:
    """A private directory beside *final*, which becomes *final* by ``publish`` or is removed.

    *final* may exist as an empty directory; anything else there makes ``publish`` fail with ``OSError``.
    """

    def __init__(self, final: str) -> None:
        """Name the directory that is to appear."""
        self._final = final
        self.path = ""
        self._fd = -1

    def __enter__(self) -> Staging:
        _remove_leftovers(self._final)
        self.path = private_name(self._final)
        os.mkdir(self.path, 0o700)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        flock(self._fd, wait=False)
        return self

    def publish(self, *, replace: bool = False, read_only: bool = False) -> None:
        """Give the directory its final name; with *replace* in place of what is there now.

        With *read_only* nothing can be added to it by mistake.
        """
        os.chmod(self.path, 0o555 if read_only else 0o755)  # a tree is for everyone to read
        if not replace:
            os.rename(self.path, self._final)
            self.path = ""
        elif not exchange(self.path, self._final):  # after it, the private name has what was there before
            old = self.path + "-old"
            os.rename(self._final, old)
            os.rename(self.path, self._final)
            self.path = old

    def __exit__(self, *_: object) -> None:
        if self.path:
            remove_tree(self.path)
        os.close(self._fd)


def exchange(one: str, other: str) -> bool:
    """Exchange the names of two directories, at no time without either; tell whether this system can do that."""
    try:
        import ctypes

        number = {"x86_64": 316, "aarch64": 276}[os.uname().machine]  # renameat2: the C library has it from 2.28 on
        here, flags = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        call = ctypes.CDLL(None).syscall
        return int(call(number, here, os.fsencode(one), here, os.fsencode(other), flags)) == 0
    except (AttributeError, ImportError, KeyError, OSError):
        return False


def private_name(final: str) -> str:
    """Return a new name beside *final* for what is not finished, or is being removed."""
    parent, name = os.path.split(final)
    return os.path.join(parent, f".{name}.partial-{os.urandom(8).hex()}")


def _remove_leftovers(final: str) -> None:
    """Remove what processes that do not live any more have left beside *final* under private names."""
    parent, name = os.path.split(final)
    for other in os.listdir(parent):
        if other.startswith(f".{name}.partial-"):
            remove_if_abandoned(os.path.join(parent, other))


def remove_if_abandoned(path: str) -> None:
    """Remove the directory *path*, which ``Staging`` has made, if its maker does not live any more."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    if flock(fd, wait=False):
        remove_tree(path)
    os.close(fd)


def discard(final: str) -> None:
    """Remove the tree *final* so that nobody ever finds a part of it under that name (rule D25)."""
    aside = private_name(final)
    os.rename(final, aside)
    remove_tree(aside)


def remove_tree(path: str) -> None:
    """Remove *path* and all below it, as far as that is possible."""
    import shutil

    try:
        os.chmod(path, 0o700)
        for directory, names, _ in os.walk(path):
            for name in names:
                if not os.path.islink(os.path.join(directory, name)):
                    os.chmod(os.path.join(directory, name), 0o700)
    except OSError:
        pass
    shutil.rmtree(path, ignore_errors=True)
