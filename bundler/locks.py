"""PEP 751 ``pylock.toml`` ↔ lock: all pins for one target.

* Any valid lock file is read, also a universal one of another tool, and narrowed to the target: markers are evaluated
  and the best fitting wheel is chosen. One that was made here for another target is refused.
* A pin is a wheel with a sha256 (rule A1). Source distributions, directories and repositories are no pins.
* What is written is the same for the same lock: sorted, no time stamps, no credentials.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

import tomli_w
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundler.runtime.errors import ContentError, UsageError
from bundler.runtime.targets import Target
from bundler.targets import UNKNOWN_MARKERS, compatibility_tags, marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

TOOL = "bundler"
_HEX = re.compile("[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One wheel with its hash. Exactly one of *url* and *path* is set; *size* is in bytes, if it is known."""

    name: NormalizedName
    version: Version
    filename: str
    sha256: str
    size: int | None = None
    url: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All pins for a target, sorted by name."""

    target: Target
    pins: tuple[Pin, ...]

    @classmethod
    def from_toml(cls, text: str, where: Path, target: Target) -> Lock:
        """Read a ``pylock.toml`` for *target*; relative paths in it are relative to the directory of *where*.

        Raise ``ContentError`` if it is no valid lock file, and ``UsageError`` if it is not for *target*.
        """
        pylock = parse_pylock(text, where)
        made_for = (pylock.tool or {}).get(TOOL, {}).get("target")
        if made_for is not None and Target.from_json(made_for, f"{where}: tool.{TOOL}.target") != target:
            raise UsageError(
                where,
                "was made for another target",
                got=Target(**made_for),
                want=target,
                hint="make a lock for this target with bundle lock, or name the lock's own target",
            )
        return cls(target=target, pins=tuple(select_pins(pylock, where, target)))

    def to_toml(self, *, relative_to: Path | None = None) -> str:
        """Return the lock as ``pylock.toml``; local wheels are named relative to *relative_to* if that is given."""
        return self._to_toml([_package(pin, _location(pin, relative_to)) for pin in self.pins])

    def to_embedded_toml(self) -> str:
        """Return the copy that travels inside the bundle: of a place on this host, only the file name is left."""
        return self._to_toml(
            [_package(pin, {"url": _bare(pin.url)} if pin.url else {"path": pin.filename}) for pin in self.pins]
        )

    def _to_toml(self, packages: list[dict[str, Any]]) -> str:
        document = {
            "lock-version": "1.0",
            "created-by": TOOL,
            "requires-python": "=={}.{}.*".format(*self.target.python_minor),
            "packages": packages,
            "tool": {TOOL: {"target": self.target.to_json()}},
        }
        return tomli_w.dumps(document)


def _package(pin: Pin, location: dict[str, str]) -> dict[str, Any]:
    wheel: dict[str, Any] = {"name": pin.filename, **location}
    if pin.size is not None:
        wheel["size"] = pin.size
    wheel["hashes"] = {"sha256": pin.sha256}
    return {"name": pin.name, "version": str(pin.version), "wheels": [wheel]}


def _location(pin: Pin, relative_to: Path | None) -> dict[str, str]:
    if pin.url is not None:
        return {"url": without_credentials(pin.url)}
    path = str(pin.path) if relative_to is None else os.path.relpath(str(pin.path), relative_to)
    return {"path": path}


def without_credentials(url: str) -> str:
    """Return *url* without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _bare(url: str) -> str:
    return urlunsplit(urlsplit(without_credentials(url))._replace(query="", fragment=""))


def parse_pylock(text: str, where: Path) -> Pylock:
    """Parse and validate *text* as PEP 751 says."""
    try:
        pylock = Pylock.from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ContentError(where, f"is not TOML: {error}", rule="B15") from None
    except PylockValidationError as error:
        raise ContentError(where, f"is not a valid pylock.toml: {error}", rule="B15") from None
    return pylock


def select_pins(pylock: Pylock, where: Path, target: Target) -> list[Pin]:
    """Return what of *pylock* is for *target*, sorted by name."""
    _refuse_unknown_markers(pylock.packages, where)
    try:
        # packaging fills variables that are missing with those of the host: all are given.
        selected = list(
            pylock.select(environment=marker_environment(target), tags=compatibility_tags(target))  # type: ignore[arg-type]
        )
    except PylockSelectError as error:
        raise UsageError(where, f"does not fit the target: {error}", want=target) from None
    return sorted((_pin(package, source, where) for package, source in selected), key=lambda pin: pin.name)


def _refuse_unknown_markers(packages: Iterable[Package], where: Path) -> None:
    for package in packages:
        for name in UNKNOWN_MARKERS:
            if package.marker is not None and re.search(rf"\b{name}\b", str(package.marker)):
                raise UsageError(
                    f"{where}: {package.name}",
                    f"depends on {name}, which nobody knows before the bundle boots",
                    got=str(package.marker),
                    hint=f"require what you need of it without the marker, or leave {package.name} out",
                )


def _pin(package: Package, source: object, where: Path) -> Pin:
    at = f"{where}: {package.name}"
    if not isinstance(source, PackageWheel | PackageArchive):
        raise UsageError(
            at,
            "is locked as source, not as a wheel",
            hint=f"build a wheel of it for the target (pip wheel {package.name}) and offer it with --find-links",
        )
    filename = _filename(source)
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        raise UsageError(at, "is no wheel", got=filename, hint="only wheels are installed") from None
    sha256 = source.hashes.get("sha256")
    if sha256 is None or not _HEX.fullmatch(sha256):
        got = sha256 or ", ".join(source.hashes) or "none"
        raise ContentError(at, "has no valid sha256", got=got, want="64 lower-case hex digits", rule="A1")
    if source.size is not None and source.size < 0:
        raise ContentError(at, "has a negative size", got=source.size, rule="A1")
    if name != package.name or (package.version is not None and version != package.version):
        raise ContentError(at, "names the wheel of another", got=filename, rule="A2")
    url, path = source.url, Path(source.path) if source.path else None
    if path is None and url is not None and urlsplit(url).scheme == "file":
        url, path = None, Path(url2pathname(str(urlsplit(url).path)))
    if path is not None:
        url, path = None, Path(os.path.normpath(where.absolute().parent / path))
    return Pin(name=name, version=version, filename=filename, sha256=sha256, size=source.size, url=url, path=path)


def _filename(source: PackageWheel | PackageArchive) -> str:
    if isinstance(source, PackageWheel):
        return source.filename
    return unquote((urlsplit(source.url).path if source.url else source.path or "").rpartition("/")[2])
