"""A baseline without requirements → one with those that the package index knows.

* The index is asked for the metadata alone (PEP 658). Where it has none, a wheel that is not large is fetched.
* Any wheel of the version will do, best one for the target: the requirements of a version hardly differ by platform.
* What the index has no wheel of, or what cannot be had, stays unknown and says why. An index that cannot be used at
  all is no error either: then nothing is known, and that is said.
* The answer is kept in the cache: offline, it is the only source.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename
from urllib3.exceptions import HTTPError

from bundler.baselines import Installed, requires_of
from bundler.connections import Sockets
from bundler.fetch import fetch, local_path
from bundler.locks import Pin, place_of
from bundler.reporters import Reporter
from bundler.resolve import find_wheels
from bundler.runtime.errors import BundleError
from bundler.targets import compatibility_tags
from bundler.transport import Hiccup, Transport
from bundler.wheels import MAX_METADATA, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from packaging.pylock import Package, PackageWheel
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.baselines import Baseline
    from bundler.caches import Cache
    from bundler.indexes import IndexOptions
    from bundler.runtime.targets import Target

LARGEST = 64 << 20
_NAME = "requires.json"
_AT_ONCE = 8
_LONGEST_WAIT = 10.0
_OK = 200
_ABSENT = "the package index has no wheel of it, which would tell what it requires"


def complete_requirements(
    baseline: Baseline, *, target: Target, indexes: Callable[[], IndexOptions], cache: Cache, offline: bool
) -> Baseline:
    """Return *baseline* with the requirements that the package index knows for those packages that have none."""
    asked = [item for item in baseline.packages.values() if item.version is not None and item.requires is None]
    if not asked:
        return baseline
    with cache.in_use():
        options = indexes()
        key = _key(asked, target, options)
        if directory := cache.layer(key):
            return baseline.with_requirements(_read(directory / _NAME, asked))
        if offline:
            return _unknown(baseline, asked, "its requirements are not in the cache, and the network is not used")
        try:
            found = _Index(target, options, cache).ask(asked)
        except BundleError as error:
            return _unknown(baseline, asked, f"the package index cannot be used: {error.fault}")
        # What has failed may work the next time.
        if all(item.absent or item.requires is not None for item in found):
            with cache.new_layer(key) as new:
                _write(new.path / _NAME, found)
                new.publish()
    return baseline.with_requirements({item.name: item for item in found})


def _unknown(baseline: Baseline, asked: Iterable[Installed], reason: str) -> Baseline:
    return baseline.with_requirements({item.name: replace(item, unknown=reason) for item in asked})


def _key(asked: Iterable[Installed], target: Target, indexes: IndexOptions) -> str:
    """Return the name of the answer in the cache: it is that of these indexes."""
    places = [indexes.index_url, indexes.extra_index_urls, indexes.find_links, indexes.no_index]
    question = [places, str(target), [[item.name, str(item.version)] for item in asked]]
    return hashlib.sha256(b"requirements" + json.dumps(question).encode()).hexdigest()


def _read(path: Path, asked: Iterable[Installed]) -> dict[NormalizedName, Installed]:
    kept: dict[str, list[str] | None] = json.loads(path.read_bytes())
    return {item.name: _answered(item, kept[item.name]) for item in asked}


def _write(path: Path, found: Iterable[Installed]) -> None:
    kept = {item.name: None if item.requires is None else list(map(str, item.requires)) for item in found}
    path.write_text(json.dumps(kept), encoding="utf-8")


def _answered(item: Installed, requires: Sequence[str] | None) -> Installed:
    """Return *item* with what it *requires*, or as one that the index has no wheel of."""
    if requires is None:
        return replace(item, unknown=_ABSENT, absent=True)
    return Installed.of(item.name, str(item.version), requires)


class _Index:
    """The package index, asked for the requirements of exact versions."""

    def __init__(self, target: Target, indexes: IndexOptions, cache: Cache) -> None:
        self._target = target
        self._indexes = indexes
        self._cache = cache
        self._sockets = Sockets()
        self._known: dict[NormalizedName, list[str]] = {}
        self._failed: dict[NormalizedName, str] = {}

    def ask(self, asked: Sequence[Installed]) -> list[Installed]:
        """Return *asked* with their requirements, or with the reason why they are not known."""
        versions = {item.name: item.version for item in asked if item.version is not None}
        packages = find_wheels(versions, target=self._target, indexes=self._indexes, cache_dir=self._cache.root / "uv")
        pins = [self._pin(package, versions[name]) for name, package in packages.items()]
        with ThreadPoolExecutor(_AT_ONCE, "metadata") as executor:
            for _ in executor.map(self._read_all, [pins[n::_AT_ONCE] for n in range(_AT_ONCE)]):
                pass  # an error is raised here
        self._fetch([pin for pin in pins if pin.name not in self._known and pin.name not in self._failed])
        return [
            replace(item, unknown=self._failed[item.name])
            if item.name in self._failed
            else _answered(item, self._known.get(item.name))
            for item in asked
        ]

    def _pin(self, package: Package, version: Version) -> Pin:
        """Return the wheel of *package* to ask: the target's if there is one, then the smallest."""
        tags = frozenset(compatibility_tags(self._target))

        def rank(wheel: PackageWheel) -> tuple[bool, int]:
            return not parse_wheel_filename(wheel.filename)[3] & tags, wheel.size or 0

        wheel = min(package.wheels or (), key=rank)
        url, path = place_of(wheel, Path())
        return Pin(
            name=package.name,
            version=version,
            filename=wheel.filename,
            sha256=wheel.hashes.get("sha256", ""),
            size=wheel.size,
            url=url,
            path=path,
        )

    def _read_all(self, pins: Iterable[Pin]) -> None:
        """Read the metadata of *pins*, as far as that can be had without fetching a wheel."""
        with closing(Transport(self._indexes, os.environ, self._sockets)) as transport:
            for pin in pins:
                if (path := local_path(pin)) is not None:
                    self._open(pin, path)
                elif (data := self._get(transport, f"{pin.url}.metadata")) is not None:
                    self._known[pin.name] = requires_of(data.decode("utf-8", "replace"))

    def _get(self, transport: Transport, url: str) -> bytes | None:
        """Return what is at *url*; None if it is not there, or not to be had."""
        for attempt in range(self._indexes.retries + 1):
            try:
                with closing(transport.get(url, {})) as response:
                    data = response.read(MAX_METADATA)
                    return data if response.status == _OK else None
            except HTTPError:
                pass
            except Hiccup as hiccup:
                time.sleep(min(hiccup.after or 0.0, _LONGEST_WAIT))
            except BundleError:
                return None
            time.sleep(min(0.25 * 2**attempt, _LONGEST_WAIT))
        return None

    def _fetch(self, pins: Sequence[Pin]) -> None:
        """Read the metadata of *pins* in their wheels."""
        small = [pin for pin in pins if pin.sha256 and pin.size is not None and pin.size <= LARGEST]
        for pin in pins:
            if pin not in small:
                self._failed[pin.name] = f"what it requires is told only by {pin.filename}, which is large"
        try:
            for pin, path in fetch(
                small, cache=self._cache, indexes=self._indexes, jobs=_AT_ONCE, offline=False, reporter=Reporter()
            ):
                self._open(pin, path)
        except BundleError as error:
            for pin in small:
                if pin.name not in self._known:
                    self._failed.setdefault(pin.name, f"its wheel cannot be had: {error.fault}")

    def _open(self, pin: Pin, path: Path) -> None:
        try:
            with Wheel.open(path, pin, warn=Reporter().warning) as wheel:
                self._known[pin.name] = list(wheel.requires)
        except (BundleError, OSError) as error:
            reason = error.fault if isinstance(error, BundleError) else error
            self._failed[pin.name] = f"its wheel cannot be read: {reason}"
