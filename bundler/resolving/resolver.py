"""Requirements + target → lock, by ``uv pip compile``.

* uv knows some glibc versions only. For another one it resolves for the next newer, and a version without a fitting
  wheel is excluded and resolved again: the result is what a resolver would find that knew the exact target.
* uv knows no free-threaded target. It resolves for the usual ABI; of each version it chooses, all wheels are looked at.
* uv ignores hashes in requirement files; they are enforced here.
* Only wheels.
* Nothing but the arguments decides: other interpreters of this host change nothing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name, parse_wheel_filename

from bundler.locks import Lock, applicable, select_pins
from bundler.resolving.baseline_constraints import BlockedByBaseline
from bundler.resolving.expansion import Expansion
from bundler.resolving.requirement_files import HashDemands, parse_line, read_requirement_files
from bundler.resolving.resolver_errors import Unsolved, resolver_error
from bundler.resolving.sources import Sources, SourcesQuery
from bundler.resolving.uv_query import absolute_requirement, compile_once
from bundler.runtime.errors import BundleError, UsageError
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.pylock import Package, Pylock
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.building.builder import Builder
    from bundler.fetching.index_options import IndexOptions
    from bundler.pins import Pin, Provided
    from bundler.reporters import Reporter
    from bundler.resolving.baseline_constraints import AddedInput, BaselineConstraints
    from bundler.runtime.targets import Target

_KNOWN_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_MAX_ROUNDS = 40
_REQUIREMENTS = Path("requirements")


def resolve(
    requirements: Sequence[str],
    *,
    requirement_files: Sequence[Path] = (),
    constraint_files: Sequence[Path] = (),
    target: Target,
    indexes: IndexOptions,
    cache_dir: Path,
    offline: bool = False,
    reporter: Reporter,
    baseline_constraints: BaselineConstraints | None = None,
    builder: Builder | None = None,
) -> Lock:
    """Resolve *requirements* and *requirement_files* under *constraint_files* for *target*.

    With *baseline_constraints*, the result gets on with an image, or leaves to it what it has. *builder* makes wheels
    of what has none; without it, only versions with a wheel are chosen.

    Raise ``UsageError`` if nothing was asked for, ``ContentError`` if a hash differs, and ``BundleError`` otherwise.
    """
    expansion = None
    if builder is not None:
        directory = cache_dir.absolute() / f"projects-{secrets.token_hex(8)}"
        expansion = Expansion(builder=builder, indexes=indexes, environ=os.environ, directory=directory)
    try:
        if expansion is not None:
            requirements = expansion.requirements(requirements)
            requirement_files = expansion.files(requirement_files)
            for note in expansion.notes:
                reporter.warning(note)
        return _resolve(
            requirements,
            requirement_files=requirement_files,
            constraint_files=constraint_files,
            target=target,
            indexes=indexes,
            cache_dir=cache_dir,
            offline=offline,
            reporter=reporter,
            baseline_constraints=baseline_constraints,
            builder=builder,
            built={} if expansion is None else expansion.built,
        )
    finally:
        if expansion is not None:
            shutil.rmtree(expansion.directory, ignore_errors=True)


def _resolve(
    requirements: Sequence[str],
    *,
    requirement_files: Sequence[Path],
    constraint_files: Sequence[Path],
    target: Target,
    indexes: IndexOptions,
    cache_dir: Path,
    offline: bool,
    reporter: Reporter,
    baseline_constraints: BaselineConstraints | None,
    builder: Builder | None,
    built: Mapping[Path, Pin],
) -> Lock:
    """Resolve requirements in which every project is a wheel; *built* are those that were built for it, by path."""
    given = [parse_line(requirement.strip(), "requirement") for requirement in requirements]
    listed = read_requirement_files(requirement_files, sources=builder is not None)
    constraints = read_requirement_files(constraint_files, sources=builder is not None)
    if not given and not listed.lines:
        raise UsageError("requirements", "nothing was asked for", hint="name a requirement, or a file with -r FILE")
    demands = HashDemands(
        lines=(*given, *listed.lines, *constraints.lines),
        require_hashes=listed.require_hashes or constraints.require_hashes,
        target=target,
    )
    reporter.resolving(len(requirements) + len(requirement_files))
    sources = None if builder is None else Sources(builder)
    query = SourcesQuery(
        requirements=tuple(map(absolute_requirement, requirements)),
        requirement_files=tuple(path.absolute() for path in requirement_files),
        constraint_files=tuple(path.absolute() for path in constraint_files),
        target=target,
        indexes=indexes,
        cache_dir=cache_dir.absolute(),
        offline=offline,
        sources=sources,
        known=None if sources is None else sources.known,
    )
    provided: tuple[Provided, ...] = ()
    try:
        if baseline_constraints is None:
            pylock = _compile_fitting(query)
        else:
            pylock, provided = baseline_constraints.solve(
                demands.lines, target, partial(_compile_with, query), reporter.warning
            )
    except BlockedByBaseline as unsolved:
        raise unsolved.error(_error(unsolved, query)) from None
    except Unsolved as unsolved:
        raise _error(unsolved, query) from None
    packages = [demands.enforced(package) for package in pylock.packages]
    to_build = [] if query.sources is None else _without_wheel(packages, target)
    chosen = [package for package in packages if package not in to_build]
    pins = list(map(_with_local_size, select_pins(replace(pylock, packages=chosen), _REQUIREMENTS, target)))
    pins = [built.get(pin.path, pin) if pin.path is not None else pin for pin in pins]
    if query.sources is not None:
        pins += query.sources.pins(to_build)
        for name, reason in query.sources.passed_over.items():
            reporter.warning(f"{name} is passed over for another version: it has no wheel that fits, and {reason}")
        for name, read_as in query.sources.read_as.items():
            said = ", ".join(f"{text} as {valid}" for text, valid in read_as.items())
            reporter.warning(f"{name} requires what has no valid version; read, as pip once did: {said}")
    lock = Lock(target=target, pins=tuple(sorted(pins, key=lambda pin: pin.name)), provided=provided)
    reporter.resolved(lock)
    return lock


def _without_wheel(packages: Iterable[Package], target: Target) -> list[Package]:
    """Return those of *packages* for *target* that have a source, and no wheel that fits."""
    tags = frozenset(compatibility_tags(target))
    return [
        package
        for package in applicable(packages, target)
        if package.sdist is not None
        and not any(tags & parse_wheel_filename(wheel.filename)[3] for wheel in package.wheels or ())
    ]


def _compile_with(query: SourcesQuery, added: AddedInput) -> Pylock:
    """Ask *query* with *added*."""
    indexes = query.indexes
    if added.find_links is not None:
        indexes = replace(indexes, find_links=(*indexes.find_links, str(added.find_links)))
    return _compile_fitting(
        replace(
            query,
            requirements=(*query.requirements, *added.requirements),
            constraints=added.constraints,
            preferences=added.preferences,
            indexes=indexes,
        )
    )


def find_wheels(
    versions: Mapping[NormalizedName, Version], *, target: Target, indexes: IndexOptions, cache_dir: Path
) -> dict[NormalizedName, Package]:
    """Return the packages of exactly these *versions*, with all their wheels; without those that have none.

    Raise ``BundleError`` if the index cannot be used.
    """
    wanted = dict(versions)
    while wanted:
        query = SourcesQuery(
            requirements=tuple(f"{name}=={version}" for name, version in wanted.items()),
            target=target,
            indexes=indexes,
            cache_dir=cache_dir.absolute(),
            offline=False,
            options=("--no-deps",),
        )
        try:
            packages = compile_once(query, None, []).packages
        except Unsolved as unsolved:
            missing = [name for name in wanted if unsolved.names(name)]  # one at a time
            if not missing or unsolved.is_about_places:
                raise _error(unsolved, query) from None
            for name in missing:
                del wanted[name]
        else:
            return {package.name: package for package in packages if package.wheels and package.name in wanted}
    return {}


def _error(unsolved: Unsolved, query: SourcesQuery) -> BundleError:
    return resolver_error(
        unsolved,
        target=query.target,
        indexes=query.indexes,
        offline=query.offline,
        nearest=partial(_nearest, query),
    )


def _nearest(query: SourcesQuery, name: str, version: str) -> Iterator[Version]:
    """Yield the versions of *name* next below and next above *version* that have a wheel for the target."""
    for specifier, order in ((f"<{version}", "highest"), (f">{version}", "lowest")):
        alone = replace(
            query,
            requirements=(f"{name}{specifier}",),
            requirement_files=(),
            constraint_files=(),
            options=("--no-deps", "--resolution", order),
            sources=None,  # versions with a wheel are asked for
            known=None,
        )
        with contextlib.suppress(BundleError, Unsolved):
            for found in _compile_fitting(alone, rounds=8).packages:
                if found.name == canonicalize_name(name) and found.version:
                    yield found.version


def _with_local_size(pin: Pin) -> Pin:
    if pin.path is None or pin.size is not None or not pin.path.is_file():
        return pin
    return replace(pin, size=pin.path.stat().st_size)


def _compile_fitting(query: SourcesQuery, rounds: int = _MAX_ROUNDS) -> Pylock:
    """Ask uv until every version it chooses has a wheel that fits the target exactly."""
    upper, lower = _uv_platforms(query.target)
    excluded: list[str] = []
    for _ in range(rounds):
        try:
            pylock = _with_all_wheels(query.compile(upper, excluded), query)
        except Unsolved:
            if not excluded:
                raise
            break  # what was excluded is needed: the reason is that, and not our excluding it
        unfitting = list(_unfitting(pylock, query))
        if not unfitting:
            return pylock
        excluded += [f"{package.name}!={package.version}" for package in unfitting]
    pylock = _with_all_wheels(query.compile(lower, []), query)
    for package in _unfitting(pylock, query):
        raise Unsolved(f"{package.name}=={package.version} has no wheels with a matching platform or ABI tag")
    return pylock


def _uv_platforms(target: Target) -> tuple[str, str]:
    """Return the platforms of uv that are next above and next below *target*."""
    if target.libc == "musl":
        return (f"{target.arch}-unknown-linux-musl",) * 2
    minor = int(target.libc_version.split(".")[1])
    above = min((known for known in _KNOWN_GLIBC if known >= minor), default=_KNOWN_GLIBC[-1])
    below = max((known for known in _KNOWN_GLIBC if known <= minor), default=_KNOWN_GLIBC[0])
    return f"{target.arch}-manylinux_2_{above}", f"{target.arch}-manylinux_2_{below}"


def _unfitting(pylock: Pylock, query: SourcesQuery) -> Iterator[Package]:
    """Yield the packages of *pylock* with wheels of which none fits, and whose source cannot be built either."""
    tags = frozenset(compatibility_tags(query.target))
    for package in applicable(pylock.packages, query.target):
        if not package.wheels or any(tags & parse_wheel_filename(wheel.filename)[3] for wheel in package.wheels):
            continue
        if package.sdist is None or query.sources is None or not query.sources.can_build(package):
            yield package


def _with_all_wheels(pylock: Pylock, query: SourcesQuery) -> Pylock:
    """Return *pylock* with all wheels of what does not fit, for a target whose wheels uv leaves out."""
    if not query.target.abi.endswith("t"):
        return pylock
    unfitting = {package.name for package in _unfitting(pylock, query)}
    packages = []
    for package in pylock.packages:
        if package.name in unfitting:
            # A universal resolution names every wheel of a version.
            alone = replace(
                query,
                requirements=(f"{package.name}=={package.version}",),
                requirement_files=(),
                constraint_files=(),
                options=("--no-deps",),
            )
            found = [each.wheels for each in compile_once(alone, None, []).packages if each.name == package.name]
            packages.append(replace(package, wheels=found[0] if found else package.wheels))
        else:
            packages.append(package)
    return replace(pylock, packages=packages)
