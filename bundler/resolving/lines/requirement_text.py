"""The bytes of a requirements file → its logical lines, as pip reads them.

* A byte order mark says UTF-8, UTF-16 or UTF-32; else a ``coding:`` comment in one of the first two lines names the
  encoding; else it is UTF-8.
* Comments go, continued lines are joined, ``${VARIABLE}`` is replaced where the environment has it.
"""

from __future__ import annotations

import codecs
import re
import shlex
from typing import TYPE_CHECKING

from bundler.fetching.index_options import redacted_text
from bundler.runtime.errors import BundleError, UsageError
from bundler.small_files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LARGEST = 16 << 20
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
# PEP 263, which pip follows here.
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_lines(path: Path, environ: Mapping[str, str]) -> list[tuple[int, str]]:
    """Return each logical line of the requirements file *path*, and the number of the line it begins in."""
    return list(logical_lines(decode(read_bytes(path, _LARGEST, error=BundleError), path), environ))


def decode(data: bytes, path: Path) -> str:
    """Return the text that *data*, the contents of the requirements file *path*, are."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", ""))
    said = next((match[1].decode() for line in data.split(b"\n", 2)[:2] if (match := _CODING.match(line))), None)
    encoding = encoding or said or "utf-8"
    try:
        return data[len(mark) :].decode(encoding)
    except LookupError:
        raise UsageError(path, "names an encoding that does not exist", got=encoding, want="utf-8") from None
    except UnicodeError as error:
        at = f"byte {data[len(mark) + error.start]:#04x} at {error.start}" if hasattr(error, "start") else str(error)
        hint = "save it as UTF-8, or let its first line name its encoding: # -*- coding: latin-1 -*-"
        raise BundleError(path, f"is not {encoding.upper()} text", got=at, hint=hint) from None


def logical_lines(text: str, environ: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Yield each logical line of *text* without its comment, and the number of the line it begins in."""
    joined, start = "", 0
    for number, raw in enumerate([*text.removeprefix("\ufeff").splitlines(), ""], 1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            joined += raw[:-1] + " "
            continue
        line = _COMMENT.sub("", joined + raw).strip()
        if line:
            yield start, _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), line)
        joined, start = "", 0


def unquote_path(name: str, where: str) -> str:
    """Return the path that *name*, quoted or a file: URL, means; refuse one from the network."""
    try:
        (name,) = shlex.split(name)
    except ValueError:
        raise BundleError(where, "does not name one file", got=redacted_text(name)) from None
    if "://" in name and not name.startswith("file://"):
        # Its hashes could not be enforced: it would not be what the user has seen.
        hint = "download it, look at it and name the file"
        raise UsageError(where, "includes a file from the network", got=redacted_text(name), hint=hint)
    return name.removeprefix("file://")
