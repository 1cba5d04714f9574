"""A directory → what builders keep between runs, shared by processes.

    wheels/ab/abcdef…     a wheel under its sha256
    layers/ab/abcdef…/    a compressed layer under the digest of what it was made from
    uv/                   the cache of uv, which keeps it itself
    parts/abcdef….part    an unfinished download, and beside it the validator of its source
    temporary/            what is being written
    locks/                files to hold locks on

* An entry appears complete, by one rename; it is never changed, only replaced or removed.
* Whoever uses entries holds the cache (``in_use``); entries are removed only while nobody holds it.
* A process locks its temporary files. One without a lock was left by a dead process, and is removed.
* Use sets an entry's modification time, as many file systems keep no access time. The least recently used goes first.
* Locks save work, renames give correctness: on a file system without locks everything works, some of it twice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bundler.caching.file_locks import UNSUPPORTED, lock_file, locked
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundler.caching.file_locks import Wait

Kind = Literal["wheels", "layers"]

KINDS: tuple[Kind, ...] = ("wheels", "layers")
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache of bundler's; it can be removed.\n"
FULL = (errno.ENOSPC, errno.EDQUOT)
_PARTS_MAX_AGE = 14 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Usage:
    """So many entries, and their bytes."""

    count: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class New:
    """Something being written at *path*, private until it is published."""

    path: Path
    final: Path

    def publish(self) -> Path:
        """Give it its final name, and return that. Of two equal directories the first one stays."""
        if self.path.is_dir() and self.final.exists():
            if _sizes(self.path) == _sizes(self.final):
                return self.final
            # A damaged directory: a rename does not replace one that has files.
            self.final.rename(self.path.with_name(f"{self.path.name}.old"))
        self.path.replace(self.final)
        return self.final


class Cache:
    """The cache at *root*. Nothing is read or written before a method is called."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"Cache({str(self.root)!r})"

    @classmethod
    def default(cls, environ: Mapping[str, str]) -> Cache:
        """Return the cache at BUNDLE_CACHE_DIR, or else where XDG or the home directory wants caches."""
        if own := environ.get("BUNDLE_CACHE_DIR"):
            return cls(Path(own).absolute())
        xdg = environ.get("XDG_CACHE_HOME", "")
        # "All paths … must be absolute. If an implementation encounters a relative path … it should … ignore it."
        if Path(xdg).is_absolute():
            return cls(Path(xdg) / "bundler")
        if home := environ.get("HOME"):
            return cls(Path(home) / ".cache" / "bundler")
        raise BundleError(
            "cache", "there is no home directory to keep it in", hint="set BUNDLE_CACHE_DIR to a directory"
        )

    # Entries

    def wheel(self, sha256: str) -> Path:
        """Return where the wheel *sha256* is or will be."""
        return self._final("wheels", sha256)

    def layer(self, key: str) -> Path | None:
        """Return the directory of the layer *key* if it is there."""
        return self.entry("layers", key)

    def entry(self, kind: Kind, key: str) -> Path | None:
        """Return the entry *key* if it is there, and note that it was used."""
        path = self._final(kind, key)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError:
            # A cache that is only readable can still be read.
            return path if path.exists() else None
        return path

    def new_wheel(self, sha256: str) -> contextlib.AbstractContextManager[New]:
        """Give a private empty file that can be published as the wheel *sha256*."""
        return self._new("wheels", sha256, directory=False)

    def new_layer(self, key: str) -> contextlib.AbstractContextManager[New]:
        """Give a private empty directory that can be published as the layer *key*."""
        return self._new("layers", key, directory=True)

    def part(self, sha256: str) -> Path:
        """Return where an unfinished download of the wheel *sha256* is kept; lock the wheel first."""
        return self.root / "parts" / f"{_check_key(sha256)}.part"

    def publish_part(self, sha256: str) -> Path:
        """Make the complete and verified download of the wheel *sha256* an entry."""
        final = self._final("wheels", sha256)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            self.part(sha256).replace(final)
        except OSError as error:
            raise unwritable(final, error) from error
        return final

    def lock(self, kind: Kind, key: str, wait: Wait) -> contextlib.AbstractContextManager[None]:
        """Lock the entry *key*, so that only one process makes it; call *wait* while another holds the lock."""
        return locked(self.root / "locks" / f"{kind}-{_check_key(key)}", wait=wait)

    # The whole cache

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the cache, so that nothing is removed from it. It is made if it is not there."""
        self._make()
        with locked(self.root / "locks" / "use", shared=True):
            self._remove_stale()
            yield

    def info(self) -> dict[str, Usage]:
        """Return what is there of each kind."""
        usages: dict[str, Usage] = {kind: _sum(self._entries(kind)) for kind in KINDS}
        uv = self.root / "uv"
        return usages | {"parts": _sum(self._parts()), "uv": _sum([uv] if uv.is_dir() else [])}

    def prune(self, *, max_age: float | None = None, max_bytes: int | None = None) -> dict[str, Usage]:
        """Remove entries not used for *max_age* seconds, then the least recently used beyond *max_bytes* in all.

        Return what was removed. What uv keeps is left alone. Raise ``BundleError`` if a process is using the cache.
        """
        if not self.root.is_dir():
            return {}
        with self._hold_alone():
            self._remove_stale()
            paths: dict[Path, str] = {path: kind for kind in KINDS for path in self._entries(kind)}
            paths |= dict.fromkeys(self._parts(), "parts")
            found = [(_used(path), _size(path), kind, path) for path, kind in paths.items()]
            oldest = float("-inf") if max_age is None else time.time() - max_age
            most = float("inf") if max_bytes is None else max_bytes
            total = sum(size for _, size, _, _ in found)
            removed: dict[str, list[int]] = {}
            for used, size, kind, path in sorted(found):
                if used < oldest or total > most:
                    total -= size
                    _remove(path)
                    removed.setdefault(kind, []).append(size)
        return {kind: Usage(len(sizes), sum(sizes)) for kind, sizes in removed.items()}

    def clear(self) -> dict[str, Usage]:
        """Remove everything, and return what it was. Raise ``BundleError`` if a process is using the cache."""
        if not self.root.is_dir():
            return {}
        with self._hold_alone():
            usages = self.info()
            # Only what is ours by its name: the directory is the user's choice.
            for kind in KINDS:
                for path in self._entries(kind):
                    _remove(path)
            _remove(self.root / "uv")
            _remove(self.root / "parts")
            _remove(self.root / "temporary")
        return {kind: usage for kind, usage in usages.items() if usage.count}

    # Internals

    def _final(self, kind: Kind, key: str) -> Path:
        return self.root / kind / _check_key(key)[:2] / key

    def _entries(self, kind: Kind) -> list[Path]:
        return [path for path in (self.root / kind).glob("[0-9a-f][0-9a-f]/*") if _KEY.fullmatch(path.name)]

    def _parts(self) -> list[Path]:
        return list((self.root / "parts").glob("*.part"))

    def _make(self) -> None:
        try:
            for name in ("temporary", "parts", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            tag = self.root / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_text(_TAG, encoding="ascii")
        except OSError as error:
            raise unwritable(self.root, error) from error
        if not os.access(self.root / "temporary", os.W_OK | os.X_OK):
            raise unwritable(self.root, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))

    @contextlib.contextmanager
    def _new(self, kind: Kind, key: str, *, directory: bool) -> Iterator[New]:
        new = New(self.root / "temporary" / f"{kind}-{secrets.token_hex(12)}", self._final(kind, key))
        old = new.path.with_name(f"{new.path.name}.old")
        self._make()
        with contextlib.ExitStack() as held:
            try:
                new.final.parent.mkdir(parents=True, exist_ok=True)
                # Locked, so that nobody takes the new file for a stale one before it is locked itself.
                with locked(self.root / "locks" / "temporary"):
                    new.path.mkdir() if directory else new.path.touch(exist_ok=False)
                    held.enter_context(locked(new.path, create=False))
            except OSError as error:
                raise unwritable(new.path, error) from error
            try:
                yield new
            except OSError as error:
                if error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(self.root):
                    raise unwritable(Path(os.fsdecode(error.filename)), error) from error
                raise
            finally:
                _remove(new.path)
                _remove(old)

    def _remove_stale(self) -> None:
        """Remove what dead processes have left."""
        with contextlib.suppress(OSError), locked(self.root / "locks" / "temporary"):
            for path in (self.root / "temporary").iterdir():
                with contextlib.suppress(OSError):
                    if (lock := lock_file(path, create=False)) is not None:
                        _remove(path)
                        os.close(lock)
        # Downloads that nobody has resumed.
        for path in (self.root / "parts").iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - _PARTS_MAX_AGE:
                    path.unlink()

    @contextlib.contextmanager
    def _hold_alone(self) -> Iterator[None]:
        self._make()
        try:
            lock = lock_file(self.root / "locks" / "use")
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise unwritable(self.root, error) from error
            yield  # without locks, nobody knows who uses the cache
            return
        if lock is None:
            raise BundleError(self.root, "another process is using this cache", hint="try again when it has ended")
        try:
            yield
            # Whoever locks an entry also holds the cache: these lock files are not in use.
            for kind in KINDS:
                for path in (self.root / "locks").glob(f"{kind}-*"):
                    path.unlink(missing_ok=True)
        finally:
            os.close(lock)


def _check_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"not 64 lower-case hex digits: {key!r}")
    return key


def unwritable(path: Path, error: OSError) -> BundleError:
    """Return the error for a cache that cannot be written to."""
    hint = "free some space, or choose another cache directory with BUNDLE_CACHE_DIR or --cache-dir"
    if error.errno not in FULL:
        hint = "choose another cache directory with BUNDLE_CACHE_DIR or --cache-dir"
    return BundleError(path, f"cannot be written: {error.strerror or error}", hint=hint)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a directory."""
    try:
        if not path.is_dir():
            return path.stat().st_size
    except OSError:
        return 0
    return sum(_sizes(path).values())


def _sizes(directory: Path) -> dict[str, int]:
    """Return the size of each file below *directory*, by its name there."""
    files = [Path(where, name) for where, _, names in os.walk(directory) for name in names]
    return {str(path.relative_to(directory)): path.lstat().st_size for path in files}


def _sum(paths: Sequence[Path]) -> Usage:
    return Usage(len(paths), sum(map(_size, paths)))


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    """Remove a file or a directory, if it is there and can be removed."""
    with contextlib.suppress(OSError):
        path.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)
