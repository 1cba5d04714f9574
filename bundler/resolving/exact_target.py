"""A query → uv's answer for exactly its target, also where uv does not know that target.

* uv knows some glibc versions only. For another one it resolves for the next newer, and a version without a fitting
  wheel is excluded and resolved again: the result is what a resolver would find that knew the exact target.
* uv knows no free-threaded target. It resolves for the usual ABI; of each version it chooses, all wheels are looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from bundler.locks import applicable
from bundler.resolving.uv.unsolved import Unsolved
from bundler.resolving.uv.uv_query import compile_once
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.pylock import Package, Pylock

    from bundler.resolving.sources import SourcesQuery
    from bundler.runtime.targets import Target

_KNOWN_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_MAX_ROUNDS = 40


def compile_fitting(query: SourcesQuery, rounds: int = _MAX_ROUNDS) -> Pylock:
    """Ask uv until every version it chooses has a wheel that fits the target exactly."""
    upper, lower = uv_platforms(query.target)
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


def uv_platforms(target: Target) -> tuple[str, str]:
    """Return the platforms of uv that are next above and next below *target*."""
    if target.libc == "musl":
        return (f"{target.arch}-unknown-linux-musl",) * 2
    minor = int(target.libc_version.split(".")[1])
    above = min((known for known in _KNOWN_GLIBC if known >= minor), default=_KNOWN_GLIBC[-1])
    below = max((known for known in _KNOWN_GLIBC if known <= minor), default=_KNOWN_GLIBC[0])
    return f"{target.arch}-manylinux_2_{above}", f"{target.arch}-manylinux_2_{below}"


def _unfitting(pylock: Pylock, query: SourcesQuery) -> Iterator[Package]:
    """Yield the packages of *pylock* of which no wheel fits, and whose source, if there is one, cannot be built."""
    tags = frozenset(compatibility_tags(query.target))
    for package in applicable(pylock.packages, query.target):
        wheels = package.wheels or ()
        if any(tags & parse_wheel_filename(wheel.filename)[3] for wheel in wheels):
            continue
        if (wheels or package.sdist is not None) and not query.can_build(package):
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
                constraints=(),
                options=("--no-deps",),
            )
            found = [each.wheels for each in compile_once(alone, None, []).packages if each.name == package.name]
            packages.append(replace(package, wheels=found[0] if found else package.wheels))
        else:
            packages.append(package)
    return replace(pylock, packages=packages)


def without_wheel(packages: Iterable[Package], target: Target) -> list[Package]:
    """Return those of *packages* for *target* that have a source, and no wheel that fits."""
    tags = frozenset(compatibility_tags(target))
    return [
        package
        for package in applicable(packages, target)
        if package.sdist is not None
        and not any(tags & parse_wheel_filename(wheel.filename)[3] for wheel in package.wheels or ())
    ]
