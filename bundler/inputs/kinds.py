"""The name of a file → what kind it is, and what it says.

    pyproject.toml                  a project
    uv.lock poetry.lock pdm.lock Pipfile.lock pylock.toml pylock.NAME.toml      a lock of another tool
    *.yml *.yaml, or a line ``dependencies:``                                   a conda environment file

* Anything else is a requirements file, which needs no reader here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.inputs.conda.environment_files import is_conda_file, read_conda_input
from bundler.inputs.locks.pdm_locks import read_pdm_lock
from bundler.inputs.locks.pipfile_locks import read_pipfile_lock
from bundler.inputs.locks.poetry_locks import read_poetry_lock
from bundler.inputs.locks.pylocks import read_pylock
from bundler.inputs.locks.uv_locks import read_uv_lock
from bundler.inputs.pyproject import read_pyproject
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundler.inputs.listings import Chosen, Input

READERS: dict[str, Callable[[Path, Chosen], Input]] = {
    "pyproject.toml": read_pyproject,
    "uv.lock": read_uv_lock,
    "poetry.lock": read_poetry_lock,
    "pdm.lock": read_pdm_lock,
    "Pipfile.lock": read_pipfile_lock,
    "pylock.toml": read_pylock,
}
_PYLOCK = re.compile(r"pylock\.[^.]+\.toml")


def read_input(path: Path, chosen: Chosen) -> Input | None:
    """Return what the file at *path* says, its extras and groups as *chosen*; None if it is a requirements file."""
    if path.name == "Pipfile":
        hint = f"lock it with pipenv lock, and name {path.with_name('Pipfile.lock')}"
        raise UsageError(path, "is not read: only what pipenv makes of it", hint=hint)
    if reader := READERS.get("pylock.toml" if _PYLOCK.fullmatch(path.name) else path.name):
        return reader(path, chosen)
    return read_conda_input(path) if is_conda_file(path) else None
