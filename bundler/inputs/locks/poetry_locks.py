"""``poetry.lock`` → the versions in it, with their hashes.

* Format 2.1 (Poetry 2) says of each package which groups need it, and where: these are the requirements.
* Formats 1.0 to 2.0 do not. There the ``pyproject.toml`` beside the lock says what is needed, and the lock's versions
  are constraints. A package that is locked in several versions has to be one by its ``python-versions``.
* Format 1 has the hashes of all packages in one table at its end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from bundler.inputs.documents import Table, header_lines, line_of, read_document
from bundler.inputs.listings import Chosen, Input, Line, Listing
from bundler.inputs.locks.lock_age import warn_of_poetry
from bundler.inputs.locks.locked_packages import LockedPackage, both, git_place, parse_marker, path_place, plain
from bundler.inputs.poetry_versions import python_marker, specifiers
from bundler.inputs.pyproject import parse_pyproject
from bundler.inputs.python_versions import WantedPython
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from packaging.utils import NormalizedName

_MAIN = canonicalize_name("main")
_KNOWN = ("1.", "2.")


def read_poetry_lock(path: Path, chosen: Chosen) -> Input:
    """Return what the ``poetry.lock`` at *path* locks; raise ``UsageError`` if it does not say enough."""
    text, root = read_document(path)
    metadata = root.table("metadata")
    version = metadata.text("lock-version")
    if version and not version.startswith(_KNOWN):
        raise UsageError(path, "has a format that is not known", got=version, want="1.0 to 2.1")
    packages = root.tables("package")
    numbers = header_lines(text, "package", len(packages))
    says_groups = any("groups" in package for package in packages)
    wanted = {*chosen.groups, _MAIN}
    old_hashes = metadata.table("files")
    lines = []
    groups: set[NormalizedName] = set()
    for package, number in zip(packages, numbers, strict=True):
        at = f"{path.name}:{number}"
        needed_by = [*map(canonicalize_name, package.texts("groups"))]
        groups.update(needed_by)
        if says_groups and wanted.isdisjoint(needed_by):
            continue
        marker = _marker(package, needed_by, wanted, at) if says_groups else None
        python = package.text("python-versions")
        lines.append(_locked(package, old_hashes, number, at, path.parent, both(marker, python_marker(python, at))))
    locked = Listing(path=path, lines=tuple(lines))
    names = frozenset(map(canonicalize_name, root.table("extras").fields))
    warnings = warn_of_poetry(path.parent / "pyproject.toml", metadata.text("content-hash"))
    if says_groups or not packages:
        return Input(
            path=path,
            requirements=locked,
            python=_python(metadata, text, path),
            is_lock=True,
            chosen=Chosen(extras=chosen.extras & names),
            extras=names,
            groups=frozenset(groups - {_MAIN}),
            warnings=warnings,
        )
    return replace(under_constraints(path, locked, chosen), warnings=warnings)


def under_constraints(path: Path, locked: Listing, chosen: Chosen) -> Input:
    """Return what the ``pyproject.toml`` beside the lock at *path* asks for, in the versions that are *locked*."""
    project = path.parent / "pyproject.toml"
    if not project.is_file():
        what = "has no pyproject.toml beside it, and does not say itself which packages are needed"
        raise UsageError(path, what, hint="put it there, or lock again with a newer version of its tool")
    text, root = read_document(project)
    asked = parse_pyproject(text, root, project, chosen)
    places = {line.name: line.text for line in locked.lines if line.name is not None and " @ " in line.text}
    lines = [_as_locked(line, places) for line in asked.requirements.lines]
    direct = {line.name for line in lines}
    return Input(
        path=path,
        requirements=Listing(path=project, lines=tuple(lines)),
        constraints=Listing(path=path, lines=tuple(line for line in locked.lines if line.name not in direct)),
        python=asked.python,
        is_lock=True,
        chosen=chosen,
        extras=asked.extras,
        groups=asked.groups,
    )


def _as_locked(line: Line, places: dict[NormalizedName, str]) -> Line:
    """Return *line* with the place that the lock has for its package, if it has one."""
    name = canonicalize_name(line.text.partition("[")[0].split()[0])
    if name not in places:
        return line
    marker = line.text.partition(" ; ")[2]
    return Line(number=line.number, text=f"{places[name]}{f' ; {marker}' if marker else ''}", name=name)


def _marker(
    package: Table, needed_by: Iterable[NormalizedName], wanted: Iterable[NormalizedName], at: str
) -> Marker | None:
    """Return where *package* is needed by those groups that are *wanted*; None: everywhere."""
    if isinstance(package.fields.get("markers", ""), str):
        return parse_marker(package.text("markers"), at)
    by_group = package.table("markers")
    markers = {canonicalize_name(group): parse_marker(by_group.text(group), at) for group in by_group.fields}
    found = [markers.get(group) for group in needed_by if group in wanted]
    if None in found:
        return None
    return Marker(" or ".join(f"({marker})" for marker in found))


def _locked(package: Table, old_hashes: Table, number: int, at: str, directory: Path, marker: Marker | None) -> Line:
    files = package.tables("files") if "files" in package else old_hashes.tables(package.text("name"))
    source = package.table("source")
    kind, url = source.text("type"), source.text("url")
    place, inner = "", source.text("subdirectory")
    if kind == "git":
        place = git_place(url, source.text("resolved_reference"), inner, at)
    elif kind in ("directory", "file"):
        place = path_place(f"{url}/{inner}" if inner else url, directory, at)
    elif kind == "url":
        place = plain(url, at)
    elif kind not in ("", "legacy", "pypi"):
        raise UsageError(at, "is from a place of a kind that is not known", got=kind)
    return LockedPackage(
        where=at,
        number=number,
        name=package.text("name"),
        version=package.text("version"),
        hashes=() if kind in ("git", "directory") else tuple(file.text("hash") for file in files),
        place=place,
        marker=marker,
        registry="" if place else url,
    ).line()


def _python(metadata: Table, text: str, path: Path) -> WantedPython | None:
    versions = metadata.text("python-versions")
    if not versions or "||" in versions:
        return None
    where = f"{path.name}:{line_of(text, '[metadata]', 'python-versions')}"
    return WantedPython.of(specifiers(versions, where), text=f"python {versions}", where=where)
