"""Settings that name files and directories → whether they are there, and are what the start script takes.

* Both are relative to the directory of the entry script. ``LIB_PATH`` must be one directory: with anything else the
  container exits with 97. ``REQUIREMENTS_TXT`` must be a file: else 99; a conda file: else 98.
* The start script joins directory and value as text, so a value that starts with ``/`` is relative, too.
* A directory outside the code folder is not uploaded with it.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.azureml.doctoring.deployments import CONDA, LIBRARY, REQUIREMENTS, Deployment
from bundler.azureml.doctoring.directories import packages_of
from bundler.azureml.doctoring.findings import Finding
from bundler.azureml.doctoring.setting_names import app_root

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXIT = {LIBRARY: 97, CONDA: 98, REQUIREMENTS: 99}
_FIND_LINKS = re.compile(r"\s*(?:-f|--find-links)[\s=]+(\S+)")


def locate(variable: str, deployment: Deployment) -> Path | None:
    """Return where *variable* points to, if it is set and something is there."""
    value = deployment.variables.get(variable)
    path = Path(os.path.normpath(f"{deployment.entry_directory}/{value}"))
    return path if value and path.exists() else None


def on_python_path(deployment: Deployment) -> Iterator[Path]:
    """Return the entries of ``PYTHONPATH`` that are in the code folder or, inside the container, anywhere."""
    for entry in filter(None, deployment.variables.get("PYTHONPATH", "").split(":")):
        if not entry.startswith("/"):
            yield Path(os.path.normpath(deployment.folder / entry))
        elif Path(entry).is_relative_to(app_root(deployment)):
            yield deployment.folder / Path(entry).relative_to(app_root(deployment))
        elif deployment.inside:
            yield Path(entry)


def check_library(deployment: Deployment) -> Iterator[Finding]:
    """Find what is wrong with the value of ``AZUREML_EXTRA_PYTHON_LIB_PATH``."""
    value = deployment.variables.get(LIBRARY)
    if value is None:
        return
    if value == "":
        yield _fails(
            LIBRARY,
            "is set to nothing",
            "the start script takes it for not set; nothing comes onto the path",
            _suggestion(LIBRARY, "deps", deployment),
        )
    elif "$" in value or value.startswith("~") or "\\" in value:
        yield _fails(
            LIBRARY,
            f"is {value}: nobody expands or translates that",
            f"the start script looks for a directory of this very name; the container exits with {_EXIT[LIBRARY]}",
            f"{LIBRARY}: deps, one directory, relative to the directory of the entry script",
        )
    elif ":" in value and locate(LIBRARY, deployment) is None:
        first, *others = [part for part in value.split(":") if part]
        paths = ":".join(os.path.relpath(deployment.entry_directory / part, deployment.folder) for part in others)
        yield _fails(
            LIBRARY,
            f"is {value}, which are several directories",
            f"it must be one: the start script looks for a directory of this name and exits with {_EXIT[LIBRARY]}",
            f"{LIBRARY}: {first}" + (f" and PYTHONPATH: {paths}" if paths else ""),
        )
    else:
        yield from _check_place(LIBRARY, value, deployment)


def check_requirements(deployment: Deployment) -> Iterator[Finding]:
    """Find what is wrong with a requirements or conda file that is installed at start."""
    for variable in (CONDA, REQUIREMENTS):
        if value := deployment.variables.get(variable):
            yield from _check_place(variable, value, deployment)
    file = locate(REQUIREMENTS, deployment)
    if file is not None and file.is_file():
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        if not any(line.strip().startswith("--no-index") for line in lines):
            yield Finding(
                name="requirements-need-network",
                severity="warning",
                path=deployment.shown(file),
                what="has no --no-index: pip asks a package index when the container starts",
                why="without a way out of the network it fails after its retries, and the container exits with 95",
                type="write --no-index and --find-links wheels into it, and put the wheels beside it",
            )
        for place in places_of_wheels(file):
            if not place.is_dir():
                yield _fails(
                    REQUIREMENTS,
                    f"names {deployment.shown(file)}, whose --find-links {deployment.shown(place)} is not there",
                    "pip finds no wheels; the container exits with 95 after 45 seconds",
                    f"mkdir {deployment.shown(place)}, and put the wheels there",
                )
    if (file := locate(CONDA, deployment)) is not None:
        yield Finding(
            name="requirements-need-network",
            severity="warning",
            path=deployment.shown(file),
            what="is solved and downloaded by conda when the container starts",
            why="without a way out of the network it fails, and the container exits with 95",
            type=deployment.bundle_instead,
        )


def check_python_path(deployment: Deployment) -> Iterator[Finding]:
    """Find entries of ``PYTHONPATH`` that are not in the code folder."""
    for path in on_python_path(deployment):
        if not path.exists():
            yield Finding(
                name="path-missing",
                severity="fails" if deployment.contains(path) or deployment.inside else "warning",
                path="PYTHONPATH",
                what=f"names {deployment.shown(path)}, which is not there",
                why="Python skips it without a word, and its packages are missing",
                type=_suggestion("PYTHONPATH", path.name, deployment),
            )


def places_of_wheels(requirements: Path) -> list[Path]:
    """Return the directories that ``--find-links`` names in the file *requirements*."""
    text = requirements.read_text(encoding="utf-8", errors="replace")
    found = [match[1] for line in text.splitlines() if (match := _FIND_LINKS.match(line))]
    return [requirements.parent / place for place in found if "://" not in place]


def _check_place(variable: str, value: str, deployment: Deployment) -> Iterator[Finding]:
    """Check that a directory (``LIB_PATH``) or a file (the others) is where *value* says."""
    path = Path(os.path.normpath(f"{deployment.entry_directory}/{value}"))
    good = path.is_dir() if variable == LIBRARY else path.is_file()
    dies = f"the container exits with {_EXIT[variable]}"
    inside = deployment.entry_directory / path.name
    if value.startswith("/"):
        yield Finding(
            name="path-absolute",
            severity="warning" if good else "fails",
            path=variable,
            what=f"is {value}, an absolute path",
            why="it is put behind the directory of the entry script all the same"
            + (", which happens to be right here" if good else f"; there it is not, and {dies}"),
            type=_suggestion(variable, value, deployment),
        )
    elif not deployment.contains(path) and not deployment.inside:
        yield Finding(
            name="path-outside",
            severity="fails" if path.exists() else "warning",
            path=variable,
            what=f"is {value}, which leads out of the code folder",
            why=f"only the code folder is uploaded; what lies beside it on this host is not there, and {dies}"
            if path.exists()
            else f"it cannot be checked here; if nothing is mounted there, {dies}",
            type=f"cp -r {shlex.join([str(path), str(inside)])}; then {deployment.setting(variable, inside)}",
        )
    elif not path.exists():
        yield Finding(
            name="path-missing",
            severity="fails",
            path=variable,
            what=f"is {value}: {deployment.shown(path)} is not there",
            why=f"it is relative to the directory of the entry script ({_entry_script_name(deployment)}); {dies}",
            type=_suggestion(variable, value, deployment),
        )
    elif not good:
        yield _of_wrong_kind(variable, value, path, dies, deployment)


def _of_wrong_kind(variable: str, value: str, path: Path, dies: str, deployment: Deployment) -> Finding:
    if variable != LIBRARY:
        return _fails(variable, f"is {value}, a directory", f"it must be a file; {dies}", f"{LIBRARY}: {value}")
    remedy = deployment.bundle_instead
    if path.suffix == ".txt":
        remedy = f"{REQUIREMENTS}: {value}"
    elif path.suffix == ".pyz":
        remedy = f"{deployment.setting('PYTHONPATH', path)}, or create the bundle again with --format packed"
    return _fails(variable, f"is {value}, a file", f"it must be a directory; {dies}", remedy)


def _fails(variable: str, what: str, why: str, remedy: str) -> Finding:
    return Finding(name="path-unusable", severity="fails", path=variable, what=what, why=why, type=remedy)


def _entry_script_name(deployment: Deployment) -> str:
    return deployment.shown(deployment.entry_directory) if deployment.entry_script else "not known here: --entry-script"


def _suggestion(variable: str, value: str, deployment: Deployment) -> str:
    """Return the setting that was most likely meant by *value*, or how to make one right."""
    if found := meant(variable, value, deployment):
        return deployment.setting(variable, found)
    if variable in (LIBRARY, "PYTHONPATH"):
        return deployment.bundle_instead
    place = deployment.entry_directory / Path(value).name
    return f"put the file at {deployment.shown(place)}, then {deployment.setting(variable, place)}"


def meant(variable: str, value: str, deployment: Deployment) -> Path | None:
    """Return what in the code folder was most likely meant by *value*, where it leads to nothing."""
    wanted = value.strip("/")
    for root in (app_root(deployment), str(deployment.folder)):  # where it lies in the container or on this host
        wanted = value.removeprefix(f"{root}/") if value.startswith(f"{root}/") else wanted
    parent = (deployment.entry_directory / wanted).parent
    siblings = sorted(entry.name for entry in parent.iterdir()) if parent.is_dir() else []
    last = Path(wanted).name
    candidates = [
        deployment.folder / wanted,
        deployment.entry_directory / wanted,
        *(parent / name for name in difflib.get_close_matches(last, siblings, n=1)),
        *(sorted(deployment.folder.glob(f"*/{glob.escape(last)}"))),
    ]
    wants_directory = variable not in (REQUIREMENTS, CONDA)
    for path in map(Path, map(os.path.normpath, candidates)):
        if last and deployment.contains(path) and (path.is_dir() if wants_directory else path.is_file()):
            return packages_of(path, deployment) if wants_directory else path
    return None
