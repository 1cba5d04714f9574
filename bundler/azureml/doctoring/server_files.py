"""``config.json`` and ``logging.json`` where the inference server looks for its own → what it will do with them.

* It reads both from the app root and the directory of the entry script, before the entry script runs.
* ``config.json`` must be a JSON object of its settings; about unknown keys it only complains.
  ``logging.json`` must be a configuration for ``logging.config.dictConfig``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.azureml.doctoring.findings import Finding, some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bundler.azureml.doctoring.deployments import Deployment

NAMES = ("config.json", "logging.json")
_KEYS = frozenset(
    {
        "AML_APP_INSIGHTS_ENABLED",
        "AML_APP_INSIGHTS_KEY",
        "AML_APP_ROOT",
        "AML_CORS_ORIGINS",
        "AML_FLASK_ONE_COMPATIBILITY",
        "AML_MODEL_DC_STORAGE_ENABLED",
        "APP_INSIGHTS_LOG_RESPONSE_ENABLED",
        "AZUREML_DEBUG_PORT",
        "AZUREML_ENTRY_SCRIPT",
        "AZUREML_LOG_LEVEL",
        "AZUREML_MODEL_DIR",
        "AZUREML_SOURCE_DIRECTORY",
        "HOSTNAME",
        "SCORING_TIMEOUT_MS",
        "SERVICE_NAME",
        "SERVICE_PATH_PREFIX",
        "SERVICE_VERSION",
        "WORKSPACE_NAME",
    }
)


def check_server_files(deployment: Deployment) -> Iterator[Finding]:
    """Find files that the server takes for its own."""
    for directory in sorted({deployment.folder, deployment.entry_directory}):
        for name in NAMES:
            file = directory / name
            # The server ignores an empty config.json.
            if file.is_file() and (file.stat().st_size or name == "logging.json"):
                yield from _check_file(file, deployment)


def check_top(path: Path, names: Iterable[str], deployment: Deployment) -> Iterator[Finding]:
    """Find files with those names among *names*, the top of what *path* puts on the path."""
    if path in (deployment.folder, deployment.entry_directory):
        return
    for name in sorted(set(names) & set(NAMES)):
        yield Finding(
            name="server-file-in-packages",
            severity="warning",
            path=deployment.shown(path / name),
            what=f"is a {name} at the top of what is put on the path",
            why="the inference server takes a file of this name for its own, should this directory be where it looks",
            type=f"bundle create … --exclude 'site-packages/{name}', or remove the package it came with",
        )


def _check_file(file: Path, deployment: Deployment) -> Iterator[Finding]:
    try:
        document = json.loads(file.read_bytes())
    except ValueError:
        document = None
    fault: str | None = None
    extra: list[str] = []
    if not isinstance(document, dict):
        fault = "is no JSON object"
    elif file.name == "logging.json" and document.get("version") != 1:
        fault = "is no configuration for logging ('version': 1 is missing)"
    elif file.name == "config.json":
        extra = sorted(str(key) for key in set(document) - _KEYS)
    if fault or extra:
        yield Finding(
            name="server-reads-file",
            severity="fails" if fault else "warning",
            path=deployment.shown(file),
            what=fault or f"has keys that are none of the server's: {some(extra)}",
            why=f"the inference server reads {file.name} here as its own configuration"
            + (", and does not start" if fault else "; what it takes for a setting, it uses"),
            type=f"mv {deployment.shown(file)} {deployment.shown(file.with_stem('model_' + file.stem))}, "
            "and open it by that name",
        )
