"""A key of the file, and what it says → the value of its option.

* A key takes what its option takes: text, a number, true or false. One that may be repeated takes a list of texts;
  one text is a list of one.
* A path is relative to the file, whose directory it is given. ``~/`` is HOME.
* No text has a line end or another control character: on a command line, too, nobody can type them.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bundler.fetching.index_options import redacted_text
from bundler.runtime.errors import UsageError

Kind = Literal["text", "number", "flag", "list"]
Place = Callable[[str, Path], str]

_WANTED = {"text": "text", "number": "a number", "flag": "true or false", "list": "a list of texts"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)")
_ARCHIVE_STORE = "oci-archive:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the key *name* may say. *place* makes a text relative to a directory; *meaning* is the option's help."""

    name: str
    kind: Kind
    convert: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    place: Place | None = None
    on: Any = True
    off: Any = False
    meaning: str = ""

    def read(self, value: object, where: str, directory: Path) -> Any:  # noqa: ANN401 - as argparse has it
        """Return what *value*, which stands at *where* in a file in *directory*, is to the option.

        Raise ``UsageError`` if it is of another kind, or none that the option takes.
        """
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise self._fault(value, where)
            return self.on if value else self.off
        if self.kind == "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise self._fault(value, where)
            return self._converted(value, where)
        if self.kind == "text":
            if not isinstance(value, str):
                raise self._fault(value, where)
            return self._text(value, where, directory)
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise self._fault(items, where)
        for item in items:
            if not isinstance(item, str):
                raise self._fault(item, where)
        return [self._text(item, where, directory) for item in items]

    def _fault(self, value: object, where: str) -> UsageError:
        quotes = self.kind in ("text", "list") and not isinstance(value, (bool, dict, list))
        hint = "put it in quotes" if quotes else None
        return UsageError(where, "is of the wrong kind", got=_shown(value), want=_WANTED[self.kind], hint=hint)

    def _text(self, text: str, where: str, directory: Path) -> Any:  # noqa: ANN401
        if _CONTROL.search(text):
            raise UsageError(where, "has a line end or another control character", got=ascii(redacted_text(text)))
        return self._converted(text if self.place is None else self.place(text, directory), where)

    def _converted(self, value: float | str, where: str) -> Any:  # noqa: ANN401
        try:
            converted = self.convert(str(value))
        except (ValueError, TypeError, argparse.ArgumentTypeError):
            raise UsageError(where, "is nothing that it can be", got=_shown(value), want=self.meaning) from None
        if self.choices and converted not in self.choices:
            raise UsageError(where, "is none of its values", got=_shown(value), want=", ".join(self.choices))
        return converted


def path_in(text: str, directory: Path) -> str:
    """Return the path *text*, relative to *directory*."""
    # Path.expanduser() fails for a user that does not exist, and takes "./~x" for one.
    return str(directory / (os.path.expanduser(text) if text.startswith("~/") else text)) if text else text  # noqa: PTH111


def place_in(text: str, directory: Path) -> str:
    """Return *text*, a URL or a path relative to *directory*."""
    if text.startswith(_ARCHIVE_STORE) and not text.startswith(f"{_ARCHIVE_STORE}//"):
        return _ARCHIVE_STORE + path_in(text.removeprefix(_ARCHIVE_STORE), directory)
    return text if _SCHEME.match(text) else path_in(text, directory)


def name_or_path_in(text: str, directory: Path) -> str:
    """Return *text*, a name or a path relative to *directory*: what has a slash or an ending is a path."""
    return place_in(text, directory) if "/" in text or Path(text).suffix else text


def behind_equals_in(text: str, directory: Path) -> str:
    """Return *text*, ``NAME=PLACE``, whose place is a URL or a path relative to *directory*."""
    name, equals, place = text.partition("=")
    return f"{name}={place_in(place, directory)}" if equals else text


def requirement_in(text: str, directory: Path) -> str:
    """Return the requirement *text*; a path at its beginning is relative to *directory*."""
    editable = _EDITABLE.match(text)
    prefix = editable[0] if editable else ""
    rest = text.removeprefix(prefix)
    place = re.split(r"[\s;\[]", rest, maxsplit=1)[0]
    if _SCHEME.match(place) or "@" in place or not place:
        return text
    if editable or "/" in place or place.startswith(".") or place.lower().endswith(_ARCHIVES):
        path = path_in(place, directory)
        # Path has taken "./" away, and without a slash it would be a name.
        path = path if "/" in path or path.lower().endswith(_ARCHIVES) else f"./{path}"
        return f"{prefix}{path}{rest.removeprefix(place)}"
    return text


def _shown(value: object) -> str:
    """Return *value* as an error may show it: without credentials, and without what is inside."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    try:
        return f"the number {value}" if isinstance(value, (int, float)) else f"the date {value}"
    except ValueError:  # more digits than str() writes
        return "a long number"
