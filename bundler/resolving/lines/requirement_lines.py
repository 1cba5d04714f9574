"""Lines that ask for something → requirements, with the hashes they demand, and the text that uv is given.

uv ignores the hashes in requirement files; they are enforced here, as pip does it: one ``--hash`` anywhere, and
everything needs one. That of a wheel's URL (``#sha256=``) is compared too, and demands nothing of others.
* A line that is no wheel after projects were built (``expansion``) can never become one, and is refused with file and
  line; so is a marker whose value is known only when the bundle boots.
* A line is shown without the credentials in its URLs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

from bundler.fetching.index_options import redacted_text
from bundler.markers import names_unknown, parse_requirement
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.targets import compatibility_tags, marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel
    from packaging.version import Version

    from bundler.resolving.lines.requirement_files import Line
    from bundler.runtime.targets import Target

_HASH = re.compile(r"\s--hash(?:=|\s+)(\S+)")
_OPTION = re.compile(r"\s--[a-z].*$")
_NAMED_URL = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?)\s*@\s*(?P<place>\S+)", re.ASCII)
_WHEEL = re.compile(r"(?P<path>[^\s:;\[]+\.whl)(?=[\s;\[]|$)")
_IN_URL = re.compile(r"(?<=\.whl)#sha256=([0-9a-f]{64})(?=\s|$)", re.ASCII)
_CONDAS_WAY = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*=\s*(?P<version>[0-9][\w.]*)", re.ASCII)
_SHA256 = re.compile("[0-9a-f]{64}", re.ASCII)
_ARCHIVES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar")
_HINT = "leave --build never away, so that it may be built, or name a wheel"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """A requirement, and the sha256 in hex of the files that it accepts: none listed, any accepted.

    *text* is what uv is given: without options, its paths absolute. It *is_fixed* if it names what can be no other:
    a commit. It *demands_hashes* of all lines if it has a ``--hash``.
    """

    where: str
    name: NormalizedName
    text: str
    parsed: Requirement | None
    sha256: frozenset[str] = frozenset()
    is_fixed: bool = False
    demands_hashes: bool = False

    def is_wanted(self, markers: Mapping[str, str]) -> bool:
        """Return whether the requirement holds where *markers* do."""
        marker = None if self.parsed is None else self.parsed.marker
        return marker is None or marker.evaluate({**markers, "extra": ""})

    def accepts(self, version: Version) -> bool:
        """Return whether *version* is one of those that are asked for; a wheel of one's own is another than any."""
        if self.parsed is None or self.parsed.url is not None:
            return False
        return self.parsed.specifier.contains(version, prereleases=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashDemands:
    """The hashes that *lines* ask for, of wheels for *target* (rule A1).

    *require_hashes* is where a line demands a hash of everything, if one does.
    """

    lines: tuple[RequirementLine, ...]
    require_hashes: str | None
    target: Target

    @classmethod
    def of(cls, lines: tuple[RequirementLine, ...], require_hashes: str | None, target: Target) -> HashDemands:
        """Return what *lines* demand, *require_hashes* or not: as with pip, the first hash is a demand of all."""
        first = next((line.where for line in lines if line.demands_hashes), None)
        return cls(lines=lines, require_hashes=require_hashes or first, target=target)

    def enforced(self, package: Package) -> Package:
        """Leave only those wheels of *package* that every line with hashes accepts."""
        markers = marker_environment(self.target)
        demands = [line for line in self.lines if line.sha256 and line.name == package.name and line.is_wanted(markers)]
        is_fixed = any(line.is_fixed and line.name == package.name for line in self.lines)
        if not demands and not is_fixed and self.require_hashes is not None:
            raise ContentError(
                self.require_hashes,
                f"demands a hash of everything, and no line has one of {package.name} {package.version or ''}".strip(),
                hint=f"add {package.name} with its --hash, or remove all hashes and --require-hashes",
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


def parse_lines(lines: Iterable[Line]) -> tuple[RequirementLine, ...]:
    """Return the requirements that *lines* are, as ``parse_line`` does."""
    return tuple(map(parse_line, lines))


def parse_line(line: Line) -> RequirementLine:
    """Return the requirement that *line* is.

    Raise ``UsageError`` if it can never be a wheel, and ``BundleError`` if it is no requirement.
    """
    where = line.where
    if line.text.startswith("-") or "\n" in line.text or "\r" in line.text:
        _check_editable(line)
        raise UsageError(where, "is not one requirement", got=redacted_text(line.text))
    requirement = without_options(line.text)
    named = _NAMED_URL.match(requirement)
    place = named["place"] if named else requirement.partition(" ")[0]
    if named or "/" in place or place.endswith((".whl", *_ARCHIVES)) or place.startswith("."):
        _check_place(where, place, requirement)
    if named is None and _path_of(place).endswith(".whl"):
        name, parsed = canonicalize_name(_path_of(place).rpartition("/")[2].partition("-")[0]), None
    else:
        parsed = _parse(requirement, where)
        name = canonicalize_name(parsed.name)
    hashes = demanded_hashes(line.text, where)
    in_url = _IN_URL.search(requirement)
    return RequirementLine(
        where=where,
        name=name,
        text=_absolute(_IN_URL.sub("", requirement), line.base),
        parsed=parsed,
        sha256=hashes | {in_url[1]} if in_url else hashes,
        is_fixed=line.is_fixed,
        demands_hashes=bool(hashes) and line.demands_hashes,
    )


def _absolute(requirement: str, base: Path) -> str:
    """Return *requirement* with the path of a wheel made absolute: uv reads it from another directory."""
    named = _NAMED_URL.match(requirement)
    if named and ":" not in named["place"]:
        return f"{named['name']} @ {(base / named['place']).absolute().as_uri()}{requirement[named.end() :]}"
    path = None if named else _WHEEL.match(requirement)
    return f"{(base / path['path']).absolute()}{requirement[path.end() :]}" if path else requirement


def _parse(requirement: str, where: str) -> Requirement:
    try:
        parsed = parse_requirement(requirement)
    except InvalidRequirement as error:
        reason = redacted_text(str(error).splitlines()[0])
        conda = _CONDAS_WAY.match(requirement)
        hint = f"that is how conda writes it: {conda['name']}=={conda['version']}" if conda else None
        raise BundleError(where, f"is not a requirement: {reason}", got=redacted_text(requirement), hint=hint) from None
    if unknown := names_unknown(str(parsed.marker or "")):
        raise UsageError(
            where,
            f"depends on {unknown}, which nobody knows before the bundle boots",
            got=f"{parsed.name} ; {parsed.marker}",
            hint=f"require {parsed.name} without the marker, or leave it out",
        )
    return parsed


def without_options(line: str) -> str:
    """Return *line* without ``--hash`` and what else pip takes behind a requirement."""
    return _OPTION.sub("", line).strip()


def demanded_hashes(line: str, where: str) -> frozenset[str]:
    """Return the sha256 of the files that *line* accepts; raise ``ContentError`` if it lists other hashes only."""
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


def _check_editable(line: Line) -> None:
    if re.match(r"(-e|--editable)\b", line.text):
        what = "is editable, and a bundle holds wheels only"
        raise UsageError(line.where, what, got=redacted_text(line.text), hint=_HINT)


def _path_of(place: str) -> str:
    """Return *place*, a URL or path, without query, fragment and extras."""
    return re.sub(r"\[[^\]]*\]$", "", re.split("[?#]", place, maxsplit=1)[0])
