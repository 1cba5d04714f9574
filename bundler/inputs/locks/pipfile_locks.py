"""``Pipfile.lock`` → the versions in it, with their hashes.

* ``default`` is what is taken; the group ``dev`` is ``develop``, another one is the category of that name.
* A package may be there without a version: pipenv writes so for what its own platform does not need. It is asked for by
  its name, and that is said.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.inputs.documents import Table, line_of, read_document
from bundler.inputs.listings import Input, Line, Listing
from bundler.inputs.locks.lock_age import warn_of_pipenv
from bundler.inputs.locks.locked_packages import LockedPackage, both, git_place, parse_marker, path_place, plain
from bundler.inputs.python_versions import WantedPython
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.markers import Marker

    from bundler.inputs.listings import Chosen

_FORMAT = 6
_GROUPS = {"develop": "dev"}
_MARKERS = (
    *("os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_system"),
    *("python_version", "python_full_version", "implementation_name"),
)


def read_pipfile_lock(path: Path, chosen: Chosen) -> Input:
    """Return what the ``Pipfile.lock`` at *path* locks."""
    text, root = read_document(path)
    meta = root.table("_meta")
    if meta.fields.get("pipfile-spec") != _FORMAT:
        got = meta.fields.get("pipfile-spec", "none")
        raise UsageError(path, "has a format that is not known", got=got, want=f"pipfile-spec {_FORMAT}")
    sources = meta.tables("sources")
    registries = {source.text("name"): source.text("url") for source in sources}
    default = sources[0].text("url") if sources else ""
    groups = {canonicalize_name(_GROUPS.get(key, key)): key for key in root.fields if key not in ("_meta", "default")}
    lines: dict[str, Line] = {}
    unlocked = []
    for section in ("default", *(groups[group] for group in sorted(chosen.groups & set(groups)))):
        packages = root.table(section)
        for name in packages.fields:
            number = line_of(text, f'\n    "{section}"', f'\n        "{name}"')
            package = packages.table(name)
            registry = registries.get(package.text("index"), default)
            line = _locked(name, package, number, f"{path.name}:{number}", path.parent, registry)
            if line.text == line.name:
                unlocked.append(name)
            lines.setdefault(f"{line.text} ; {line.marker}", line)
    warnings = [f"has no version of {', '.join(unlocked)}: the newest is taken"] if unlocked else []
    warnings += warn_of_pipenv(path.with_name("Pipfile"), meta.table("hash").text("sha256"))
    return Input(
        path=path,
        requirements=Listing(path=path, lines=tuple(lines.values())),
        python=_python(meta.table("requires"), text, path),
        is_lock=True,
        groups=frozenset(groups),
        warnings=tuple(warnings),
    )


def _python(requires: Table, text: str, path: Path) -> WantedPython | None:
    for key in ("python_full_version", "python_version"):
        if key in requires:
            version = requires.text(key)
            where = f"{path.name}:{line_of(text, key)}"
            return WantedPython.of(f"=={version}", text=f"{key} {version}", where=where)
    return None


def _locked(name: str, package: Table, number: int, at: str, directory: Path, registry: str) -> Line:
    place = ""
    if "git" in package:
        place = git_place(package.text("git"), package.text("ref"), package.text("subdirectory"), at)
    elif "path" in package:
        place = path_place(package.text("path"), directory, at)
    elif "file" in package:
        url = package.text("file")
        place = plain(url, at) if "://" in url else path_place(url, directory, at)
    version = package.text("version")
    marker = _marker(package, at)
    if not place and version in ("", "*"):
        checked = LockedPackage(where=at, number=number, name=name, version="0", marker=marker).line()
        return replace(checked, text=str(checked.name))
    return LockedPackage(
        where=at,
        number=number,
        name=name,
        version=version.removeprefix("=="),
        hashes=() if "git" in package else tuple(package.texts("hashes")),
        place=place,
        marker=marker,
        registry="" if place else registry,
    ).line()


def _marker(package: Table, at: str) -> Marker | None:
    own = [parse_marker(f"{key} {package.text(key)}", at) for key in _MARKERS if key in package]
    return both(parse_marker(package.text("markers"), at), *own)
