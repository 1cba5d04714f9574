"""A directory → the configuration file that holds there, and the table in it.

* It is in the directory, or in the nearest one above that has one: ``bundle.toml``, else a ``pyproject.toml`` with
  ``[tool.bundle]``.
* The search ends with a directory that has ``.git``, with HOME, and where another file system begins.
* In a directory that everybody may write to (``/tmp``) the file of another user is not looked at: anybody could have
  put it there.
* Paths are relative to where the search began, as a user would type them.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.runtime.errors import UsageError
from bundler.small_files import read_bytes

NAME = "bundle.toml"
PROJECT = "pyproject.toml"
LARGEST = 256 << 10
# Of a key a.b.c…, tomllib looks at each beginning: a long one takes minutes.
_MOST_DOTS = 500
_TABLE = re.compile(rb"^[ \t]*\[+[ \t]*tool[ \t]*\.[ \t]*bundle[ \t]*[.\]]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The file at *path*; *ignored* is a pyproject.toml beside it whose ``[tool.bundle]`` does not hold."""

    path: Path
    ignored: Path | None = None


def find(start: Path, home: Path | None) -> Found | None:
    """Return the file that holds in the directory *start*, or None. *home* is the user's directory."""
    try:
        device = start.stat().st_dev
        for directory in (start, *start.parents):
            if directory.stat().st_dev != device:
                return None
            if found := _in(directory, Path(os.path.relpath(directory, start))):
                return found
            if directory == home or (directory / ".git").exists():
                return None
    except OSError:  # a directory above that may not be searched
        return None
    return None


def _in(directory: Path, shown: Path) -> Found | None:
    """Return the file in *directory*, which users call *shown*."""
    project = directory / PROJECT
    has_table = _is_ours(project) and _has_table(project)
    if _is_ours(directory / NAME):
        return Found(path=shown / NAME, ignored=shown / PROJECT if has_table else None)
    return Found(path=shown / PROJECT) if has_table else None


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    open_to_all = path.parent.stat().st_mode & stat.S_IWOTH
    return not open_to_all or path.lstat().st_uid in (0, os.geteuid())


def _has_table(path: Path) -> bool:
    with path.open("rb") as file:
        return _TABLE.search(file.read(LARGEST)) is not None


def load(path: Path) -> dict[str, Any]:
    """Return the table of the file at *path*: ``[tool.bundle]`` of a pyproject.toml, all of another file.

    Raise ``UsageError`` if it cannot be read, or is no TOML.
    """
    try:
        text = read_bytes(path, LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#04x} at {error.start}"
        raise UsageError(path, "is not UTF-8 text", got=got) from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS:
            raise UsageError(f"{path}:{number}", "is too long a line", hint="write a list with an item in each line")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(path, f"is not TOML: {error}") from None
    except ValueError:  # a number of more digits than int() takes, a day that no month has
        raise UsageError(path, "has a value that no number and no date can have") from None
    except RecursionError:
        raise UsageError(path, "is nested too deeply") from None
    if path.name != PROJECT:
        return document
    tools = document.get("tool")
    table = tools.get("bundle") if isinstance(tools, dict) else None
    if table is None:
        raise UsageError(path, "has no [tool.bundle]", hint=f"add it, or write {NAME}")
    if not isinstance(table, dict):
        raise UsageError(f"{path}:tool.bundle", "is no table", want="[tool.bundle]")
    return table
