"""A wheel → the files of the tree: every decision of *where*, and no file opened but scripts.

* purelib and platlib → ``site-packages/``, scripts → ``bin/``, data → the tree's root, headers → ``include/NAME/``.
* Shipped ``.pyc`` are dropped, and Sphinx's ``docs/source/conf.py`` beside the packages, which several wheels bring by
  accident (sktime and scikit-base); INSTALLER and RECORD are written anew; console scripts are made.
* A first line ``#!python`` of a shipped script becomes one that holds no path of any host.
* A10: other schemes are refused, and files that would replace the interpreter's programs or the tree's own files,
  unless they are excluded.
* A14: the ``__init__.py`` of a namespace package is the same from every wheel (``namespace_stubs``).
* A5: no two files of a wheel are installed at the same path, and none where another needs a directory.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.archives.portable_paths import folded
from bundler.runtime.errors import ContentError
from bundler.runtime.indexes import directories_of
from bundler.runtime.sites import SITE_PACKAGES
from bundler.wheels.entry_points import launcher, scripts_of
from bundler.wheels.namespace_stubs import is_namespace_stub
from bundler.wheels.records import record_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundler.wheels.wheel_reader import Entry, Wheel

__all__ = ["TreeFile", "chunks_of", "files_of", "record_text"]

MAX_SCRIPT = 4 << 20
_REPLACED = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json")
# Those of an interpreter and of a virtual environment; not what only begins like them.
_PROTECTED_SCRIPT = re.compile(
    r"bin/(?:pythonw?[0-9.]*t?(?:-config)?|pip[0-9.]*|(?:de)?activate(?:\.[a-z0-9]+)?|activate_this\.py)(?:\.exe)?"
)
_OF_SPHINX = re.compile(rf"{SITE_PACKAGES}/docs?/(?:source/)?conf\.py")
_RESERVED_PLACES = (".bundle", SITE_PACKAGES)
_SCRIPT_LINE = re.compile(rb"#!python[^\r\n]*\r?")


MAX_STUB = 4 << 10
NAMESPACE_STUB = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file to install: its path in the tree, size in bytes, sha256 in hex; its bytes are *data* or the *entry*'s."""

    path: str
    size: int
    sha256: str
    executable: bool
    entry: Entry | None = None
    data: bytes = b""


def files_of(wheel: Wheel, *, exclude: Sequence[str] = ()) -> tuple[TreeFile, ...]:
    """Return the files that *wheel* becomes, by path, without those that match a glob of *exclude*.

    RECORD is not among them: it is made of the others (``record_text``).
    """
    files: dict[str, TreeFile] = {}
    for file in _all_files(wheel, exclude):
        other = files.setdefault(folded(file.path), file)
        if other is not file:
            raise ContentError(f"{wheel.filename}: {file.path}", "would be installed twice", got=other.path, rule="A5")
    for path in directories_of(files):
        if path in files:
            raise ContentError(
                f"{wheel.filename}: {files[path].path}", "would be both a file and a directory", rule="A5"
            )
    return tuple(sorted(files.values(), key=lambda file: file.path))


def chunks_of(wheel: Wheel, file: TreeFile) -> Iterable[bytes]:
    """Return the bytes of *file*, verified."""
    return wheel.chunks(file.entry) if file.entry is not None else (file.data,)


def _all_files(wheel: Wheel, exclude: Sequence[str]) -> Iterator[TreeFile]:
    replaced = {f"{wheel.dist_info}/{name}" for name in _REPLACED}
    scripts = scripts_of(wheel.entry_points)
    # The launcher of an entry point replaces a shipped script of the same name.
    made = {f"bin/{name}" for name in scripts}
    for entry in wheel.entries:
        if entry.path in replaced or entry.path.endswith(".pyc") or "__pycache__/" in entry.path:
            continue
        path, is_script = _place(wheel, entry.path)
        if path in made or _OF_SPHINX.fullmatch(path) or _excluded(path, exclude):
            continue
        if entry.path.startswith(wheel.data_prefix):
            _check_place(wheel, entry, path)
        if is_script:
            yield _script(wheel, entry, path)
        elif namespace := _namespace_stub(wheel, entry, path):
            yield namespace
        else:
            yield _as_is(entry, path)
    generated = [(f"{SITE_PACKAGES}/{wheel.dist_info}/INSTALLER", b"bundler\n", False)]
    generated += [(f"bin/{name}", launcher(value), True) for name, value in scripts.items()]
    for path, data, executable in generated:
        if not _excluded(path, exclude):
            yield _generated(path, data, executable=executable)


def _excluded(path: str, exclude: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, glob) for glob in exclude)


def _place(wheel: Wheel, path: str) -> tuple[str, bool]:
    """Return where the file *path* of *wheel* goes, and whether it is a script (rule A10)."""
    if not path.startswith(wheel.data_prefix):
        return f"{SITE_PACKAGES}/{path}", False
    scheme, _, rest = path.removeprefix(wheel.data_prefix).partition("/")
    places = {
        "purelib": f"{SITE_PACKAGES}/",
        "platlib": f"{SITE_PACKAGES}/",
        "scripts": "bin/",
        "data": "",
        "headers": f"include/{wheel.name}/",
    }
    if scheme not in places or not rest:
        where = f"{wheel.filename}: {path}"
        raise ContentError(where, "is in an unknown data scheme", got=scheme, want=", ".join(places), rule="A10")
    return places[scheme] + rest, scheme == "scripts"


def _check_place(wheel: Wheel, entry: Entry, path: str) -> None:
    where = f"{wheel.filename}: {entry.path}"
    hint = f"leave it out with --exclude '{path}'"
    lower = folded(path)
    if _PROTECTED_SCRIPT.fullmatch(lower):
        raise ContentError(where, "would replace a program of the interpreter", got=path, hint=hint, rule="A10")
    from_root = entry.path.startswith(wheel.data_prefix + "data/")
    if from_root and lower.partition("/")[0] in _RESERVED_PLACES:
        raise ContentError(where, "would lie among files that are not its own", got=path, hint=hint, rule="A10")


def _as_is(entry: Entry, path: str) -> TreeFile:
    return TreeFile(path, entry.size, entry.sha256, entry.executable or path.startswith("bin/"), entry)


def _script(wheel: Wheel, entry: Entry, path: str) -> TreeFile:
    """Return a script whose first line, if it is ``#!python``, was made to look for Python on PATH."""
    if entry.size > MAX_SCRIPT:  # a binary program: no Python script is as large
        return _as_is(entry, path)
    data = b"".join(wheel.chunks(entry))
    line = _SCRIPT_LINE.match(data)
    if line is None:
        return _as_is(entry, path)
    return _generated(path, b"#!/usr/bin/env python3" + data[line.end() :], executable=True)


def _namespace_stub(wheel: Wheel, entry: Entry, path: str) -> TreeFile | None:
    """Return the ``__init__.py`` of a namespace package in its one form; None if it is something else.

    Several wheels bring the same one, which differs in line ends, comments and in how it says what it does. In a tree
    all parts of the package lie in one directory, so that each form does the same.
    """
    small = path.endswith("/__init__.py") and 0 < entry.size <= MAX_STUB
    if not small or not is_namespace_stub(b"".join(wheel.chunks(entry))):
        return None
    return _generated(path, NAMESPACE_STUB, executable=False)


def _generated(path: str, data: bytes, *, executable: bool) -> TreeFile:
    return TreeFile(path, len(data), hashlib.sha256(data).hexdigest(), executable, None, data)
