"""A bundle in a code folder → the settings of an Azure ML deployment that mounts it.

* ``AZUREML_EXTRA_PYTHON_LIB_PATH`` and ``AZUREML_EXTRA_REQUIREMENTS_TXT`` are relative to the directory of the entry
  script, and the first must be a directory.
* What an upload would drop, by a ``.gitignore`` or ``.amlignore`` beside the bundle, a new ``.amlignore`` keeps.
* A ``.pyz`` is no directory, so it goes onto ``PYTHONPATH``, which is relative to the app root; so does anything else
  in an image that ignores the two variables.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.azureml.doctoring.ignores import governing, keeping
from bundler.runtime.errors import UsageError
from bundler.small_files import read_text, write_text

LIB_PATH = "AZUREML_EXTRA_PYTHON_LIB_PATH"
REQUIREMENTS_TXT = "AZUREML_EXTRA_REQUIREMENTS_TXT"
REPORT = "/tmp/bundle-report.json"  # noqa: S108 - in the container, where every user may write

Form = Literal["pyz", "packed", "tree", "wheelhouse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The environment variables of a deployment, and those for an image that ignores the Azure ML ones.

    *code* is the folder to upload, *entry_script* relative to the folder above it.
    """

    code: Path
    entry_script: str
    variables: dict[str, str]
    elsewhere: dict[str, str]


def deployment_of(out: Path, form: Form, digest: str, score_directory: Path | None) -> Deployment:
    """Return the settings for the bundle *out*; *score_directory* (default: beside it) has the entry script.

    Raise ``UsageError`` if a path has a character that the variables cannot hold.
    """
    out = out.absolute()
    score = (score_directory or out.parent).absolute()
    code = Path(os.path.commonpath([out.parent, score]))
    value = os.path.relpath(out, score)
    if ":" in str(out) or "\n" in str(out):
        raise UsageError(out, "has a name that no variable of Azure ML can hold", got=value, want="no colon")
    entry_script = os.path.normpath(f"{code.name}/{os.path.relpath(score, code)}/score.py")
    if form == "wheelhouse":
        variables = {REQUIREMENTS_TXT: f"{value}/requirements.txt"}
        return Deployment(code=code, entry_script=entry_script, variables=variables, elsewhere={})
    inner = "/site-packages" if form == "tree" else ""
    expected = {"BUNDLE_EXPECT": digest, "BUNDLE_REPORT": REPORT}
    by_path = {"PYTHONPATH": f"{code.name}/{os.path.relpath(out, code)}{inner}", **expected}
    variables = by_path if form == "pyz" else {LIB_PATH: value + inner, **expected}
    return Deployment(code=code, entry_script=entry_script, variables=variables, elsewhere=by_path)


def keep_in_upload(out: Path) -> Path | None:
    """Write an ``.amlignore`` beside *out* if an upload of the folder would drop a part of it; return its path.

    Else it drops what the ignore file did that was there. Raise ``BundleError`` if it cannot be written.
    """
    folder = out.absolute().parent
    rules = governing(folder)
    if rules is None:
        return None
    paths = [out] if out.is_file() else (path for path in out.rglob("*") if path.is_file())
    if not any(rules.dropping(path.absolute().relative_to(folder).as_posix()) for path in paths):
        return None
    target = folder / ".amlignore"
    write_text(target, keeping(read_text(folder / rules.name), out.name))
    return target


def settings_text(deployment: Deployment) -> str:
    """Return the settings, ready to paste: SDK v1, YAML for v2, and ``docker run``."""
    lines = ["Azure ML SDK v1:", "  environment.environment_variables.update({"]
    lines += [f'      "{name}": "{value}",' for name, value in deployment.variables.items()]
    lines += ["  })", "Azure ML v2, in the deployment's YAML:", "  environment_variables:"]
    lines += [f'    {name}: "{value}"' for name, value in deployment.variables.items()]
    folder = deployment.code.name
    run = [f'-v "$PWD/{folder}:/var/azureml-app/{folder}"', f"-e AZUREML_ENTRY_SCRIPT={deployment.entry_script}"]
    run += [f"-e {name}={value}" for name, value in deployment.variables.items()]
    lines += ["on this machine:", "  docker run --rm -p 5001:5001 \\"]
    lines += [f"    {argument} \\" for argument in run] + ["    IMAGE"]
    if deployment.elsewhere and deployment.elsewhere != deployment.variables:
        lines.append(f"in an image that ignores {LIB_PATH}, in its place:")
        lines.append(f'  PYTHONPATH: "{deployment.elsewhere["PYTHONPATH"]}"')
    return "\n".join(lines)
