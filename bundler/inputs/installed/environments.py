"""A directory → the environment that it is: its ``site-packages``, its Python, and what is installed there.

* It is a virtual environment, or what ``pip install --target`` has made: a directory with ``*.dist-info`` in it.
* Refused, with what to do instead: one of conda, one of Windows, editable installs, a distribution that is broken or
  installed twice, a ``site-packages`` that lies somewhere else. All that is wrong is told at once.
* Noted: packages of the host that it sees, ``.pth`` lines that lead out of it, what conda or setuptools installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.inputs.installed.installed_projects import DIST_INFO, InstalledProject
from bundler.installed_distributions import pyvenv_settings
from bundler.runtime.errors import BundleError, ContentError, Faults, UsageError
from bundler.runtime.sites import lines_of, runs
from bundler.small_files import read_bytes
from bundler.targets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from bundler.runtime.targets import Target

MAX_FAULTS = 20
_MAX_ENTRIES = 100_000
_MAX_PTH = 1 << 20
_VERSION = re.compile(r"(?P<minor>3\.[0-9]{1,2})(?P<patch>\.[0-9]{1,3})?", re.ASCII)
_CPYTHON = re.compile(r"cp3([0-9]{1,2})", re.ASCII)
_EGGS = (".egg-info", ".egg")
_EDITABLE = re.compile(r"__editable__.*|.*\.egg-link")
_WITHOUT_THE_HOST = "virtualenv --clear {root} without --system-site-packages, and install again"
_FREEZE = "pip freeze > requirements.txt there, and -r requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPython:
    """The version of Python that an environment was made with, *minor* and complete if it is known; who says so."""

    where: str
    minor: str
    version: str

    def find_target(self) -> tuple[str | None, str | None]:
        """Return the names of a preset and of a complete version, as ``targets.find_target`` takes them."""
        for name, preset in PRESETS.items():
            if preset.python.startswith(f"{self.minor}."):
                return name, None
        if self.version == self.minor:
            what = "has a Python of which no preset is, and does not say its complete version"
            raise UsageError(self.where, what, got=self.minor, hint="name it: --python X.Y.Z")
        return None, self.version

    def check(self, target: Target, named_by: str) -> None:
        """Raise ``UsageError`` if *target*, which *named_by* has named, has another minor version."""
        if "{}.{}".format(*target.python_minor) != self.minor:
            hint = f"leave {named_by} away, or make the environment with the target's Python and install again"
            what = f"was made with another Python than {named_by} names"
            raise UsageError(self.where, what, got=self.version, want=target.python, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What is installed below *root*, by name. *python* is None where nothing tells it.

    *is_plain*: it is no virtual environment but a directory of packages. *notes* are what a user should hear.
    """

    root: Path
    site_packages: Path
    is_plain: bool
    python: EnvironmentPython | None
    projects: Mapping[NormalizedName, InstalledProject]
    notes: tuple[str, ...]


def read_environment(path: Path) -> Environment:
    """Return the environment at *path*; raise ``UsageError`` or ``ContentError`` if it cannot be taken."""
    root, site, python = _find(path)
    is_plain = site == root
    if not site.resolve().is_relative_to(root.resolve()):
        hint = f"name the directory itself: --venv {site.resolve()}"
        raise ContentError(site, "lies outside of the environment", got=site.resolve(), hint=hint, rule="A7")
    names = _names(site)
    projects = _projects(path, site, names)
    if not projects:
        what = "has nothing installed" if python else "is no virtual environment, and no *.dist-info is in it"
        hint = "name the directory that has pyvenv.cfg, or pip's --target"
        raise UsageError(path, what, hint=_WITHOUT_THE_HOST.format(root=root) if _sees_the_host(root) else hint)
    editable = list(_editable(site, names, projects.values()))
    if editable:
        what, got = "has editable installs, whose files are somewhere else", ", ".join(item for item, _ in editable)
        line = next((place for _, place in editable if place), "DIR")
        hint = f"list what you want in a file, with -e {line} for the project, and give that: -r FILE"
        raise UsageError(path, what, got=got, hint=f"{hint}; or pip install {line}, without -e")
    return Environment(
        root=root,
        site_packages=site,
        is_plain=is_plain,
        python=python or _python_of_wheels(path, projects.values()),
        projects=projects,
        notes=(*_notes(root, projects.values(), is_plain=is_plain), *_leaving(root, site, names)),
    )


def _find(path: Path) -> tuple[Path, Path, EnvironmentPython | None]:
    """Return root, ``site-packages`` and Python of the environment at *path*."""
    if not path.is_dir():
        what = "is no directory" if path.exists() else "does not exist"
        raise UsageError(path, what, want="a virtual environment", hint="name the directory that has pyvenv.cfg")
    if path.name == "site-packages" and len(path.parents) > 2 and (path.parents[2] / "pyvenv.cfg").is_file():  # noqa: PLR2004 - lib/pythonX.Y
        path = path.parents[2]
    if (path / "conda-meta").is_dir():
        hint = f"conda env export -p {path} > environment.yml, and -r environment.yml"
        raise UsageError(path, "is an environment of conda's, whose packages are not PyPI's", hint=hint)
    if (path / "Lib" / "site-packages").is_dir() or (path / "Scripts").is_dir():
        raise UsageError(path, "was made on Windows", want="a virtual environment of Linux", hint=_FREEZE)
    settings = pyvenv_settings(path)
    said = settings.get("version_info") or settings.get("version") or ""
    known = _VERSION.match(said)
    sites = sorted(site for site in path.glob("lib/python3.*/site-packages") if site.is_dir())
    named = [site for site in sites if known and site.parent.name == f"python{known['minor']}"]
    if len(named or sites) > 1:
        got = ", ".join(site.parent.name for site in sites)
        raise UsageError(path, "has packages for several Pythons", got=got, want="one", hint=f"name one: {sites[0]}")
    if not sites:
        return path, path, None
    site = (named or sites)[0]
    minor = site.parent.name.removeprefix("python")
    return path, site, _python_at(path, minor, known[0] if known and known["minor"] == minor else minor)


def _python_at(path: Path, minor: str, version: str) -> EnvironmentPython | None:
    if not _VERSION.fullmatch(minor):
        return None
    where = path / "pyvenv.cfg" if version != minor else path
    return EnvironmentPython(where=str(where), minor=minor, version=version)


def _python_of_wheels(path: Path, projects: Iterable[InstalledProject]) -> EnvironmentPython | None:
    """Return the one Python for which all wheels with native code were, if there is one."""
    minors = set()
    for project in projects:
        tags = {tag for tag in project.distribution.tags() if tag.abi not in ("none", "abi3")}
        minors |= {match[1] for tag in tags if (match := _CPYTHON.fullmatch(tag.interpreter))}
    if len(minors) != 1:
        return None
    minor = f"3.{minors.pop()}"
    return EnvironmentPython(where=f"{path} (the tags of its wheels)", minor=minor, version=minor)


def _names(site: Path) -> list[str]:
    """Return the names in *site*, sorted."""
    try:
        names = sorted(entry.name for entry in site.iterdir())
    except OSError as error:
        raise BundleError(site, f"cannot be read: {error.strerror}") from error
    if len(names) > _MAX_ENTRIES:
        raise ContentError(site, "has more entries than a site-packages has", got=len(names), rule="A6")
    return names


def _projects(path: Path, site: Path, names: Iterable[str]) -> dict[NormalizedName, InstalledProject]:
    found: dict[NormalizedName, InstalledProject] = {}
    faults: list[ContentError] = []
    for name in names:
        # What begins with ~ pip has moved away to remove it, and was interrupted: pip itself does not see it.
        if not name.endswith((DIST_INFO, *_EGGS)) or name.startswith("~"):
            continue
        try:
            project = InstalledProject.read(site / name)
        except ContentError as fault:
            faults.append(fault)
            continue
        other = found.setdefault(project.name, project)
        if other is not project:
            hint = f"remove the one that is not imported, or both: pip uninstall {project.name}, twice"
            got = f"{other.info.name}, {project.info.name}"
            faults.append(ContentError(f"{path}: {project.name}", "is installed twice", got=got, hint=hint, rule="A1"))
    raise_all(path, faults)
    return dict(sorted(found.items()))


def raise_all(path: Path, faults: list[ContentError]) -> None:
    """Raise *faults*, if there are any: as they are, or as one error that names them all, or the first of many."""
    if len(faults) > MAX_FAULTS:
        faults = [*faults[:MAX_FAULTS], ContentError(path, f"has {len(faults) - MAX_FAULTS} more faults")]
    if faults:
        raise Faults(path, faults) if len(faults) > 1 else faults[0]


def _editable(
    site: Path, names: Iterable[str], projects: Iterable[InstalledProject]
) -> Iterator[tuple[str, str | None]]:
    """Yield each editable install: what names it, and where its files are."""
    known = set()
    for project in projects:
        if project.direct_url is not None and project.direct_url.editable:
            known.add(project.name.replace("-", "_"))
            yield str(project), project.direct_url.path
    for name in names:
        if _EDITABLE.fullmatch(name) and not any(each in name.lower() for each in known):
            place = next(iter(_path_lines(site / name)), None)
            yield name, place if place and place.startswith("/") else None
        elif name == "easy-install.pth":
            for line in _path_lines(site / name):
                if line.startswith("/") and not Path(line).is_relative_to(site):
                    yield f"{name}: {line}", line


def _notes(root: Path, projects: Iterable[InstalledProject], *, is_plain: bool) -> Iterator[str]:
    if not is_plain and _sees_the_host(root):
        what = (
            "sees the packages of the host's Python too (include-system-site-packages = true), and they are not taken"
        )
        yield f"{root}: {what}: {_WITHOUT_THE_HOST.format(root=root)}"
    by_conda = [str(project) for project in projects if project.installer == "conda"]
    if by_conda:
        yield f"{root}: installed by conda, PyPI's wheels of the same version are taken: {some(by_conda)}"
    eggs = [str(project) for project in projects if project.is_egg]
    if eggs:
        yield f"{root}: without a RECORD (setup.py install), only name and version are known: {some(eggs)}"


def _sees_the_host(root: Path) -> bool:
    return pyvenv_settings(root).get("include-system-site-packages", "").lower() == "true"


def _leaving(root: Path, site: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield a note for each ``.pth`` file that puts directories outside of *root* onto the path."""
    for name in names:
        if not name.endswith(".pth"):
            continue
        outside = [line for line in _path_lines(site / name) if not _is_inside(site / line, root)]
        if outside:
            yield (
                f"{site / name}: puts what is not in the environment onto the path, and it is not taken:"
                f" {some(outside)}: install it there, or ship it beside your program"
            )


def _is_inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _path_lines(file: Path) -> list[str]:
    """Return the paths that *file*, a ``.pth`` or ``.egg-link``, names; of a link or what is no file, none."""
    if file.is_symlink() or not file.is_file():
        return []
    lines = (line.strip() for line in lines_of(read_bytes(file, _MAX_PTH)) if not runs(line))
    return [line for line in lines if line and not line.startswith("#") and "\0" not in line]


def some(names: Iterable[str], shown: int = 3) -> str:
    """Return the first few of *names* and how many more there are."""
    every = list(names)
    rest = len(every) - shown
    return ", ".join(every[:shown]) + (f" and {rest} more" if rest > 0 else "")
