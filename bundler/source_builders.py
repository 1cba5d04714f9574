"""Options → what builds sources; and the built wheels of a lock → in the cache.

* Build requirements are resolved, and built, by the same rules as what is built.
* A wheel that was built elsewhere is taken from the shared layer cache by its sha256, or built again.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from bundler.building.backends import BuildError
from bundler.building.builder import Builder, BuildPolicy
from bundler.resolving.resolver import resolve
from bundler.resolving.resolver_errors import ResolutionError
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.caching.build_cache import Cache
    from bundler.locks import Lock
    from bundler.options import Options
    from bundler.pins import Pin
    from bundler.reporters import Reporter
    from bundler.runtime.targets import Target
    from bundler.stores.layer_cache import StoreLayerCache

_MAX_DEPTH = 6  # of builds that builds need


def builder_for(options: Options, reporter: Reporter) -> Builder | None:
    """Return what builds sources, as *options* say; None if they say that nothing is built."""
    return None if options.build is None else _builder(options, options.target, options.build, reporter, depth=0)


def _builder(options: Options, target: Target, policy: BuildPolicy, reporter: Reporter, depth: int) -> Builder:
    def resolve_requirements(requirements: Sequence[str], target: Target, depth: int) -> Lock:
        if depth > _MAX_DEPTH:
            what = "needs something to be built that needs something to be built, without end"
            raise UsageError("build requirements", what, got=", ".join(requirements))
        try:
            return resolve(
                requirements,
                target=target,
                indexes=options.indexes(),
                cache_dir=options.cache.root / "uv",
                offline=options.offline,
                reporter=reporter.silent(),
                builder=_builder(options, target, replace(policy, names=None), reporter, depth),
            )
        except ResolutionError as error:
            raise BuildError("build requirements", error.fault, reason=error.fault) from None

    return Builder(
        target=target,
        cache=options.cache,
        indexes=options.indexes,
        offline=options.offline,
        reporter=reporter,
        environ=os.environ,
        policy=policy,
        resolve=resolve_requirements,
        target_python=options.target_python if target == options.target else None,
        depth=depth,
    )


def build_missing(pins: Sequence[Pin], options: Options, reporter: Reporter) -> None:
    """Build those wheels among *pins* again that were built elsewhere, and that neither cache has."""
    shared = layer_cache_of(options, reporter)
    missing = [
        pin
        for pin in pins
        if pin.build is not None
        and not options.cache.wheel(pin.sha256).is_file()
        and not (shared is not None and _taken(pin, shared, options.cache))
    ]
    if not missing:
        return
    builder = builder_for(options, reporter)
    if builder is None:
        names = ", ".join(str(pin.name) for pin in missing)
        what = "has wheels that were built, and nothing may be built here"
        raise UsageError("lock", what, got=names, hint="leave --build never away")
    for pin in missing:
        builder.rebuild(pin)


def _taken(pin: Pin, shared: StoreLayerCache, cache: Cache) -> bool:
    """Take the wheel *pin* from the *shared* layer cache; tell whether it is there."""
    with cache.new_wheel(pin.sha256) as new:
        found = pin.size is not None and shared.take_wheel(pin.sha256, pin.size, new.path)
        if found:
            new.publish()
    return found


def share_built(pins: Sequence[Pin], options: Options, reporter: Reporter) -> None:
    """Give the wheels among *pins* that were built to the shared layer cache."""
    built = [pin for pin in pins if pin.build is not None and options.cache.wheel(pin.sha256).is_file()]
    shared = layer_cache_of(options, reporter) if built else None
    if shared is not None:
        for pin in built:
            shared.give_wheel(pin.sha256, options.cache.wheel(pin.sha256))


def layer_cache_of(options: Options, reporter: Reporter) -> StoreLayerCache | None:
    """Return the shared layer cache that *options* name, if they do."""
    if options.layer_cache is None:
        return None
    from bundler.stores.layer_cache import StoreLayerCache  # noqa: PLC0415 - most bundles are made without

    return StoreLayerCache(options.layer_cache, reporter.warning)
