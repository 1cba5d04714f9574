"""Settings → what is wrong with their names and with how they go together.

* A name that is nearly one of Azure's is a mistake: nobody reads it, and nothing says so.
* ``LIB_PATH`` wins over a conda file, which wins over ``REQUIREMENTS_TXT``; they never add up.
* What Python itself reads (``PYTHONPATH``, ``PYTHONHOME``) holds in every Python that the container starts.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.azureml.doctoring.deployments import (
    APP_ROOT,
    CONDA,
    DEFAULT_APP_ROOT,
    ENTRY_SCRIPT,
    LIBRARY,
    REQUIREMENTS,
    Deployment,
)
from bundler.azureml.doctoring.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

CONDA_ABSOLUTE = "AZUREML_EXTRA_CONDA_YAML_ABS_PATH"
_EXTRAS = (LIBRARY, CONDA_ABSOLUTE, CONDA, REQUIREMENTS)
_KNOWN = (*_EXTRAS, ENTRY_SCRIPT, APP_ROOT, "PYTHONPATH")
_PREFIX = "AZUREML_EXTRA"
_CLOSE = 0.85
# What only exists on the machine where the settings were written.
_OF_A_HOST = re.compile(r"/(?:home|Users|root|tmp|mnt/c)/|[A-Za-z]:[\\/]|~")


def check_names(deployment: Deployment) -> Iterator[Finding]:
    """Find names that are nearly right."""
    for name in deployment.variables:
        meant = None if name in _KNOWN else _meant(name)
        if meant is not None:
            yield Finding(
                name="variable-spelling",
                severity="fails",
                path=name,
                what=f"is not a variable that anybody reads; {meant} is",
                why="the start script looks for the exact name and says nothing about any other",
                type=f"{meant}: {deployment.variables[name]}",
            )


def _meant(name: str) -> str | None:
    normal = re.sub(r"[^A-Z]+", "_", name.upper()).strip("_")
    if normal in _KNOWN:
        return normal
    candidates = _EXTRAS if normal.startswith(_PREFIX) else _KNOWN
    found = difflib.get_close_matches(normal, candidates, n=1, cutoff=0.0 if normal.startswith(_PREFIX) else _CLOSE)
    return found[0] if found else None


def check_together(deployment: Deployment) -> Iterator[Finding]:
    """Find variables that switch each other off, and images that read none of them."""
    used = [name for name in _EXTRAS if deployment.variables.get(name)]
    for loser in used[1:]:
        yield Finding(
            name="variables-exclude-each-other",
            severity="fails",
            path=loser,
            what=f"is set together with {used[0]}, which wins",
            why=f"the start script does one of them and never looks at the other: nothing of {loser} is installed",
            type=f"remove {loser}, and put everything into one bundle: {deployment.bundle_instead}",
        )
    if used and deployment.image_ignores_variables and not deployment.mounts_itself:
        others = "PYTHONPATH" in deployment.variables
        library = deployment.variables.get(LIBRARY, "deps")
        yield Finding(
            name="image-ignores-variables",
            severity="warning" if others else "fails",
            path=used[0],
            what="is not read by the prebuilt images of Python {}.{}".format(*deployment.target.python_minor),
            why="current images have this part of the start script removed; the variable is silently ignored",
            type=deployment.setting("PYTHONPATH", deployment.entry_directory / library.lstrip("/")),
        )


def check_python(deployment: Deployment) -> Iterator[Finding]:
    """Find settings of Python itself that break it or lead out of the container."""
    if "PYTHONHOME" in deployment.variables:
        yield Finding(
            name="pythonhome",
            severity="fails",
            path="PYTHONHOME",
            what=f"is set to {deployment.variables['PYTHONHOME'] or 'nothing'}",
            why="the container's Python then looks for its standard library there and does not start",
            type="remove PYTHONHOME",
        )
    value = deployment.variables.get("PYTHONPATH", "")
    # A drive letter has a colon of its own.
    for entry in [value] if "\\" in value or ";" in value else value.split(":"):
        if finding := _fault_of_entry(entry, deployment):
            yield finding


def _fault_of_entry(entry: str, deployment: Deployment) -> Finding | None:
    if not entry or (deployment.inside and "$" not in entry):
        return None
    what = why = None
    if "$" in entry:
        what = f"has the entry {entry}, which nobody expands"
        why = "settings of a deployment are taken as they are, without a shell"
    elif _OF_A_HOST.match(entry) or "\\" in entry or ";" in entry:
        what = f"has the entry {entry}, a path of this host"
        why = "the container has no such directory; Python skips it without a word, and its packages are missing"
    if what is not None and why is not None:
        return Finding(
            name="pythonpath-leaks",
            severity="fails",
            path="PYTHONPATH",
            what=what,
            why=why,
            type="PYTHONPATH: deps, a directory in the code folder, relative to it",
        )
    if entry.startswith("/"):
        inside = Path(entry).is_relative_to(app_root(deployment))
        return Finding(
            name="pythonpath-absolute",
            severity="warning",
            path="PYTHONPATH",
            what=f"has the absolute entry {entry}",
            why="where the code folder lies in the cloud is not reliable (.../azureml-app/1/score.py is seen)"
            if inside
            else "it cannot be checked here; if the image has no such directory, its packages are missing",
            type=f"PYTHONPATH: {Path(entry).relative_to(app_root(deployment))}"
            if inside
            else "PYTHONPATH: deps, relative to the code folder",
        )
    return None


def app_root(deployment: Deployment) -> str:
    """Return where the code folder lies in the container."""
    return deployment.variables.get(APP_ROOT) or DEFAULT_APP_ROOT
