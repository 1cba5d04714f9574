"""A query → uv's answer with few sources in it: ``--prefer-wheels``, pip's ``--prefer-binary``.

* Of a project whose chosen version has no wheel that fits, a version with one is taken, if there is one that lets all
  *other* projects keep theirs. Else it is built: nothing else becomes older because of it.
* Each version that was passed over for that is named.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bundler.locks import applicable
from bundler.resolving.exact_target import compile_fitting, without_wheel
from bundler.resolving.uv.unsolved import Unsolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.pylock import Pylock
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.resolving.sources import SourcesQuery
    from bundler.runtime.targets import Target


def compile_preferring_wheels(query: SourcesQuery, warn: Callable[[str], None]) -> Pylock:
    """Return uv's answer to *query*; raise ``Unsolved`` if there is none."""
    first = best = compile_fitting(query)
    with_wheel: list[NormalizedName] = []
    built: set[NormalizedName] = set()
    while True:
        sources = [item.name for item in without_wheel(best.packages, query.target) if item.name not in built]
        if not sources:
            break
        name = sources[0]
        only = [word for each in (*with_wheel, name) for word in ("--only-binary", each)]
        try:
            found = compile_fitting(replace(query, options=(*query.options, *only)))
        except Unsolved:
            found = best
        if found is best or _older(found, best, query.target) - {*with_wheel, name}:
            built.add(name)
        else:
            best = found
            with_wheel.append(name)
    before, after = _versions(first, query.target), _versions(best, query.target)
    for name in sorted(_older(best, first, query.target)):
        warn(f"{name} {before[name]} is passed over for {after[name]}: it has no wheel (--prefer-wheels)")
    return best


def _older(found: Pylock, than: Pylock, target: Target) -> set[NormalizedName]:
    """Return what has an older version in *found* than in *than*."""
    versions = _versions(than, target)
    return {name for name, version in _versions(found, target).items() if name in versions and version < versions[name]}


def _versions(pylock: Pylock, target: Target) -> dict[NormalizedName, Version]:
    return {item.name: item.version for item in applicable(pylock.packages, target) if item.version is not None}
