"""A baseline without requirements → one with those that the package index knows.

* The index is asked for the metadata alone (PEP 658). Where it has none, that part of the wheel is read.
* Any wheel of the version will do, best one for the target: the requirements of a version hardly differ by platform.
* A package that the index has no wheel of, or whose metadata cannot be fetched, stays unknown, with the reason. An
  index that cannot be used at all is no error either: then all packages stay unknown, with that reason.
* The answer is kept in the cache: offline, it is the only source.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from bundler.fetching.cancellable_connections import Sockets
from bundler.fetching.http_transport import Transport
from bundler.fetching.range_requests import RemoteFile, get
from bundler.locks import place_of
from bundler.resolving.baseline.baselines import Installed, requires_of
from bundler.resolving.wheel_versions import find_wheels
from bundler.runtime.errors import BundleError
from bundler.targets import compatibility_tags
from bundler.wheels.wheel_reader import MAX_METADATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import BinaryIO

    from packaging.pylock import Package, PackageWheel
    from packaging.utils import NormalizedName

    from bundler.caching.build_cache import Cache
    from bundler.fetching.index_options import IndexOptions
    from bundler.resolving.baseline.baselines import Baseline
    from bundler.runtime.targets import Target

_NAME = "requires.json"
_AT_ONCE = 8
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
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
        # Failures are not cached: they may be transient.
        if all(item.absent or item.requires is not None for item in found):
            with cache.new_layer(key) as new:
                _write(new.path / _NAME, found)
                new.publish()
    return baseline.with_requirements({item.name: item for item in found})


def _unknown(baseline: Baseline, asked: Iterable[Installed], reason: str) -> Baseline:
    return baseline.with_requirements({item.name: replace(item, unknown=reason) for item in asked})


def _key(asked: Iterable[Installed], target: Target, indexes: IndexOptions) -> str:
    """Return the name of the answer in the cache; other indexes have another."""
    places = [indexes.urls, indexes.index_for, indexes.strategy, indexes.no_index]
    question = [places, str(target), [[item.name, str(item.version)] for item in asked]]
    return hashlib.sha256(b"requirements" + json.dumps(question).encode()).hexdigest()


def _read(path: Path, asked: Iterable[Installed]) -> dict[NormalizedName, Installed]:
    kept: dict[str, list[str] | None] = json.loads(path.read_bytes())
    return {item.name: _with_answer(item, kept[item.name]) for item in asked}


def _write(path: Path, found: Iterable[Installed]) -> None:
    kept = {item.name: None if item.requires is None else list(map(str, item.requires)) for item in found}
    path.write_text(json.dumps(kept), encoding="utf-8")


def _with_answer(item: Installed, requires: Sequence[str] | None) -> Installed:
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

    def ask(self, asked: Sequence[Installed]) -> list[Installed]:
        """Return *asked* with their requirements, or with the reason why they are not known."""
        versions = {item.name: item.version for item in asked if item.version is not None}
        packages = find_wheels(versions, target=self._target, indexes=self._indexes, cache_dir=self._cache.root / "uv")
        wheels = {name: self._wheel(package) for name, package in packages.items()}
        shares = [list(wheels.items())[n::_AT_ONCE] for n in range(_AT_ONCE)]
        with ThreadPoolExecutor(_AT_ONCE, "metadata") as executor:
            answers = dict(chain.from_iterable(executor.map(self._read_share, shares)))
        found = []
        for item in asked:
            answer = answers.get(item.name)
            if isinstance(answer, BundleError):
                found.append(replace(item, unknown=f"its requirements cannot be fetched: {answer.fault}"))
            else:
                found.append(_with_answer(item, answer))
        return found

    def _wheel(self, package: Package) -> PackageWheel:
        """Return the wheel of *package* to ask: the target's if there is one, then the smallest."""
        tags = frozenset(compatibility_tags(self._target))

        def rank(wheel: PackageWheel) -> tuple[bool, int]:
            return not parse_wheel_filename(wheel.filename)[3] & tags, wheel.size or 0

        return min(package.wheels or (), key=rank)

    def _read_share(
        self, share: Iterable[tuple[NormalizedName, PackageWheel]]
    ) -> list[tuple[NormalizedName, list[str] | BundleError]]:
        """Return what the wheels of *share* require, by their names."""
        answers: list[tuple[NormalizedName, list[str] | BundleError]] = []
        with closing(Transport(self._indexes, os.environ, self._sockets)) as transport:
            for name, wheel in share:
                try:
                    answers.append((name, requires_of(self._metadata(transport, wheel))))
                except BundleError as error:
                    answers.append((name, error))
        return answers

    def _metadata(self, transport: Transport, wheel: PackageWheel) -> str:
        url, path = place_of(wheel, Path())
        if path is not None:
            try:
                with path.open("rb") as file:
                    return _metadata_in(file, str(path))
            except OSError as error:
                raise BundleError(path, f"cannot be read: {error.strerror}") from None
        retries = self._indexes.retries
        try:
            # "… the metadata file … at the same location as the file, with .metadata appended" (PEP 658)
            data = get(transport, f"{url}.metadata", retries=retries, limit=MAX_METADATA)[1]
        except BundleError:
            file = io.BufferedReader(RemoteFile(transport, url or "", retries=retries))
            return _metadata_in(file, wheel.filename)
        return data.decode("utf-8", "replace")


def _metadata_in(file: BinaryIO, where: str) -> str:
    """Return the METADATA of the wheel *file*."""
    try:
        with zipfile.ZipFile(file) as archive:
            (name,) = (name for name in archive.namelist() if _METADATA.fullmatch(name))
            with archive.open(name) as member:
                return member.read(MAX_METADATA).decode("utf-8", "replace")
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
        raise BundleError(where, f"has no METADATA that can be read: {error}") from None
