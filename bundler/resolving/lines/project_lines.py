"""A requirement line → the project that it means, where that is no wheel and no name: directory, archive or commit.

    -e DIR, ./DIR, NAME @ file:///DIR        a directory with a project in it; built as it is now
    ./X.tar.gz, NAME @ file:///X.zip         a source distribution
    https://…/X.tar.gz, NAME @ https://…     one to be fetched; ``#sha256=`` is compared
    git+URL@REV#subdirectory=DIR, NAME @ …   a commit, tag or branch of a git repository

* ``NAME @ file:///…`` where nothing lies is a line of another machine's freeze (conda writes the directories in which
  its packages were built): it is read as NAME, and with the version if the name of a file tells it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

ARCHIVES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<extras>\[[^\]]*\])?\s*@\s*(?P<place>\S+)", re.ASCII)
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(?P<place>.+)")
_EXTRAS = re.compile(r"(?P<place>.*?)(?P<extras>\[[^\]]*\])?$")
_VERSION = re.compile(r"(?P<name>.+?)-(?P<version>[0-9][^-]*)(?:-.*\.whl|\.tar\.gz|\.zip|\.tar\.bz2)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectLine:
    """A project: *kind* is ``directory``, ``archive``, ``remote`` or ``git``; *name* is empty if the line says none."""

    kind: str
    place: str
    name: str = ""
    extras: str = ""
    marker: str = ""
    revision: str | None = None
    subdirectory: str = ""
    sha256: str | None = None
    editable: bool = False


def parse_project_line(line: str, base: Path) -> ProjectLine | None:
    """Return the project that *line* means, its paths relative to *base*; None if it means a wheel or a name."""
    editable = _EDITABLE.match(line)
    text = (editable["place"] if editable else line).strip()
    text, _, marker = (part.strip() for part in _split_marker(text))
    named = _NAMED.match(text)
    if named:
        name, extras, place = named["name"], named["extras"] or "", named["place"]
    else:
        match = _EXTRAS.fullmatch(text)
        name, place, extras = "", (match["place"] if match else text).strip(), (match and match["extras"]) or ""
    found = _project_at(place, base, named=bool(named), editable=bool(editable))
    if found is None:
        return None
    return replace(
        found, name=name or found.name, extras=extras or found.extras, marker=marker, editable=bool(editable)
    )


def elsewhere(line: str, base: Path) -> str | None:
    """Return the requirement that *line* stands for where it names a file of another machine; None if it does not."""
    named = _NAMED.match(line)
    if named is None or not named["place"].startswith("file:"):
        return None
    path = Path(unquote(urlsplit(named["place"]).path))
    if (base / path).exists():
        return None
    version = _VERSION.fullmatch(path.name)
    _, _, marker = _split_marker(line)
    pinned = f"=={version['version']}" if version else ""
    return f"{named['name']}{named['extras'] or ''}{pinned}{f' ; {marker.strip()}' if marker.strip() else ''}"


def _split_marker(text: str) -> tuple[str, str, str]:
    """Split at the semicolon before a marker: with a space in front of it behind a URL (PEP 508)."""
    match = re.search(r"\s+;|;\s+", text)
    return (text, "", "") if match is None else (text[: match.start()], ";", text[match.end() :])


def _project_at(place: str, base: Path, *, named: bool, editable: bool) -> ProjectLine | None:
    if re.match(r"git\+", place):
        return _git(place)
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        if not parts.path.endswith(ARCHIVES):
            return None
        sha256 = parse_qs(parts.fragment).get("sha256", [None])[0]
        return ProjectLine(kind="remote", place=place.partition("#")[0], sha256=sha256)
    if parts.scheme == "file":
        place = unquote(parts.path)
    elif parts.scheme:
        return None
    path = base / Path(place.partition("#")[0]).expanduser()
    # A name with its hashes is asked nothing: it may be longer than a file name can be.
    if (editable or named or "/" in place or place.startswith(".")) and path.is_dir():
        return ProjectLine(kind="directory", place=str(path))
    if place.endswith(ARCHIVES) and path.is_file():
        return ProjectLine(kind="archive", place=str(path))
    return None


def _git(place: str) -> ProjectLine:
    url, _, fragment = place.removeprefix("git+").partition("#")
    fields = parse_qs(fragment)
    revision = None
    start = url.find("/", url.find("://") + 3) if "://" in url else 0
    head, at, tail = url[start:].rpartition("@")
    if at:
        url, revision = url[:start] + head, tail
    name, _, extras = fields.get("egg", [""])[0].partition("[")
    return ProjectLine(
        kind="git",
        place=url,
        name=name,
        extras=f"[{extras}" if extras else "",
        revision=revision,
        subdirectory=fields.get("subdirectory", [""])[0],
    )
