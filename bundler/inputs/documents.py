"""TOML and JSON that somebody else has written → tables whose values have the type that is asked for.

* A value of another type is an error that names the file and the key: nothing is guessed.
* Neither parser tells lines. They are found again in the text: the n-th ``[[package]]`` is the n-th package.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.runtime.errors import BundleError, UsageError
from bundler.small_files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LARGEST = 64 << 20
_DEEPEST = 24
_NAMES = {str: "text", list: "a list", dict: "a table", bool: "true or false"}


def read_document(path: Path) -> tuple[str, Table]:
    """Return the text and the contents of the file at *path*, JSON if it is a ``Pipfile.lock``, else TOML."""
    try:
        text = read_bytes(path, _LARGEST).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#04x} at {error.start}"
        raise BundleError(path, "is not UTF-8 text", got=got) from None
    return text, parse_document(text, path)


def parse_document(text: str, path: Path) -> Table:
    """Return the contents of *text*, which stands in the file at *path*; raise ``UsageError`` if it has none."""
    is_json = path.name == "Pipfile.lock"
    kind = "JSON" if is_json else "TOML"
    try:
        root = json.loads(text) if is_json else tomllib.loads(text)
    except ValueError as error:  # JSONDecodeError, TOMLDecodeError, or a number of more digits than int() takes
        raise UsageError(path, f"is not {kind}: {error}") from None
    except RecursionError:
        raise UsageError(path, "is nested too deeply") from None
    if not isinstance(root, dict):
        raise UsageError(path, f"is not what {path.name} is", got=type(root).__name__, want="a table")
    _check_depth(root, path)
    return Table(fields=root, where=path.name)


def _check_depth(root: dict[str, Any], path: Path) -> None:
    level: list[Any] = [root]
    for _ in range(_DEEPEST):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
    if level:
        raise UsageError(path, "is nested too deeply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Some *fields*, and *where* they stand."""

    fields: Mapping[str, Any]
    where: str

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def text(self, key: str) -> str:
        """Return the text at *key*; empty if there is none."""
        text: str = self._value(key, str, "")
        if not text.isprintable():
            raise UsageError(f"{self.where}: {key}", "is not one line of text", got=ascii(text[:40]))
        return text

    def is_true(self, key: str) -> bool:
        """Tell whether there is a true value at *key*."""
        return bool(self._value(key, bool, False))

    def texts(self, key: str) -> list[str]:
        """Return the list of texts at *key*; empty if there is none."""
        items: list[str] = self._value(key, list, [])
        for item in items:
            self._check(key, item, str)
        return items

    def table(self, key: str) -> Table:
        """Return the table at *key*; an empty one if there is none."""
        return Table(fields=self._value(key, dict, {}), where=f"{self.where}: {key}")

    def tables(self, key: str) -> list[Table]:
        """Return the list of tables at *key*; empty if there is none."""
        items: list[Any] = self._value(key, list, [])
        for item in items:
            self._check(key, item, dict)
        return [Table(fields=item, where=f"{self.where}: {key}[{number}]") for number, item in enumerate(items)]

    def _value(self, key: str, wanted: type, default: object) -> Any:  # noqa: ANN401 - of the type that is wanted
        value = self.fields.get(key, default)
        self._check(key, value, wanted)
        return value

    def _check(self, key: str, value: object, wanted: type) -> None:
        if not isinstance(value, wanted):
            got = _NAMES.get(type(value), type(value).__name__)
            raise UsageError(f"{self.where}: {key}", "is not what stands here", got=got, want=_NAMES[wanted])


def header_lines(text: str, header: str, count: int) -> list[int]:
    """Return the numbers of the *count* lines of *text* that are ``[[header]]``; 1 for each if they cannot be told."""
    lines = [number for number, line in enumerate(text.split("\n"), 1) if line.rstrip() == f"[[{header}]]"]
    return lines if len(lines) == count else [1] * count


def line_of(text: str, *parts: str) -> int:
    """Return the number of the line of *text* with the last of *parts*; 1 if it cannot be told.

    Each is looked for behind the one before it. One that begins with a line break begins a line.
    """
    at = 0
    for part in parts:
        found = re.compile(re.escape(part)).search(text, at)
        if found is None:
            return 1
        at = found.start() + part.startswith("\n")
    return text.count("\n", 0, at) + 1
