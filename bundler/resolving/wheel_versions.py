"""Names and versions → which of them have wheels, as the index says."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.resolving.exact_target import compile_fitting, uv_platforms
from bundler.resolving.resolver_errors import resolver_error
from bundler.resolving.sources import SourcesQuery
from bundler.resolving.uv.unsolved import Unsolved
from bundler.resolving.uv.uv_query import compile_once
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.fetching.index_options import IndexOptions
    from bundler.runtime.targets import Target


def find_wheels(
    versions: Mapping[NormalizedName, Version],
    *,
    target: Target,
    indexes: IndexOptions,
    cache_dir: Path,
    offline: bool = False,
    fitting: bool = False,
) -> dict[NormalizedName, Package]:
    """Return the packages of exactly these *versions*, with all their wheels; without those that have none.

    All wheels means all at the place that has the best one. *fitting*: those for *target*, at the place that has them.

    Raise ``BundleError`` if the index cannot be used.
    """
    wanted = dict(versions)
    while wanted:
        query = SourcesQuery(
            requirements=tuple(f"{name}=={version}" for name, version in wanted.items()),
            target=target,
            indexes=indexes,
            cache_dir=cache_dir.absolute(),
            offline=offline,
            options=("--no-deps",),
        )
        try:
            packages = compile_once(query, uv_platforms(target)[0] if fitting else None, []).packages
        except Unsolved as unsolved:
            missing = [name for name in wanted if unsolved.names(name)]  # one at a time
            if not missing or unsolved.is_about_places:
                raise resolver_error(
                    unsolved, target=target, indexes=indexes, offline=offline, nearest=lambda *_: ()
                ) from None
            for name in missing:
                del wanted[name]
        else:
            return {package.name: package for package in packages if package.wheels and package.name in wanted}
    return {}


def nearest(query: SourcesQuery, name: str, version: str) -> Iterator[Version]:
    """Yield the versions of *name* next below and next above *version* that have a wheel for the target."""
    for specifier, order in ((f"<{version}", "highest"), (f">{version}", "lowest")):
        alone = replace(
            query,
            requirements=(f"{name}{specifier}",),
            constraints=(),
            options=(*query.options, "--no-deps", "--resolution", order),
            sources=None,  # versions with a wheel are asked for
            known=None,
        )
        with contextlib.suppress(BundleError, Unsolved):
            for found in compile_fitting(alone, rounds=8).packages:
                if found.name == canonicalize_name(name) and found.version:
                    yield found.version
