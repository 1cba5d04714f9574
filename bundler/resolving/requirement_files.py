"""Requirement files → their requirement lines, with the hashes they demand and where they stand.

uv reads the files itself for resolution. It ignores the hashes in them, which are enforced here (``resolver``).
* These are read: ``-r`` and ``-c`` (relative to the file), comments, continued lines, ``${VARIABLE}``, ``--hash`` and
  ``--require-hashes``. Other options are left to uv.
* A line that can never become a wheel is refused with file and line: editables, repositories, directories, source
  distributions, markers whose value is known only when the bundle boots.
* A line is shown without the credentials in its URLs.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

from bundler.fetching.index_options import redacted_text
from bundler.markers import names_unknown, parse_requirement
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.small_files import read_text
from bundler.targets import compatibility_tags, marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel

    from bundler.runtime.targets import Target

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
INCLUDE = re.compile(r"(?P<option>-r|--requirement|-c|--constraint)(?:\s*=?\s*)(?P<path>.+)")
_HASH = re.compile(r"\s--hash(?:=|\s+)(\S+)")
_OPTION = re.compile(r"\s--[a-z].*$")
_NAMED_URL = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*@\s*(?P<place>\S+)", re.ASCII)
_SHA256 = re.compile("[0-9a-f]{64}", re.ASCII)
_ARCHIVES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar")
_HINT = "build a wheel for the target (pip wheel) and name the wheel instead"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """A requirement, and the sha256 in hex of the files that it accepts: none listed, any accepted."""

    where: str
    name: NormalizedName
    parsed: Requirement | None
    sha256: frozenset[str] = frozenset()

    def is_wanted(self, markers: Mapping[str, str]) -> bool:
        """Return whether the requirement holds where *markers* do."""
        marker = None if self.parsed is None else self.parsed.marker
        return marker is None or marker.evaluate({**markers, "extra": ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLines:
    """What files ask for; *require_hashes* is where a line demands a hash of everything, if one does."""

    lines: tuple[RequirementLine, ...]
    require_hashes: str | None = None


def read_requirement_files(
    files: Sequence[Path], environ: Mapping[str, str] | None = None, *, sources: bool = False
) -> RequirementLines:
    """Return the requirement lines of *files* and of what they include. *sources* of projects may be asked for.

    Raise ``BundleError`` naming file and line for what cannot be read, is no requirement or can never be a wheel.
    """
    environ = os.environ if environ is None else environ
    lines: list[RequirementLine] = []
    require_hashes = None
    for path in files:
        for where, line in _lines(path, environ, ()):
            if line == "--require-hashes":
                require_hashes = where
            elif line.startswith("-"):
                _check_option(where, line, sources=sources)
            else:
                lines.append(parse_line(line, where))
    return RequirementLines(lines=tuple(lines), require_hashes=require_hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashDemands:
    """The hashes that *lines* ask for, of wheels for *target* (rule A1)."""

    lines: tuple[RequirementLine, ...]
    require_hashes: str | None
    target: Target

    def enforced(self, package: Package) -> Package:
        """Leave only those wheels of *package* that every line with hashes accepts."""
        markers = marker_environment(self.target)
        demands = [line for line in self.lines if line.sha256 and line.name == package.name and line.is_wanted(markers)]
        if not demands and self.require_hashes is not None:
            raise ContentError(
                self.require_hashes,
                f"no line lists a hash of {package.name} {package.version or ''}".strip(),
                hint=f"add {package.name} with its --hash, or remove --require-hashes",
                rule="A1",
            )
        for demand in demands:
            found = [source.hashes.get("sha256", "") for source in self._fitting(package)]
            if demand.sha256.isdisjoint(found):
                raise ContentError(
                    demand.where,
                    f"lists no hash of a wheel of {package.name} {package.version or ''}".strip(),
                    got=", ".join(f"sha256:{sha256}" for sha256 in found),
                    want=" or ".join(f"sha256:{sha256}" for sha256 in sorted(demand.sha256)[:3]),
                    hint=f"these are the wheels for {self.target}; if one of them is right, add its hash to the line",
                    rule="A1",
                )
            if package.wheels:
                wheels = [wheel for wheel in package.wheels if wheel.hashes.get("sha256") in demand.sha256]
                package = replace(package, wheels=wheels)
        return package

    def _fitting(self, package: Package) -> Iterator[PackageWheel | PackageArchive | PackageSdist]:
        tags = frozenset(compatibility_tags(self.target))
        if package.archive is not None:
            yield package.archive
        if package.sdist is not None:
            yield package.sdist
        for wheel in package.wheels or ():
            if parse_wheel_filename(wheel.filename)[3] & tags:
                yield wheel


def parse_line(line: str, where: str) -> RequirementLine:
    """Return the requirement that *line* is.

    Raise ``UsageError`` if it can never be a wheel, and ``BundleError`` if it is no requirement.
    """
    if line.startswith("-") or "\n" in line:
        _check_option(where, line, sources=False)
        raise UsageError(where, "is not one requirement", got=redacted_text(line))
    requirement = _OPTION.sub("", line).strip()
    named = _NAMED_URL.match(requirement)
    place = named["place"] if named else requirement.partition(" ")[0]
    if named or "/" in place or place.endswith((".whl", *_ARCHIVES)) or place.startswith("."):
        _check_place(where, place, requirement)
    if named is None and _path_of(place).endswith(".whl"):
        name, parsed = canonicalize_name(_path_of(place).rpartition("/")[2].partition("-")[0]), None
    else:
        parsed = _parse(requirement, where)
        name = canonicalize_name(parsed.name)
    return RequirementLine(where=where, name=name, parsed=parsed, sha256=_hashes(line, where))


def _parse(requirement: str, where: str) -> Requirement:
    try:
        parsed = parse_requirement(requirement)
    except InvalidRequirement as error:
        reason = redacted_text(str(error).splitlines()[0])
        raise BundleError(where, f"is not a requirement: {reason}", got=redacted_text(requirement)) from None
    if unknown := names_unknown(str(parsed.marker or "")):
        raise UsageError(
            where,
            f"depends on {unknown}, which nobody knows before the bundle boots",
            got=f"{parsed.name} ; {parsed.marker}",
            hint=f"require {parsed.name} without the marker, or leave it out",
        )
    return parsed


def _hashes(line: str, where: str) -> frozenset[str]:
    hashes = _HASH.findall(line)
    strong = {text.removeprefix("sha256:") for text in hashes if text.startswith("sha256:")}
    if hashes and not (strong and all(_SHA256.fullmatch(text) for text in strong)):
        raise ContentError(where, "has no valid sha256 among its hashes", got=", ".join(hashes), rule="A1")
    return frozenset(strong)


def _check_place(where: str, place: str, line: str) -> None:
    """Refuse what lies at *place*, a URL or path, if it is no wheel."""
    path = _path_of(place)
    if re.match(r"(git|hg|svn|bzr)\+", place):
        what = "is a repository"
    elif path.endswith(_ARCHIVES):
        what = "is a source distribution"
    elif path.endswith(".whl"):
        return
    else:
        what = "is no wheel" if "://" in place and not place.startswith("file:") else "is a directory"
    raise UsageError(where, f"{what}, and a bundle holds wheels only", got=redacted_text(line), hint=_HINT)


def _check_option(where: str, line: str, *, sources: bool) -> None:
    if re.match(r"(-e|--editable)\b", line):
        raise UsageError(where, "is editable, and a bundle holds wheels only", got=redacted_text(line), hint=_HINT)
    if re.match(r"--no-binary\b(?!.*:none:)", line) and not (sources and ":all:" not in line):
        hint = "name projects, as far as they may be built, or remove the line"
        raise UsageError(where, "asks for sources, and a bundle holds wheels only", got=line, hint=hint)


def _path_of(place: str) -> str:
    """Return *place*, a URL or path, without query, fragment and extras."""
    return re.sub(r"\[[^\]]*\]$", "", re.split("[?#]", place, maxsplit=1)[0])


def _lines(path: Path, environ: Mapping[str, str], parents: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Yield ``file:line`` and the joined line of *path* and what it includes."""
    resolved = path.resolve()
    if resolved in parents:
        names = " → ".join(parent.name for parent in (*parents, resolved))
        raise UsageError(path, "includes itself", got=names, hint="remove one of the -r or -c lines")
    for number, line in logical_lines(read_text(path), environ):
        include = INCLUDE.fullmatch(line)
        if include is None:
            yield f"{path.name}:{number}", line
            continue
        name = unquote_path(include["path"], f"{path.name}:{number}")
        yield from _lines(path.parent / name, environ, (*parents, resolved))


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
        # Its hashes could not be enforced: uv would read what we have not seen.
        hint = "download it, look at it and name the file"
        raise UsageError(where, "includes a file from the network", got=redacted_text(name), hint=hint)
    return name.removeprefix("file://")
