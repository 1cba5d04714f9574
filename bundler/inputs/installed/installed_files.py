"""The files of an environment ↔ what the RECORDs of its distributions say: what was changed, is missing, is foreign.

* ``.pyc`` do not count: Python writes them. Programs in ``bin`` do not either: installers write their first lines.
* A path of RECORD never leads out of the environment; a link is not followed, and counts as changed.
* Of several distributions with one file the last has written it: for the others it is overwritten, unless it is the
  ``__init__.py`` of a namespace package, of which each form does the same.
* In a ``--target`` directory ``bin``, ``share`` and the like lie beside the packages. pip lists ``../../bin/NAME`` for
  what it has put into ``bin`` of the directory itself, uv ``bin/NAME``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import posixpath
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.inputs.installed.environments import some
from bundler.inputs.installed.installed_projects import DIST_INFO
from bundler.runtime.errors import ContentError
from bundler.small_files import read_bytes
from bundler.wheels.install import MAX_STUB
from bundler.wheels.namespace_stubs import is_namespace_stub
from bundler.wheels.records import Row, parse_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.inputs.installed.environments import Environment
    from bundler.inputs.installed.installed_projects import InstalledProject

MAX_FILES = 500_000
CHUNK = 1 << 20
_MAX_RECORD = 64 << 20
_COLUMNS = 3
_UP = 2  # how far pip's --target is from where pip installed first: lib/python
# What an installer leaves in a .dist-info beside the wheel's own files, listed or not.
INSTALLERS = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
# What makes the environment: virtualenv's own start-up code, uv's lock of a --target.
_OF_THE_ENVIRONMENT = ("_virtualenv.py", "_virtualenv.pth", ".lock")
_BESIDE = ("bin", "include", "share", "etc")  # of a --target: what lies beside the packages


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file that a RECORD lists: where it is, below the environment; *row* is None where there is no hash of it.

    *path* begins at ``site-packages``, at ``bin``, or, as *scheme* says, at the root of the environment.
    """

    scheme: str
    path: str
    place: Path
    row: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A distribution and its files: all that RECORD lists, and what of them is not as it says.

    *overwritten* are files that another distribution has written since: path → that distribution.
    """

    project: InstalledProject
    files: tuple[ListedFile, ...]
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    outside: tuple[str, ...]
    overwritten: Mapping[str, str] = field(default_factory=dict)

    @property
    def difference(self) -> str | None:
        """What differs from RECORD, in words; None if nothing does."""
        parts = [
            f"{len(paths)} {word} ({some(paths)})"
            for word, paths in (
                ("changed", tuple(path for path in self.changed if path not in self.overwritten)),
                ("overwritten", tuple(f"{path} by {other}" for path, other in self.overwritten.items())),
                ("missing", self.missing),
                ("outside of the environment", self.outside),
            )
            if paths
        ]
        return f"{self.project}: differs from its RECORD: {', '.join(parts)}" if parts else None


def has_record(project: InstalledProject) -> bool:
    """Tell whether the files of *project* are listed with their hashes."""
    return not project.is_egg and (project.info / "RECORD").is_file()


def compare_all(environment: Environment) -> list[Compared]:
    """Hash the files of all that has a RECORD in *environment*; raise ``ContentError`` if a RECORD is none."""
    compared = [_compare(project, environment) for project in environment.projects.values() if has_record(project)]
    owners: dict[Path, str] = {}
    for each in compared:
        owners |= {file.place: str(each.project) for file in each.files if file.path not in each.changed}
    return [
        replace(
            each,
            overwritten={
                file.path: owners[file.place]
                for file in each.files
                if file.path in each.changed and file.place in owners
            },
        )
        for each in compared
    ]


def _compare(project: InstalledProject, environment: Environment) -> Compared:
    listed, outside = _listed(project, environment)
    files: list[ListedFile] = []
    changed: list[str] = []
    missing: list[str] = []
    for file in listed:
        state = "same" if file.scheme == "scripts" else _state(file, project, environment.root)
        files.append(replace(file, row=None) if state == "another stub" else file)
        if state in ("changed", "missing"):
            (missing if state == "missing" else changed).append(file.path)
    return Compared(
        project=project, files=tuple(files), changed=tuple(changed), missing=tuple(missing), outside=tuple(outside)
    )


def foreign_files(environment: Environment, compared: list[Compared]) -> list[str]:
    """Return the files of ``site-packages`` that belong to no distribution, sorted."""
    listed = {file.path for each in compared for file in each.files if file.scheme != "data"}
    without = [project for project in environment.projects.values() if not has_record(project)]
    claimed = {name for project in without for name in _claimed(project)}
    infos = {project.info.name for project in environment.projects.values()}
    found = []
    for path in _walk(environment):
        top, _, rest = path.partition("/")
        own = rest in INSTALLERS if top.endswith(DIST_INFO) and top in infos else top in infos
        if not own and path not in listed and top.partition(".")[0] not in claimed:
            found.append(path)
    return found


def open_inside(place: Path, root: Path) -> io.BufferedReader:
    """Open the regular file *place* below *root*; raise ``OSError`` for a link, on the way to it as well."""
    for parent in place.parents:
        if parent == root:
            break
        if not stat.S_ISDIR(parent.lstat().st_mode):
            raise NotADirectoryError(f"{parent} is a link, or no directory")
    file = os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{place} is no regular file")
    return file


def _listed(project: InstalledProject, environment: Environment) -> tuple[list[ListedFile], list[str]]:
    """Return what RECORD lists, but ``.pyc``, and what of it is not in the environment."""
    where = project.info / "RECORD"
    try:
        text = read_bytes(where, _MAX_RECORD).decode("utf-8")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContentError(where, f"cannot be read: {error}", hint="reinstall it there", rule="A9") from None
    if len(lines) > MAX_FILES:
        raise ContentError(where, "lists more files than a wheel may have", got=len(lines), rule="A6")
    seen = set()
    files: list[ListedFile] = []
    outside: list[str] = []
    for line in lines:
        path, hashed, size = line if len(line) == _COLUMNS else (line[0], "", "")
        if path.endswith(".pyc") or path in seen:
            continue
        seen.add(path)
        place = _place(path, environment)
        if place is None:
            outside.append(path)
            continue
        scheme, name, below = place
        row = parse_row(hashed, size, None, str(where), []) if hashed else None
        row = row if isinstance(row, Row) else None
        files.append(ListedFile(scheme=scheme, path=name, place=environment.root / below, row=row))
    return files, outside


def _place(path: str, environment: Environment) -> tuple[str, str, str] | None:
    """Return the scheme of *path* in RECORD, its path in that, and its path below the root of the environment.

    None if it is not in the environment.
    """
    site = environment.site_packages.relative_to(environment.root).as_posix()
    below = posixpath.normpath(path if environment.is_plain else f"{site}/{path}")
    moved = environment.is_plain and below.startswith("../" * _UP) and not below.startswith("../" * (_UP + 1))
    if moved:
        below = below.removeprefix("../" * _UP)
    if path.startswith("/") or below.startswith(("/", "..")) or below == "." or "\0" in below:
        return None
    if below.startswith("bin/"):
        return "scripts", below.removeprefix("bin/"), below
    if environment.is_plain:
        beside = moved or below.partition("/")[0] in _BESIDE
        return ("data" if beside else "site-packages"), below, below
    if below.startswith(f"{site}/"):
        return "site-packages", below.removeprefix(f"{site}/"), below
    return "data", below, below


def _state(file: ListedFile, project: InstalledProject, root: Path) -> str:
    """Return ``same``, ``another stub`` (of a namespace package), ``changed`` or ``missing``."""
    try:
        with open_inside(file.place, root) as opened:
            if file.path.startswith(f"{project.info.name}/") and file.path.rpartition("/")[2] in INSTALLERS:
                return "same"
            size = os.fstat(opened.fileno()).st_size
            if file.row is not None and size == file.row.size:
                hasher = hashlib.new(file.row.algorithm)
                while chunk := opened.read(CHUNK):
                    hasher.update(chunk)
                if hasher.digest() == file.row.digest:
                    return "same"
                opened.seek(0)
            small = file.path.endswith("/__init__.py") and file.row is not None and 0 < size <= MAX_STUB
            return "another stub" if small and is_namespace_stub(opened.read(MAX_STUB)) else "changed"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "changed"


def _claimed(project: InstalledProject) -> Iterator[str]:
    """Yield the names in ``site-packages`` that *project*, which has no RECORD, says are its own."""
    for name in ("installed-files.txt", "top_level.txt"):
        file = project.info / name
        if project.info.is_dir() and file.is_file() and not file.is_symlink():
            for line in read_bytes(file, _MAX_RECORD).decode("utf-8", "replace").split("\n"):
                base = "" if name == "top_level.txt" else f"{project.info.name}/"
                yield posixpath.normpath(f"{base}{line.strip()}").partition("/")[0].partition(".")[0]


def _walk(environment: Environment) -> Iterator[str]:
    """Yield the files and links of ``site-packages``, by their paths in it, sorted; links are not followed."""
    count = 0
    site = environment.site_packages
    for directory, subdirectories, names in os.walk(site):
        here = os.path.relpath(directory, site)
        links = [name for name in subdirectories if Path(directory, name).is_symlink()]
        subdirectories[:] = sorted(name for name in subdirectories if name != "__pycache__" and name not in links)
        if here == "." and environment.is_plain:
            subdirectories[:] = [name for name in subdirectories if name not in _BESIDE]
        count += len(names)
        if count > MAX_FILES:
            raise ContentError(site, "has more files than an environment has", want=MAX_FILES, rule="A6")
        for name in sorted([*names, *links]):
            if not name.endswith(".pyc") and not (here == "." and name in _OF_THE_ENVIRONMENT):
                yield name if here == "." else f"{here}/{name}"
