"""A deployment → everything in it that would fail at upload or at start, and what to type instead.

* Nothing is changed, executed or sent anywhere. A bundle's documents are verified; ``bundle verify`` does the rest.
* What fails comes first; else findings come in the order of entry script, settings, directories, upload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.azureml.doctoring.binaries import check_binaries
from bundler.azureml.doctoring.bundles import check_bundle, files_at_top, pip_in
from bundler.azureml.doctoring.deployments import LIBRARY, REQUIREMENTS, Deployment
from bundler.azureml.doctoring.directories import check_is_used, check_kind, find_places, holds_packages, place_of
from bundler.azureml.doctoring.findings import Finding
from bundler.azureml.doctoring.installed_packages import check_packages, pip_finding
from bundler.azureml.doctoring.server_files import check_server_files, check_top
from bundler.azureml.doctoring.setting_names import check_names, check_python, check_together
from bundler.azureml.doctoring.setting_paths import (
    check_library,
    check_python_path,
    check_requirements,
    locate,
    meant,
    on_python_path,
    places_of_wheels,
)
from bundler.azureml.doctoring.uploads import Needed, check_upload
from bundler.azureml.doctoring.virtualenvs import check_environment
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.azureml.doctoring.directories import Place


def diagnose(deployment: Deployment) -> tuple[Finding, ...]:
    """Return what is wrong with *deployment*, failures first; raise ``UsageError`` if there is no such folder."""
    if not deployment.folder.is_dir():
        raise UsageError(deployment.folder, "is no directory", want="the code folder that is uploaded")
    findings = list(dict.fromkeys(_findings(deployment)))
    return tuple(sorted(findings, key=lambda finding: finding.severity != "fails"))


def _findings(deployment: Deployment) -> Iterator[Finding]:
    yield from _check_entry_script(deployment)
    yield from check_names(deployment)
    yield from check_together(deployment)
    yield from check_python(deployment)
    yield from check_library(deployment)
    yield from check_requirements(deployment)
    yield from check_python_path(deployment)
    yield from check_server_files(deployment)
    needed: list[Needed] = []
    seen: set[Path] = set()
    for variable, path in _on_the_path(deployment):
        place = place_of(path)
        if place.path not in seen:
            seen.update((place.path, place.root if place.is_bundle else place.path))
            yield from check_kind(place, variable, deployment)
            yield from _check_contents(place, deployment)
            needed.append(_needed(place))
    for place in find_places(deployment):
        if place.path not in seen and place.root not in seen:
            yield from check_is_used(place, deployment)
            yield from _check_contents(place, deployment)
            needed.append(_needed(place))
    yield from check_upload(deployment, [*needed, *_other_files(deployment)])


def _check_entry_script(deployment: Deployment) -> Iterator[Finding]:
    script = deployment.entry_script
    if script is None or not (deployment.folder / script.lstrip("/")).is_file():
        yield Finding(
            name="entry-script-missing",
            severity="warning" if script is None else "fails",
            path=script or "score.py",
            what="is not in the code folder" if script else "is not there, and no other entry script was named",
            why="the server loads it at start; AZUREML_EXTRA_… are relative to its directory",
            type="bundle doctor --score-dir DIR --entry-script FILE, relative to DIR",
        )


def _on_the_path(deployment: Deployment) -> Iterator[tuple[str, Path]]:
    """Yield the directories and ``.pyz`` that settings put on the path; where one does not exist, what was meant."""
    value = deployment.variables.get(LIBRARY, "")
    library = locate(LIBRARY, deployment) or meant(LIBRARY, value, deployment)
    if library is not None and library.is_dir():
        yield LIBRARY, library
    for path in on_python_path(deployment):
        if path.is_dir() or path.suffix == ".pyz":
            yield from [("PYTHONPATH", path)] if path.exists() else []


def _check_contents(place: Place, deployment: Deployment) -> Iterator[Finding]:
    if place.is_bundle:
        yield from check_bundle(place, deployment)
        yield from check_top(place.path, files_at_top(place), deployment)
        if pip := pip_in(place):
            remedy = "leave pip out of the requirements, and create the bundle again"
            yield pip_finding(deployment.shown(place.root), pip, fits=None, remedy=remedy, deployment=deployment)
        return
    if place.kind in ("virtualenv", "conda"):
        yield from check_environment(place, deployment)
    if place.path.name == "site-packages" or holds_packages(place.path):
        yield from check_packages(place.path, deployment)
        yield from check_binaries(place.path, deployment)
        yield from check_top(place.path, [entry.name for entry in place.path.iterdir()], deployment)


def _needed(place: Place) -> Needed:
    return Needed(path=place.root if place.is_bundle else place.path, is_bundle=place.is_bundle)


def _other_files(deployment: Deployment) -> Iterator[Needed]:
    """Yield what must arrive besides what is put on the path."""
    script = deployment.folder / (deployment.entry_script or "").lstrip("/")
    if script.is_file():
        yield Needed(path=script)
    requirements = locate(REQUIREMENTS, deployment)
    if requirements is not None and requirements.is_file():
        yield Needed(path=requirements)
        yield from (Needed(path=place) for place in places_of_wheels(requirements) if place.is_dir())
