"""``pdm.lock`` → the versions in it, with their hashes.

* With PDM's strategy ``inherit_metadata``, its default, each package has the groups that need it, and a marker.
* Without it, the ``pyproject.toml`` beside the lock says what is needed, and the lock's versions are constraints.
* An extra of the project is a group in this file. A package with extras is there twice, with the same files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.inputs.documents import Table, header_lines, line_of, read_document
from bundler.inputs.listings import Chosen, Input, Line, Listing
from bundler.inputs.locks.locked_packages import LockedPackage, both, git_place, parse_marker, path_place, plain
from bundler.inputs.locks.poetry_locks import under_constraints
from bundler.inputs.poetry_versions import python_marker
from bundler.inputs.python_versions import WantedPython
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_MAIN = canonicalize_name("default")
_ROOT = re.compile(r"file:///\$\{PROJECT_ROOT\}/?")


def read_pdm_lock(path: Path, chosen: Chosen) -> Input:
    """Return what the ``pdm.lock`` at *path* locks; raise ``UsageError`` if it does not say enough."""
    text, root = read_document(path)
    metadata = root.table("metadata")
    version = metadata.text("lock_version")
    if not version.startswith("4."):
        raise UsageError(path, "has a format that is not known", got=version or "none", want="4.x")
    packages = root.tables("package")
    numbers = header_lines(text, "package", len(packages))
    says_groups = "inherit_metadata" in metadata.texts("strategy")
    wanted = {*chosen.groups, *chosen.extras, _MAIN}
    lines: dict[str, Line] = {}
    for package, number in zip(packages, numbers, strict=True):
        if says_groups and wanted.isdisjoint(map(canonicalize_name, package.texts("groups"))):
            continue
        line = _locked(package, number, f"{path.name}:{number}", path.parent)
        lines.setdefault(f"{line.text} ; {line.marker}", line)
    locked = Listing(path=path, lines=tuple(lines.values()))
    if not says_groups and packages:
        return under_constraints(path, locked, chosen)
    groups = frozenset(map(canonicalize_name, metadata.texts("groups"))) - {_MAIN}
    return Input(
        path=path,
        requirements=locked,
        python=_python(metadata, text, path),
        is_lock=True,
        extras=groups,
        groups=groups,
    )


def _python(metadata: Table, text: str, path: Path) -> WantedPython | None:
    """Return the Python of the lock's only target; None if it has several."""
    targets = metadata.tables("targets")
    if len(targets) != 1 or "requires_python" not in targets[0]:
        return None
    versions = targets[0].text("requires_python")
    where = f"{path.name}:{line_of(text, 'metadata.targets', 'requires_python')}"
    return WantedPython.of(versions, text=f"requires_python {versions}", where=where)


def _locked(package: Table, number: int, at: str, directory: Path) -> Line:
    place = ""
    if "git" in package:
        place = git_place(package.text("git"), package.text("revision"), package.text("subdirectory"), at)
    elif "path" in package:
        place = path_place(package.text("path"), directory, at)
    elif "url" in package:
        url = package.text("url")
        local = _ROOT.match(url)
        place = path_place(url[local.end() :], directory, at) if local else plain(url, at)
    files = package.tables("files")
    return LockedPackage(
        where=at,
        number=number,
        name=package.text("name"),
        version=package.text("version"),
        hashes=tuple(file.text("hash") for file in files if "hash" in file) if "git" not in package else (),
        place=place,
        marker=both(
            parse_marker(package.text("marker"), at),
            python_marker(package.text("requires_python"), at) if "requires_python" in package else None,
        ),
    ).line()
