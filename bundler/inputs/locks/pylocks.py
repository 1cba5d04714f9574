"""Another tool's ``pylock.toml`` (PEP 751) → the versions in it, with their hashes.

* ``extras`` and ``dependency_groups`` in its markers are what is chosen; else its ``default-groups``.
* Of a version in an index, any file that is listed will do: the one that fits is found by the resolver, by its hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.inputs.documents import header_lines, line_of, read_document
from bundler.inputs.listings import Chosen, Input, Listing
from bundler.inputs.locks.locked_packages import LockedPackage, git_place, path_place, plain
from bundler.inputs.python_versions import WantedPython
from bundler.locks import parse_pylock
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packaging.pylock import Package, Pylock

    from bundler.inputs.listings import Line


def read_pylock(path: Path, chosen: Chosen) -> Input:
    """Return what the ``pylock.toml`` at *path* locks."""
    text, _ = read_document(path)
    pylock = parse_pylock(text, path)
    numbers = header_lines(text, "packages", len(pylock.packages))
    python = None
    if pylock.requires_python is not None:
        versions = str(pylock.requires_python)
        where = f"{path.name}:{line_of(text, 'requires-python')}"
        python = WantedPython.of(versions, text=f"requires-python {versions}", where=where)
    groups = frozenset(map(canonicalize_name, (*(pylock.dependency_groups or ()), *(pylock.default_groups or ()))))
    default = frozenset(map(canonicalize_name, pylock.default_groups or ()))
    extras = frozenset(pylock.extras or ())
    return Input(
        path=path,
        requirements=Listing(path=path, lines=locked_lines(pylock, path, path.parent, numbers.__getitem__)),
        python=python,
        environments=tuple(pylock.environments or ()),
        is_lock=True,
        chosen=Chosen(extras=chosen.extras & extras, groups=chosen.groups & groups or default),
        extras=extras,
        groups=groups,
    )


def locked_lines(pylock: Pylock, path: Path, directory: Path, number_of: Callable[[int], int]) -> tuple[Line, ...]:
    """Return a line for each package of *pylock*, which was read from *path*.

    Its paths are relative to *directory*; *number_of* tells the line of the n-th package.
    """
    lines = []
    for index, package in enumerate(pylock.packages):
        number = number_of(index)
        lines.append(_locked(package, f"{path.name}:{number}", number, directory).line())
    return tuple(lines)


def _locked(package: Package, where: str, number: int, directory: Path) -> LockedPackage:
    files = [*(package.wheels or ()), *([package.sdist] if package.sdist else ())]
    place, hashes = "", [f"{kind}:{text}" for file in files for kind, text in file.hashes.items()]
    if package.vcs is not None:
        vcs = package.vcs
        if vcs.type != "git":
            raise UsageError(where, "is a repository of another kind", got=vcs.type, want="git")
        url = vcs.url or path_place(vcs.path or "", directory, where)
        place = git_place(url, vcs.commit_id, vcs.subdirectory or "", where)
    elif package.directory is not None:
        inner = f"/{package.directory.subdirectory}" if package.directory.subdirectory else ""
        place = path_place(f"{package.directory.path}{inner}", directory, where)
    elif package.archive is not None:
        archive = package.archive
        place = plain(archive.url, where) if archive.url else path_place(archive.path or "", directory, where)
        hashes = [f"{kind}:{text}" for kind, text in archive.hashes.items()]
    return LockedPackage(
        where=where,
        number=number,
        name=package.name,
        version=str(package.version or ""),
        hashes=tuple(hashes),
        place=place,
        marker=package.marker,
        registry=package.index or "",
    )
