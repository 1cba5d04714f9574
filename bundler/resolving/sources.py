"""Sources that the resolver may choose: their metadata while it resolves, and their wheels when it has chosen.

* uv chooses as if everything could be built: never an older version because that has a wheel.
* One whose source cannot be built for the target, and whose wheels do not fit, is passed over, and named: of a project
  that publishes wheels an older version may have one.
* The metadata of a source that does not say it is learnt by building the source, in the sandbox; then uv is asked
  again.
* Where uv does not accept what an old wheel requires, it is read as pip read it (``invalid_requirements``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from bundler.locks import place_of, select_pins
from bundler.pins import Pin
from bundler.resolving.invalid_requirements import valid_requirements
from bundler.resolving.resolver_errors import Unsolved
from bundler.resolving.uv_query import Metadata, Query, compile_once
from bundler.runtime.errors import ContentError, TargetError
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.pylock import Package, Pylock
    from packaging.utils import NormalizedName

    from bundler.building.builder import Builder
    from bundler.building.built_wheels import Built


class Sources:
    """What is known of sources, and *builder*, which makes wheels of them."""

    def __init__(self, builder: Builder) -> None:
        self.known: dict[tuple[NormalizedName, str], Metadata] = {}
        self._builder = builder
        self._built: dict[str, Built] = {}
        self.passed_over: dict[str, str] = {}
        self.read_as: dict[str, dict[str, str]] = {}

    def compile(self, query: Query, platform: str | None, excluded: Sequence[str]) -> Pylock:
        """Return what uv answers, asked until it knows all metadata that it needs; raise ``Unsolved`` as uv does."""
        while True:
            try:
                return compile_once(query, platform, excluded)
            except Unsolved as unsolved:
                needed = unsolved.needed_build or unsolved.invalid_metadata
                if needed is None or needed in self.known:
                    raise
                try:
                    self._learn(needed, query)
                except InvalidRequirement:
                    raise unsolved from None

    def can_build(self, package: Package) -> bool:
        """Tell whether *package*, whose wheels do not fit, can be built; if not, another version is worth a try."""
        try:
            self._build(package)
        except TargetError as error:
            self.passed_over[f"{package.name} {package.version}"] = error.what
            return False
        return True

    def pins(self, packages: Iterable[Package]) -> list[Pin]:
        """Return the wheels of *packages*, each of which has a source, built."""
        return [self._build(package).pin for package in packages]

    def _learn(self, needed: tuple[NormalizedName, str], query: Query) -> None:
        """Know the metadata of *needed*: a source, which is built for it, or a wheel whose own uv does not accept."""
        name, version = needed
        self.known[needed] = Metadata()  # so that uv can say where it is
        alone = replace(
            query,
            requirements=(f"{name}=={version}",),
            requirement_files=(),
            constraint_files=(),
            constraints=(),
            preferences={},
            options=("--no-deps",),
        )
        try:
            built = self._open(compile_once(alone, None, []), name)
            requires, read_as = valid_requirements(built.requires)
        except BaseException:
            del self.known[needed]
            raise
        if read_as:
            self.read_as[f"{name} {version}"] = read_as
        self.known[needed] = Metadata(requires=requires, extras=built.extras, requires_python=built.requires_python)

    def _open(self, pylock: Pylock, name: NormalizedName) -> Built:
        """Return the wheel of the package *name* of *pylock*: one that fits, or else that of its source."""
        package = next(package for package in pylock.packages if package.name == name)
        tags = frozenset(compatibility_tags(self._builder.target))
        if not any(tags & parse_wheel_filename(wheel.filename)[3] for wheel in package.wheels or ()):
            return self._build(package)
        (pin,) = select_pins(replace(pylock, packages=[package]), Path(), self._builder.target)
        return self._builder.open_published(pin)

    def _build(self, package: Package) -> Built:
        source = _source_of(package)
        if source.sha256 not in self._built:
            self._built[source.sha256] = self._builder.build(source)
        return self._built[source.sha256]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesQuery(Query):
    """A query, and the *sources* that it may choose, if any."""

    sources: Sources | None = None

    def compile(self, platform: str | None, excluded: Sequence[str]) -> Pylock:
        """Return what uv answers for *platform*, or for all of them; raise ``Unsolved`` with what it says."""
        if self.sources is None:
            return compile_once(self, platform, excluded)
        return self.sources.compile(self, platform, excluded)


def _source_of(package: Package) -> Pin:
    """Return the source distribution of *package*."""
    sdist = package.sdist
    if sdist is None or package.version is None:
        raise ContentError(str(package.name), "has no source distribution with a version", rule="A1")
    url, path = place_of(sdist, Path())
    filename = unquote((urlsplit(url).path if url else str(path)).rpartition("/")[2])
    sha256 = sdist.hashes.get("sha256", "")
    if not sha256:
        raise ContentError(filename, "has no sha256 on its index, and is not built", rule="A1")
    return Pin(
        name=package.name,
        version=Version(str(package.version)),
        filename=filename,
        sha256=sha256,
        size=sdist.size,
        url=url,
        path=path,
    )
