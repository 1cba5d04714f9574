"""A bundle in a code folder → the settings of an Azure ML deployment that mounts it.

* ``AZUREML_EXTRA_PYTHON_LIB_PATH`` and ``AZUREML_EXTRA_REQUIREMENTS_TXT`` are relative to the directory of the entry
  script, and the first must be a directory.
* A ``.pyz`` is no directory, so it goes onto ``PYTHONPATH``, which is relative to the app root; so does anything else
  in an image that ignores the two variables.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

LIB_PATH = "AZUREML_EXTRA_PYTHON_LIB_PATH"
REQUIREMENTS_TXT = "AZUREML_EXTRA_REQUIREMENTS_TXT"
REPORT = "/tmp/bundle-report.json"  # noqa: S108 - in the container, where every user may write

Form = Literal["pyz", "packed", "tree", "wheelhouse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The environment variables of a deployment, and those for an image that ignores the Azure ML ones."""

    code: Path
    variables: dict[str, str]
    elsewhere: dict[str, str]


def deployment_of(out: Path, form: Form, digest: str, score_directory: Path | None) -> Deployment:
    """Return the settings for the bundle *out*; *score_directory* (default: beside it) has the entry script.

    Raise ``UsageError`` if a path has a character that the variables cannot hold.
    """
    score = (score_directory or out.parent).absolute()
    value = os.path.relpath(out.absolute(), score)
    if ":" in value or "\n" in value:
        raise UsageError(out, "has a name that no variable of Azure ML can hold", got=value, want="no colon")
    if form == "wheelhouse":
        return Deployment(code=score, variables={REQUIREMENTS_TXT: f"{value}/requirements.txt"}, elsewhere={})
    expected = {"BUNDLE_EXPECT": digest, "BUNDLE_REPORT": REPORT}
    if form == "tree":
        value += "/site-packages"
    by_path = {"PYTHONPATH": os.path.normpath(f"{score.name}/{value}"), **expected}
    return Deployment(
        code=score, variables=by_path if form == "pyz" else {LIB_PATH: value, **expected}, elsewhere=by_path
    )


def settings_text(deployment: Deployment, entry_script: str = "score.py") -> str:
    """Return the settings, ready to paste: SDK v1, YAML for v2, and ``docker run``."""
    lines = ["Azure ML SDK v1:", "  environment.environment_variables.update({"]
    lines += [f'      "{name}": "{value}",' for name, value in deployment.variables.items()]
    lines += ["  })", "Azure ML v2, in the deployment's YAML:", "  environment_variables:"]
    lines += [f'    {name}: "{value}"' for name, value in deployment.variables.items()]
    folder = deployment.code.name
    run = [f'-v "$PWD/{folder}:/var/azureml-app/{folder}"', f"-e AZUREML_ENTRY_SCRIPT={folder}/{entry_script}"]
    run += [f"-e {name}={value}" for name, value in deployment.variables.items()]
    lines += ["on this machine:", "  docker run --rm -p 5001:5001 \\"]
    lines += [f"    {argument} \\" for argument in run] + ["    IMAGE"]
    if deployment.elsewhere and deployment.elsewhere != deployment.variables:
        lines.append(f"in an image that ignores {LIB_PATH} (its {', '.join(_missing(deployment))} instead):")
        lines.append(f'  PYTHONPATH: "{deployment.elsewhere["PYTHONPATH"]}"')
    return "\n".join(lines)


def _missing(deployment: Deployment) -> list[str]:
    return [name for name in deployment.elsewhere if name not in deployment.variables]
