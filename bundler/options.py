"""How to resolve and create: what the options of the command line say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundler.building.builder import BuildPolicy
from bundler.fetching.index_options import IndexOptions, index_options
from bundler.layers.layer_plans import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundler.caching.build_cache import Cache
    from bundler.runtime.targets import Target
    from bundler.stores.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to create: everything but what and where to. *jobs* 0 means one for each processor.

    *serial* numbers the bundles that follow each other in one place, so that an old one can be refused; 0 is none.
    *layer_cache* is where other machines keep the layers that they have compressed, and where new ones go.
    *build* says which sources may be built where there is no wheel; None: no source is even looked at. *prereleases*:
    they are as good as other versions; *prefer_wheels*: an older version with a wheel is better than a source.
    *indexes* is called when something has to be resolved or fetched, at most once: to ask pip for its configuration
    takes longer than to create a bundle from the cache.
    """

    target: Target
    indexes: Callable[[], IndexOptions] = index_options
    cache: Cache
    compile: str = "auto"
    target_python: Path | None = None
    settings: Settings = field(default_factory=Settings)
    jobs: int = 0
    offline: bool = False
    layer_cache: Store | None = None
    serial: int = 0
    build: BuildPolicy | None = field(default_factory=BuildPolicy)
    prereleases: bool = False
    prefer_wheels: bool = False
