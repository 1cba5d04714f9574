"""A virtualenv or conda environment whose packages are put on the path → what does not travel with it.

* Only its ``site-packages`` goes onto the path. Its base interpreter, the packages of that, and programs in ``bin``
  belong to the host.
* It is for the Python that it was made with, which ``pyvenv.cfg`` names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.azureml.doctoring.findings import Finding, some
from bundler.azureml.doctoring.ignores import append_command
from bundler.installed_distributions import distributions_in, pyvenv_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.azureml.doctoring.deployments import Deployment
    from bundler.azureml.doctoring.directories import Place

_MINOR = re.compile(r"(3\.[0-9]{1,2})\b", re.ASCII)
_SEEDED = frozenset({"pip", "setuptools", "wheel"})


def check_environment(place: Place, deployment: Deployment) -> Iterator[Finding]:
    """Find what is wrong with the environment that *place* belongs to."""
    settings = pyvenv_settings(place.root)
    shown = deployment.shown(place.root)
    yield from _check_python(place, settings, deployment)
    conda = next((root for root in (place.root, place.root.parent, _base(settings)) if _is_conda(root)), None)
    if conda is not None:
        yield Finding(
            name="conda-mixed-in",
            severity="warning" if conda == _base(settings) else "fails",
            path=shown,
            what=f"goes together with the conda environment {deployment.shown(conda)}",
            why="what conda installs is linked to libraries in its lib/, which is not on the path, and pip takes such "
            "packages for installed",
            type=f"pip freeze > requirements.txt, conda deactivate, then {deployment.bundle_instead}",
        )
    if settings.get("include-system-site-packages", "").lower() == "true":
        outside = _packages_outside(place, settings)
        yield Finding(
            name="system-site-packages",
            severity="fails" if outside else "warning",
            path=shown,
            what=f"uses packages of this host that are not in it: {some(outside)}"
            if outside
            else "was made with --system-site-packages",
            why="pip installs nothing into it that the host's Python has already; the container has not",
            type=f"virtualenv --clear {shown} (no --system-site-packages), and install again; "
            f"or {deployment.bundle_instead}",
            files=tuple(outside),
        )
    if (place.root / "bin").is_dir() and deployment.contains(place.root):
        yield Finding(
            name="virtualenv-uploaded-whole",
            severity="warning",
            path=shown,
            what=f"is uploaded with programs that start a Python of this host ({settings.get('home', 'unknown')})",
            why="none of them runs in the container, and links to the interpreter become copies of it",
            type=f"{append_command(deployment.folder, f'/{shown}/bin')}; or {deployment.bundle_instead}",
        )


def _check_python(place: Place, settings: dict[str, str], deployment: Deployment) -> Iterator[Finding]:
    wanted = "{}.{}".format(*deployment.target.python_minor)
    named = settings.get("version_info") or settings.get("version") or place.path.parent.name.removeprefix("python")
    match = _MINOR.match(named)
    if match is not None and match[1] != wanted:
        yield Finding(
            name="environment-python",
            severity="fails",
            path=deployment.shown(place.root),
            what=f"was made with Python {match[1]}",
            why=f"the container has {wanted}: compiled modules do not load, and pip has chosen versions for {match[1]}",
            type=f"virtualenv --clear --python {wanted} {deployment.shown(place.root)}, and install again; "
            f"or {deployment.bundle_instead}",
        )


def _base(settings: dict[str, str]) -> Path | None:
    """Return the prefix of the interpreter that a virtualenv was made with."""
    return Path(settings["home"]).parent if settings.get("home") else None


def _is_conda(root: Path | None) -> bool:
    return root is not None and (root / "conda-meta").is_dir()


def _packages_outside(place: Place, settings: dict[str, str]) -> list[str]:
    """Return the names of the packages that the virtualenv sees in its base interpreter only."""
    base = _base(settings)
    if base is None:
        return []
    match = _MINOR.match(settings.get("version_info") or settings.get("version") or "")
    minor = match[1] if match else "3.*"
    patterns = (f"lib/python{minor}/*-packages", f"local/lib/python{minor}/*-packages", "lib/python3/dist-packages")
    there = {name for pattern in patterns for path in base.glob(pattern) for name in distributions_in(path)}
    here = set(distributions_in(place.path)) if place.path.is_dir() else set()
    return sorted(there - here - {canonicalize_name(name) for name in _SEEDED})
