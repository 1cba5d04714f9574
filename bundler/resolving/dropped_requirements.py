"""A lock from which something was dropped → who requires that, as the package index knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.resolving.baseline.baselines import Baseline, Installed
from bundler.resolving.baseline_requirements import complete_requirements
from bundler.wheels.requirers import missed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.caching.build_cache import Cache
    from bundler.fetching.index_options import IndexOptions
    from bundler.locks import Lock


def missed_in_lock(lock: Lock, *, indexes: Callable[[], IndexOptions], cache: Cache, offline: bool) -> list[str]:
    """Return a warning for each distribution that was dropped from *lock* and that others in it require.

    What the index does not tell requires nothing; ``create``, which has the wheels, tells it again.
    """
    if not lock.dropped:
        return []
    pins = {pin.name: Installed(name=pin.name, version=pin.version) for pin in lock.pins}
    asked = Baseline(where="lock", packages=pins)
    told = complete_requirements(asked, target=lock.target, indexes=indexes, cache=cache, offline=offline)
    requires = {str(item): list(map(str, item.requires or ())) for item in told.packages.values()}
    return list(missed(lock.dropped, requires, lock.target))
