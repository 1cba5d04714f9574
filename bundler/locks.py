"""PEP 751 ``pylock.toml`` ↔ lock: all pins for one target.

* Any valid lock file is read, also a universal one of another tool, and narrowed to the target: markers are evaluated
  and the best fitting wheel is chosen, of equal ones that with the highest build number. One that was made here for
  another target is refused.
* A pin is a wheel that fits the target, with a sha256; each project has one (rules A1 and A2). Source distributions,
  directories and repositories are no pins.
* What was left out because the image has it, in exactly that version, is listed in ``tool.bundler.provided``; what
  was left out because the user said so, in ``tool.bundler.dropped``.
* A wheel that was packed from an environment (``--as-is``) says so in ``tool.bundler.environment`` of its package.
* What is written is the same for the same lock: sorted, no time stamps, no user names and passwords. What travels in
  the bundle has no query strings and no places of this host either.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urlsplit, urlunsplit
from urllib.request import url2pathname

import tomli_w
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.utils import InvalidName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundler.markers import is_excessive, names_unknown
from bundler.pins import HEX, Build, Dropped, Pin, Provided
from bundler.runtime.errors import ContentError, UsageError
from bundler.runtime.images import read_verified
from bundler.runtime.indexes import LOCK_PATH
from bundler.runtime.targets import Target
from bundler.targets import compatibility_tags, marker_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from packaging.tags import Tag
    from packaging.utils import BuildTag

    from bundler.runtime.carriers import Carrier
    from bundler.runtime.images import Image

TOOL = "bundler"
MAX_FILENAME = 255
_MAX_DEPTH = 32
# What parse_wheel_filename leaves open: in build numbers and tags it takes any character.
_FILENAME = re.compile(r"[\w.!+-]+\.whl", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All pins for a target, sorted by name, what is left to the image, and what was dropped."""

    target: Target
    pins: tuple[Pin, ...]
    provided: tuple[Provided, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    @classmethod
    def from_toml(cls, text: str, where: Path, target: Target | None) -> Lock:
        """Read a ``pylock.toml`` for *target* or, if that is None, for the target that it was made for.

        Relative paths in it are relative to the directory of *where*.
        Raise ``ContentError`` if it is no valid lock file, and ``UsageError`` if it is not for *target*.
        """
        pylock = parse_pylock(text, where)
        made_for = _made_for(pylock, where)
        target = target or made_for
        if target is None:
            raise UsageError(where, "does not say which target it is for", hint="name the target with --target")
        if made_for not in (None, target):
            raise UsageError(
                where,
                "was made for another target",
                got=made_for,
                want=target,
                hint="make a lock for this target with bundle lock, or name the lock's own target",
            )
        return cls(
            target=target,
            pins=tuple(select_pins(pylock, where, target)),
            provided=tuple(Provided(**item) for item in _listed(pylock, "provided", where)),
            dropped=tuple(Dropped(**item) for item in _listed(pylock, "dropped", where)),
        )

    def without(self, names: Iterable[str]) -> Lock:
        """Return the lock without the packages *names*, which it lists as dropped instead.

        Raise ``UsageError`` if it has no such package. What was dropped before may be named again.
        """
        wanted = set(map(canonicalize_name, names))
        missing = wanted - {pin.name for pin in self.pins} - {item.name for item in self.dropped}
        if missing:
            what = "names what is not in the lock"
            raise UsageError("--drop", what, got=", ".join(sorted(missing)), hint="bundle lock shows what is in it")
        dropped = [Dropped(name=pin.name, version=pin.version) for pin in self.pins if pin.name in wanted]
        return replace(
            self,
            pins=tuple(pin for pin in self.pins if pin.name not in wanted),
            dropped=tuple(sorted((*self.dropped, *dropped), key=lambda item: item.name)),
        )

    def to_toml(self, *, relative_to: Path | None = None) -> str:
        """Return the lock as ``pylock.toml``; local wheels are named relative to *relative_to* if that is given."""
        return self._to_toml(lambda pin: _location(pin, relative_to), lambda path: _relative(path, relative_to))

    def to_embedded_toml(self) -> str:
        """Return the copy that travels inside the bundle: of a place on this host, only the file name is left."""
        everywhere = replace(self, pins=tuple(map(_without_host, self.pins)))
        return everywhere._to_toml(_location_for_all, lambda path: path.name)  # noqa: SLF001 - its own class

    def _to_toml(self, locate: Callable[[Pin], dict[str, str]], name: Callable[[Path], str]) -> str:
        tool: dict[str, Any] = {"target": self.target.to_json()}
        for key, items in (("provided", self.provided), ("dropped", self.dropped)):
            if items:
                tool[key] = [{"name": item.name, "version": str(item.version)} for item in items]
        document = {
            "lock-version": "1.0",
            "created-by": TOOL,
            "requires-python": "=={}.{}.*".format(*self.target.python_minor),
            "packages": [_package(pin, locate, name) for pin in sorted(self.pins, key=lambda pin: pin.name)],
            "tool": {TOOL: tool},
        }
        return tomli_w.dumps(document)


def read_embedded(carrier: Carrier, image: Image) -> Lock:
    """Return the lock that travels in the bundle in *carrier*, of which *image* is the verified chain."""
    where = Path(f"{carrier.path}: {LOCK_PATH}")
    data = image.documents.get(LOCK_PATH)
    if data is None:  # a tree has its documents as files
        file = next((file for file in image.tree.documents if file.path == LOCK_PATH), None)
        if file is None:
            raise ContentError(where, "is missing", rule="C19")
        data = read_verified(carrier.member(LOCK_PATH), f"sha256:{file.sha256}", file.size)
    return Lock.from_toml(data.decode("utf-8", "replace"), where, None)


def _made_for(pylock: Pylock, where: Path) -> Target | None:
    ours, at = _ours(pylock, where)
    return Target.from_json(ours["target"], f"{at}.target") if "target" in ours else None


def _listed(pylock: Pylock, key: str, where: Path) -> list[dict[str, Any]]:
    """Return the names and versions that we have listed under *key*, by name."""
    ours, at = _ours(pylock, where)
    try:
        found = [
            {"name": canonicalize_name(item["name"], validate=True), "version": Version(item["version"])}
            for item in ours.get(key, [])
        ]
    except (TypeError, KeyError, InvalidName, InvalidVersion):
        raise ContentError(f"{at}.{key}", "is no list of names and versions", rule="B15") from None
    return sorted(found, key=lambda item: item["name"])


def _ours(pylock: Pylock, where: Path) -> tuple[dict[str, Any], str]:
    """Return what we have written into *pylock*, and where it stands."""
    ours = (pylock.tool or {}).get(TOOL, {})
    at = f"{where}: tool.{TOOL}"
    if not isinstance(ours, dict):
        raise ContentError(at, "is no table", got=type(ours).__name__, rule="B15")
    return ours, at


def _package(pin: Pin, locate: Callable[[Pin], dict[str, str]], name: Callable[[Path], str]) -> dict[str, Any]:
    package: dict[str, Any] = {"name": pin.name, "version": str(pin.version)}
    if pin.build is None:
        package |= {"wheels": [_file(pin, locate)]}
        return package | ({"tool": {TOOL: {"environment": name(pin.environment)}}} if pin.environment else {})
    # Other readers build the source; the wheel that came out here is for us.
    table = pin.to_table(locate)
    ours = {key: table[key] for key in ("filename", "sha256", "size", "build") if key in table}
    return package | _source_of(pin.build, locate) | {"tool": {TOOL: {"wheel": ours}}}


def _source_of(build: Build, locate: Callable[[Pin], dict[str, str]]) -> dict[str, Any]:
    """Return what *build* was made of, in the words of PEP 751."""
    repository = build.repository
    if repository is not None:
        vcs = {"type": "git", "url": repository.url, "commit-id": repository.commit}
        return {"vcs": vcs | ({"subdirectory": repository.subdirectory} if repository.subdirectory else {})}
    if build.is_directory:
        return {"directory": {"path": locate(build.source)["path"], "editable": False}}
    return {"sdist": _file(build.source, locate)}


def _file(pin: Pin, locate: Callable[[Pin], dict[str, str]]) -> dict[str, Any]:
    size = {} if pin.size is None else {"size": pin.size}
    return {"name": pin.filename, **locate(pin), **size, "hashes": {"sha256": pin.sha256}}


def _location(pin: Pin, relative_to: Path | None) -> dict[str, str]:
    if pin.url is not None:
        return {"url": urldefrag(without_credentials(pin.url)).url}
    return {"path": _relative(pin.path or Path(), relative_to)}


def _location_for_all(pin: Pin) -> dict[str, str]:
    return {"url": _bare(pin.url)} if pin.url else {"path": pin.filename}


def _without_host(pin: Pin) -> Pin:
    """Return *pin*; of a git repository on this host, only the last name is left."""
    repository = pin.build.repository if pin.build is not None else None
    if pin.build is None or repository is None or urlsplit(repository.url).scheme not in ("", "file"):
        return pin
    name = repository.url.rstrip("/").rpartition("/")[2]
    source = replace(pin.build.source, url=None, path=Path(name))
    return replace(pin, build=replace(pin.build, source=source, repository=replace(repository, url=name)))


def _relative(path: Path, relative_to: Path | None) -> str:
    return str(path) if relative_to is None else os.path.relpath(path, relative_to)


def without_credentials(url: str) -> str:
    """Return *url* without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _bare(url: str) -> str:
    return urlunsplit(urlsplit(without_credentials(url))._replace(query="", fragment=""))


def parse_pylock(text: str, where: Path) -> Pylock:
    """Parse and validate *text* as PEP 751 says."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContentError(where, f"is not TOML: {error}", rule="B15") from None
    except ValueError as error:  # a number of more digits than int() takes
        raise ContentError(where, f"has a value that cannot be read: {error}", rule="B15") from None
    except RecursionError:
        raise ContentError(where, "is nested too deeply", rule="B15") from None
    if _is_deep(document):
        raise ContentError(where, "is nested too deeply", rule="B15")
    try:
        pylock = Pylock.from_dict(document)
    except PylockValidationError as error:
        raise ContentError(where, f"is not a valid pylock.toml: {error}", rule="B15") from None
    for package in pylock.packages:
        for source in [*(package.wheels or ()), package.archive, package.sdist]:
            if source is not None:
                _check_source(source, f"{where}: {package.name}")
    return pylock


def _is_deep(document: dict[str, Any]) -> bool:
    """Tell whether values of *document*, or a marker in it, are nested more deeply than any lock needs."""
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for key, value in level
            for child in (value.items() if isinstance(value, dict) else ((key, item) for item in value))
        ]
        if any(key == "marker" and isinstance(value, str) and is_excessive(value) for key, value in level):
            return True
        level = [(key, value) for key, value in level if isinstance(value, dict | list)]
    return bool(level)


def _check_source(source: PackageWheel | PackageArchive | PackageSdist, at: str) -> None:
    """Refuse a URL that two readers could take for two places, and a name whose tags could be millions."""
    if source.url is not None and not is_plain_url(source.url):
        raise ContentError(at, "has a URL that is none", got=source.url, want="https://host/path", rule="B15")
    if isinstance(source, PackageWheel) and len(source.filename) > MAX_FILENAME:
        raise ContentError(at, "names a wheel that no file system takes", got=source.filename, rule="A2")


def is_plain_url(url: str) -> bool:
    """Tell whether *url* has a scheme and a place, and whether all readers take it for the same."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - looked at to see that it is a number
    except ValueError:
        return False
    plain = url.isprintable() and " " not in url and "\\" not in url
    return plain and bool(parts.path if parts.scheme == "file" else parts.scheme and parts.hostname)


def select_pins(pylock: Pylock, where: Path, target: Target) -> list[Pin]:
    """Return what of *pylock* is for *target*, sorted by name."""
    _refuse_unknown_markers(pylock.packages, where)
    # packaging fills variables that are missing with those of the host: all are given.
    environment = marker_environment(target)
    tags = compatibility_tags(target)
    _refuse_duplicates(applicable(pylock.packages, target), where)
    try:
        selected = list(_newest_build_first(pylock).select(environment=environment, tags=tags))  # type: ignore[arg-type]
    except PylockSelectError as error:
        raise UsageError(where, f"does not fit the target: {error}", want=target) from None
    fitting = frozenset(tags)
    return sorted((_pin(package, source, where, fitting) for package, source in selected), key=lambda pin: pin.name)


def _newest_build_first(pylock: Pylock) -> Pylock:
    """Sort the wheels of each package: of those whose tags fit equally well, the first is selected."""
    packages = [
        replace(package, wheels=sorted(package.wheels, key=_build_number, reverse=True)) if package.wheels else package
        for package in pylock.packages
    ]
    return replace(pylock, packages=packages)


def _build_number(wheel: PackageWheel) -> BuildTag:
    """Return the build number of *wheel*, by which they are sorted."""
    # The specification: "Acts as a tie-breaker if two wheel file names are the same in all other respects"
    try:
        return parse_wheel_filename(wheel.filename)[2]
    except ValueError:  # InvalidWheelFilename, InvalidVersion, InvalidTag: refused where it is selected
        return ()


def applicable(packages: Iterable[Package], target: Target) -> list[Package]:
    """Return those of *packages* whose markers hold for *target*, no extras or groups asked for."""
    environment: dict[str, str | AbstractSet[str]] = {**marker_environment(target)}
    environment.update(extras=frozenset(), dependency_groups=frozenset())
    return [
        package
        for package in packages
        if package.marker is None or package.marker.evaluate(environment, context="lock_file")
    ]


def _refuse_duplicates(packages: Iterable[Package], where: Path) -> None:
    names = [package.name for package in packages]
    for name in names:
        if names.count(name) > 1:
            raise ContentError(
                f"{where}: {name}", "is locked more than once", got=names.count(name), want="one", rule="A1"
            )


def _refuse_unknown_markers(packages: Iterable[Package], where: Path) -> None:
    for package in packages:
        if unknown := names_unknown(str(package.marker or "")):
            raise UsageError(
                f"{where}: {package.name}",
                f"depends on {unknown}, which nobody knows before the bundle boots",
                got=str(package.marker),
                hint=f"require what you need of it without the marker, or leave {package.name} out",
            )


def _pin(package: Package, source: object, where: Path, fitting: frozenset[Tag]) -> Pin:
    at = f"{where}: {package.name}"
    if not isinstance(source, PackageWheel | PackageArchive) and (built := _built(package, source, where)) is not None:
        return built
    if not isinstance(source, PackageWheel | PackageArchive):
        raise UsageError(
            at,
            "is locked as source, not as a wheel",
            hint=f"-r {where} takes its versions, and builds what is a source",
        )
    filename = _filename(source)
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except ValueError:  # InvalidWheelFilename, InvalidVersion, InvalidTag
        tags = frozenset()
    if not tags or not _FILENAME.fullmatch(filename):
        raise UsageError(at, "is no wheel", got=filename, hint="only wheels are installed")
    if name != package.name or (package.version is not None and version != package.version):
        raise ContentError(at, "names the wheel of another", got=filename, rule="A2")
    if not tags & fitting:
        raise UsageError(at, "is a wheel that does not fit the target", got=filename, rule="A2")
    if source.size is not None and source.size < 0:
        raise ContentError(at, "has a negative size", got=source.size, rule="A1")
    url, path = place_of(source, where)
    return Pin(
        name=name,
        version=version,
        filename=filename,
        sha256=_sha256(source, at),
        size=source.size,
        url=url,
        path=path,
        environment=_environment(package, where),
    )


def _environment(package: Package, where: Path) -> Path | None:
    """Return where the wheel of *package* was packed from, where a lock of ours says it."""
    ours = (package.tool or {}).get(TOOL)
    place = ours.get("environment") if isinstance(ours, dict) else None
    return Path(os.path.normpath(where.absolute().parent / place)) if isinstance(place, str) else None


def _built(package: Package, source: object, where: Path) -> Pin | None:
    """Return the wheel that was built of *source*, where a lock of ours names it."""
    ours = (package.tool or {}).get(TOOL)
    if not isinstance(ours, dict) or "wheel" not in ours:
        return None
    at = f"{where}: {package.name}: tool.{TOOL}.wheel"
    if not isinstance(ours["wheel"], dict):
        raise ContentError(at, "is no table", rule="B15")
    table = {"name": package.name, "version": str(package.version), **ours["wheel"]}
    pin = Pin.from_table(table, at, where.absolute().parent)
    same = not isinstance(source, PackageSdist) or (
        pin.build is not None and pin.build.source.sha256 == source.hashes.get("sha256")
    )
    if pin.build is None or not same:
        raise ContentError(at, "was built from another source than the sdist beside it", rule="A1")
    if not _FILENAME.fullmatch(pin.filename):
        raise ContentError(at, "is no wheel", got=pin.filename, rule="A2")
    return pin


def _sha256(source: PackageWheel | PackageArchive, at: str) -> str:
    sha256 = source.hashes.get("sha256")
    if sha256 is None or not HEX.fullmatch(sha256):
        got = sha256 or ", ".join(source.hashes) or "none"
        raise ContentError(at, "has no valid sha256", got=got, want="64 lower-case hex digits", rule="A1")
    return sha256


def place_of(source: PackageWheel | PackageArchive | PackageSdist, where: Path) -> tuple[str | None, Path | None]:
    """Return URL or path of *source*: the path where there are both, or where the URL is one of a file."""
    path = source.path
    if path is None and source.url is not None and urlsplit(source.url).scheme == "file":
        path = url2pathname(str(urlsplit(source.url).path))
    if path is None:
        return source.url, None
    return None, Path(os.path.normpath(where.absolute().parent / path))


def _filename(source: PackageWheel | PackageArchive) -> str:
    if isinstance(source, PackageWheel):
        return source.filename
    return unquote((urlsplit(source.url).path if source.url else source.path or "").rpartition("/")[2])
