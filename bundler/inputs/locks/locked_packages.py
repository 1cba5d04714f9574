"""A package of another tool's lock → a requirement line with its version, its hashes, or its place.

* What is written was parsed before: a lock cannot put an option or a second line into the file that the resolver reads.
* All hashes that the lock lists are kept, also those that the resolver refuses to rely on.
* A path has to be there: the resolver would take it for one of another machine, and look for the name instead.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.inputs.listings import Line
from bundler.markers import is_excessive
from bundler.pins import COMMIT
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_HASH = re.compile(r"[a-z0-9_]+:[0-9A-Fa-f]+", re.ASCII)
_SCP = re.compile(r"(?P<login>[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/:][^:]*)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """A package as a lock describes it, at *where*, in the line *number* of its file.

    Either a version is known, or a *place*: a URL as requirement lines have it.
    """

    where: str
    number: int
    name: str
    version: str = ""
    hashes: tuple[str, ...] = ()
    place: str = ""
    marker: Marker | None = None
    registry: str = ""

    def line(self) -> Line:
        """Return the requirement line; raise ``UsageError`` if there can be none."""
        try:
            name = canonicalize_name(self.name, validate=True)
        except InvalidName:
            raise UsageError(self.where, "has no name that a package can have", got=self.name) from None
        hashes = sorted(set(self.hashes))
        for text in hashes:
            if not _HASH.fullmatch(text):
                raise UsageError(f"{self.where}: {name}", "has a hash that is none", got=text, want="sha256:HEX")
        if self.place:
            requirement = f"{name} @ {self.place}"
        else:
            try:
                requirement = f"{name}=={Version(self.version)}"
            except InvalidVersion:
                raise UsageError(f"{self.where}: {name}", "has no version", got=self.version or "none") from None
        text = " ".join((requirement, *(f"--hash={text}" for text in hashes)))
        return Line(number=self.number, text=text, marker=self.marker, name=name, registry=self.registry)


def parse_marker(text: str, where: str) -> Marker | None:
    """Return the marker *text*, which stands at *where*; None if it is empty."""
    if not text.strip():
        return None
    with contextlib.suppress(InvalidMarker):
        if not is_excessive(text):
            return Marker(text)
    raise UsageError(where, "has a marker that is none", got=ascii(text[:80]))


def both(*markers: Marker | None) -> Marker | None:
    """Return a marker that holds where all of *markers* do; None holds everywhere."""
    given = [f"({marker})" for marker in markers if marker is not None]
    return Marker(" and ".join(given)) if given else None


def git_place(url: str, commit: str, subdirectory: str, where: str) -> str:
    """Return the URL of the *commit* of the repository at *url*."""
    if not COMMIT.fullmatch(commit):
        raise UsageError(where, "names no commit of its repository", got=commit or "none", want="40 hex digits")
    scp = _SCP.fullmatch(url)
    if scp is not None:
        url = f"ssh://{scp['login'] or ''}{scp['host']}/{scp['path']}"
    elif "://" not in url:
        url = Path(os.path.abspath(url)).as_uri()  # noqa: PTH100 - resolve() would follow links
    part = f"#subdirectory={subdirectory}" if subdirectory else ""
    return plain(f"git+{url}@{commit}{part}", where)


def path_place(name: str, directory: Path, where: str) -> str:
    """Return the URL of what lies at *name*, relative to *directory*; raise ``UsageError`` if nothing does."""
    path = Path(os.path.normpath(directory.absolute() / name))
    if not name or not path.exists():
        raise UsageError(where, "names a path that is not there", got=name or "none")
    return path.as_uri()


def plain(url: str, where: str) -> str:
    """Return *url* if it is one word and a URL."""
    try:
        is_url = bool(urlsplit(url).scheme)
    except ValueError:
        is_url = False
    if not is_url or not url.isprintable() or re.search(r"[\s\"'\\;]", url):
        raise UsageError(where, "has a URL that is none", got=ascii(url[:80]))
    return url


def unhashed(lines: Iterable[Line]) -> list[str]:
    """Return the names of those of *lines* that name a version and no hash."""
    return [line.name or "" for line in lines if " @ " not in line.text and "--hash=" not in line.text]
