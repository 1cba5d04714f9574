"""Sources that the resolver may choose: their metadata while it resolves, and their wheels when it has chosen.

* uv chooses as if everything could be built: never an older version because that has a wheel.
* One whose source cannot be built, and whose wheels do not fit, is passed over, and named with the reason: of a project
  that publishes wheels an older version may have one. No other source of that project is tried. What the user has
  allowed to be built by its name is not passed over.
* Nor is a build tried whose result would need a newer libc than the target's (lightgbm, minutes), unless there is no
  other way.
* The metadata of a source that does not say it is learnt by building the source, in the sandbox; then uv is asked
  again.
* Where uv does not accept what an old wheel requires, it is read as pip read it (``invalid_requirements``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from bundler.building.backends import BuildError
from bundler.locks import place_of, select_pins
from bundler.pins import Pin
from bundler.resolving.indexes.weak_hashes import sha256_of
from bundler.resolving.invalid_requirements import valid_requirements
from bundler.resolving.uv.unsolved import Unsolved
from bundler.resolving.uv.uv_query import Metadata, Query, compile_once
from bundler.runtime.errors import ContentError, TargetError
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from packaging.pylock import Package, Pylock
    from packaging.utils import NormalizedName

    from bundler.building.builder import Builder
    from bundler.building.built_wheels import Built
    from bundler.fetching.index_options import IndexOptions


class Sources:
    """What is known of sources, and *builder*, which makes wheels of them.

    *enforced* refuses a package whose files are not those that a user demands: none of that is built.
    """

    def __init__(
        self, builder: Builder, enforced: Callable[[Package], Package], indexes: IndexOptions, *, offline: bool
    ) -> None:
        self.known: dict[tuple[NormalizedName, str], Metadata] = {}
        self._builder = builder
        self._enforced = enforced
        self._indexes = indexes
        self._offline = offline
        self._built: dict[str, Built] = {}
        self._failed: dict[NormalizedName, tuple[str, BuildError | TargetError]] = {}
        self._untried: set[NormalizedName] = set()
        self._insisted: set[NormalizedName] = set()
        self.read_as: dict[str, dict[str, str]] = {}

    @property
    def passed_over(self) -> list[tuple[NormalizedName, str, str]]:
        """The name and version of each source that could not be built, and the reason."""
        return [
            (name, version, error.reason if isinstance(error, BuildError) else error.what)
            for name, (version, error) in self._failed.items()
        ]

    def has_failed(self, name: NormalizedName) -> bool:
        """Tell whether a source of the project *name* could not be built."""
        return name in self._failed

    def failure_behind(self, unsolved: Unsolved) -> tuple[NormalizedName, str, BuildError | TargetError] | None:
        """Return the name, the version and the error of a source that could not be built, if *unsolved* is about it."""
        for name, (version, error) in self._failed.items():
            if unsolved.names(name):
                return name, version, error
        return None

    def restricted(self, query: Query) -> Query:
        """Return *query*, which chooses no source of what could not be built."""
        wheels_only = tuple(word for name in self._failed for word in ("--only-binary", name))
        return replace(query, options=(*query.options, *wheels_only))

    def compile(self, query: Query, platform: str | None, excluded: Sequence[str]) -> Pylock:
        """Return what uv answers, asked until it knows all metadata that it needs; raise ``Unsolved`` as uv does."""
        while True:
            try:
                return compile_once(self.restricted(query), platform, excluded)
            except Unsolved as unsolved:
                if not excluded and self._insists(unsolved):
                    continue
                needed = unsolved.needed_build or unsolved.invalid_metadata
                if needed is None or needed in self.known or needed[0] in self._failed:
                    raise
                try:
                    self._learn(needed, query)
                except InvalidRequirement:
                    raise unsolved from None
                except (BuildError, TargetError) as error:
                    self._pass_over(*needed, error)

    def can_build(self, package: Package) -> bool:
        """Tell whether *package*, of which no wheel fits, can be built; if not, another version is worth a try."""
        if package.name in self._failed:
            return False
        try:
            if package.name not in self._insisted and package.name not in (self._builder.policy.names or ()):
                where = f"{package.name} {package.version}"
                self._untried.add(package.name)
                self._builder.check_libc(where, [wheel.filename for wheel in package.wheels or ()])
                self._untried.discard(package.name)
            self._build(package)
        except (BuildError, TargetError) as error:
            self._pass_over(package.name, str(package.version), error)
            return False
        return True

    def _insists(self, unsolved: Unsolved) -> bool:
        """Tell whether builds that were not tried have to be, since *unsolved* is about their projects."""
        wanted = {name for name in self._untried if unsolved.names(name)}
        for name in wanted:
            self._untried.discard(name)
            self._insisted.add(name)
            del self._failed[name]
        return bool(wanted)

    def _pass_over(self, name: NormalizedName, version: str, error: BuildError | TargetError) -> None:
        """Choose no source of *name* from now on; raise *error* if the user has asked for just that."""
        if name in (self._builder.policy.names or ()):
            raise error
        self._failed[name] = version, error

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
        source = self._source_of(self._enforced(package))
        if source.sha256 not in self._built:
            self._built[source.sha256] = self._builder.build(source)
        return self._built[source.sha256]

    def _source_of(self, package: Package) -> Pin:
        """Return the source distribution of *package*."""
        sdist = package.sdist
        if sdist is None or package.version is None:
            raise ContentError(str(package.name), "has no source distribution with a version", rule="A1")
        url, path = place_of(sdist, Path())
        filename = unquote((urlsplit(url).path if url else str(path)).rpartition("/")[2])
        sha256 = sdist.hashes.get("sha256") or sha256_of(
            sdist, indexes=self._indexes, environ=os.environ, offline=self._offline
        )
        return Pin(
            name=package.name,
            version=Version(str(package.version)),
            filename=filename,
            sha256=sha256,
            size=sdist.size,
            url=url,
            path=path,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesQuery(Query):
    """A query, and the *sources* that it may choose, if any; *may_build*: and build, to know them."""

    sources: Sources | None = None
    may_build: bool = True

    def compile(self, platform: str | None, excluded: Sequence[str]) -> Pylock:
        """Return what uv answers for *platform*, or for all of them; raise ``Unsolved`` with what it says."""
        if self.sources is None:
            return compile_once(self, platform, excluded)
        if not self.may_build:
            return compile_once(self.sources.restricted(self), platform, excluded)
        return self.sources.compile(self, platform, excluded)

    def can_build(self, package: Package) -> bool:
        """Tell whether the source of *package*, if it has one, gives a wheel that fits, as far as that is known."""
        if self.sources is None or package.sdist is None:
            return False
        if self.may_build:
            return self.sources.can_build(package)
        return not self.sources.has_failed(package.name)
