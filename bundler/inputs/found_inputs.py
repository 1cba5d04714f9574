"""A directory → the one file in it that says what is needed, where nobody has named any.

* A lock goes before the ``pyproject.toml`` or ``Pipfile`` that it was made of.
* A ``pyproject.toml`` that names no dependencies, as one with settings of tools alone, counts for nothing.
* More than one is an error: which of them is meant, only the user knows.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PROJECT = "pyproject.toml"
_LOCKS = ("pylock.toml", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
_OTHERS = ("requirements.txt", "environment.yml", "environment.yaml", "conda_dependencies.yml", "conda.yaml")
CANDIDATES = (*_OTHERS, *_LOCKS, _PROJECT)


def find_input(directory: Path, *, without: Iterable[Path] = ()) -> Path | None:
    """Return the file in *directory* that says what is needed, other than *without*; None if there is none.

    Raise ``UsageError`` if there are several.
    """
    left_out = {path.absolute() for path in without}
    paths = [directory / name for name in (*_OTHERS, *_LOCKS)]
    found = [path for path in paths if path.is_file() and path.absolute() not in left_out]
    has_lock = any(path.name in _LOCKS for path in found)
    project = directory / _PROJECT
    if not has_lock and project.is_file() and _names_dependencies(project):
        found.append(project)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        hint = f"name the one that is meant: -r {found[0].name}"
        raise UsageError("requirements", "nothing was asked for, and several files could say it", got=names, hint=hint)
    return found[0] if found else None


def _names_dependencies(path: Path) -> bool:
    """Tell whether the ``pyproject.toml`` at *path* names dependencies; one that cannot be read is looked at later."""
    try:
        root = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
    tool = root.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    return "project" in root or (isinstance(poetry, dict) and "dependencies" in poetry)
