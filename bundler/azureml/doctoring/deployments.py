"""A code folder, an entry script and settings → a deployment, as the start script of Azure ML's images sees it.

* The code folder is the app root (``/var/azureml-app``). ``AZUREML_EXTRA_…`` are relative to the directory of the entry
  script, ``PYTHONPATH`` to the app root: the start script goes there before it starts the server.
* Settings are data. They come from ``--env``, a deployment YAML or the process; only the command line looks at those.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.runtime.errors import UsageError
from bundler.small_files import read_text
from bundler.targets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.runtime.targets import Target

LIBRARY = "AZUREML_EXTRA_PYTHON_LIB_PATH"
REQUIREMENTS = "AZUREML_EXTRA_REQUIREMENTS_TXT"
CONDA = "AZUREML_EXTRA_CONDA_YAML"
ENTRY_SCRIPT = "AZUREML_ENTRY_SCRIPT"
APP_ROOT = "AML_APP_ROOT"
DEFAULT_APP_ROOT = "/var/azureml-app"
# Images from this Python on install nothing and add nothing to the path at start.
_IGNORING_SINCE = (3, 9)
_PYTHON_OF_IMAGE = re.compile(r"-py(3[0-9]{1,2})\b", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is to be deployed.

    *folder* is absolute and is what is uploaded; *entry_script* is relative to it. *settings* is None if they
    are not known. *inside* tells that this is the container itself: nothing is going to be uploaded any more.
    """

    folder: Path
    entry_script: str | None
    settings: Mapping[str, str] | None
    target: Target
    inside: bool = False

    @property
    def entry_directory(self) -> Path:
        """The directory that ``AZUREML_EXTRA_…`` are relative to."""
        return self.folder / (self.entry_script or "").lstrip("/").rpartition("/")[0]

    @property
    def variables(self) -> Mapping[str, str]:
        """The settings, as far as they are known."""
        return self.settings or {}

    @property
    def image_ignores_variables(self) -> bool:
        """Whether the target's images do not look at ``AZUREML_EXTRA_…``."""
        return self.target.python_minor >= _IGNORING_SINCE

    @property
    def mounts_itself(self) -> bool:
        """Whether the entry script mounts a bundle with a line of its own."""
        script = self.folder / (self.entry_script or "")
        return script.is_file() and b"bundle_runtime" in script.read_bytes()

    def shown(self, path: Path) -> str:
        """Return *path* as a user would type it in the code folder."""
        return os.path.relpath(path, self.folder) if self.contains(path) else str(path)

    def contains(self, path: Path) -> bool:
        """Tell whether *path* is in the code folder."""
        return Path(os.path.normpath(path)).is_relative_to(self.folder)

    def setting(self, variable: str, path: Path) -> str:
        """Return the setting that lets *variable* point to *path*."""
        base = self.folder if variable == "PYTHONPATH" else self.entry_directory
        return f"{variable}: {os.path.relpath(path, base)}"

    @property
    def create_options(self) -> str:
        """The options of ``bundle create`` for the target."""
        target = self.target
        libc = "manylinux" if target.libc == "glibc" else "musllinux"
        platform = f"{libc}_{target.libc_version.replace('.', '_')}_{target.arch}"
        return f"--python {target.python} --platform {platform}"

    @property
    def bundle_instead(self) -> str:
        """The command that makes a bundle in place of whatever there is, and the setting for it."""
        bundle = self.entry_directory / "deps"
        variable = "PYTHONPATH" if self.image_ignores_variables else LIBRARY
        command = f"bundle create -r requirements.txt --format packed {self.create_options}"
        return f"{command} -o {self.shown(bundle)}; then {self.setting(variable, bundle)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a deployment YAML says: the code folder (a path on this host), the entry script, settings, the image."""

    code: Path | None
    scoring_script: str | None
    settings: Mapping[str, str]
    image: str | None

    @property
    def target(self) -> str | None:
        """The preset for the Python in the image's name."""
        match = _PYTHON_OF_IMAGE.search(self.image or "")
        preset = f"azureml-py{match[1]}" if match else None
        return preset if preset in PRESETS else None


def read_description(path: Path) -> Description:
    """Read the deployment YAML (Azure ML v2) at *path*."""
    import yaml  # noqa: PLC0415 - only who has such a file needs it

    try:
        document = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UsageError(path, f"is not YAML: {error}") from None
    document = _mapping(document, path, "the document")
    code = _mapping(document.get("code_configuration"), path, "code_configuration")
    environment = document.get("environment")
    variables = _mapping(document.get("environment_variables"), path, "environment_variables")
    return Description(
        code=Path(os.path.normpath(path.absolute().parent / str(code["code"]))) if code.get("code") else None,
        scoring_script=str(code["scoring_script"]) if code.get("scoring_script") else None,
        settings={str(name): "" if value is None else str(value) for name, value in variables.items()},
        image=str(environment.get("image")) if isinstance(environment, dict) else None,
    )


def _mapping(value: object, path: Path, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(path, f"is not a deployment: {what} is no mapping", got=type(value).__name__)
    return value


def find_entry_script(folder: Path) -> str | None:
    """Return the entry script of *folder* where nobody has named it: ``score.py``, at the top or in one directory."""
    if (folder / "score.py").is_file():
        return "score.py"
    found = sorted(folder.glob("*/score.py")) if folder.is_dir() else []
    return found[0].relative_to(folder).as_posix() if len(found) == 1 else None
