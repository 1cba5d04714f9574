"""Packages of an index that lists other hashes than sha256 (``#md5=…``) → the same, pinned by sha256.

* As pip does, what the index lists is compared with what it serves; that finds damage, not malice.
* Of the wheels that fit, the one that will be chosen is fetched and hashed. The lock then holds its sha256, so that
  whoever uses it gets the same bytes.
* An index that lists no hash at all needs nothing here: uv hashes what it chooses.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename
from urllib3.exceptions import HTTPError

from bundler.fetching.cancellable_connections import Sockets
from bundler.fetching.http_transport import Transport
from bundler.fetching.index_options import redacted
from bundler.fetching.retries import RetryPolicy, TransientError, retrying
from bundler.locks import applicable, place_of
from bundler.runtime.errors import BundleError, ContentError
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.pylock import Package, PackageSdist, PackageWheel

    from bundler.fetching.index_options import IndexOptions
    from bundler.runtime.targets import Target

_CHUNK = 512 << 10
# What uv reads besides; it refuses a page with any other.
_ALGORITHMS = ("md5", "sha384", "sha512", "blake2b")


def with_sha256(
    packages: Iterable[Package],
    *,
    target: Target,
    indexes: IndexOptions,
    environ: Mapping[str, str],
    offline: bool,
    warn: Callable[[str], None],
) -> list[Package]:
    """Return *packages*, in which a wheel that fits *target* has a sha256; *warn* of those whose index gave none."""
    packages = list(packages)
    wanted = {package.name for package in applicable(packages, target)}
    rank = {tag: number for number, tag in enumerate(compatibility_tags(target))}

    def fit(wheel: PackageWheel) -> int:
        return min((rank[tag] for tag in parse_wheel_filename(wheel.filename)[3] if tag in rank), default=len(rank))

    hashed: dict[str, str] = {}
    for number, package in enumerate(packages):
        wheels = sorted(package.wheels or (), key=lambda wheel: parse_wheel_filename(wheel.filename)[2], reverse=True)
        fitting = sorted((wheel for wheel in wheels if fit(wheel) < len(rank)), key=fit)
        if package.name in wanted and fitting and "sha256" not in fitting[0].hashes:
            sha256 = sha256_of(fitting[0], indexes=indexes, environ=environ, offline=offline)
            best = replace(fitting[0], hashes={**fitting[0].hashes, "sha256": sha256})
            packages[number] = replace(package, wheels=[best])
            hashed[str(package.name)] = ", ".join(fitting[0].hashes)
    if hashed:
        kinds = ", ".join(sorted(set(hashed.values())))
        warn(f"{', '.join(hashed)}: the index lists {kinds} only; pinned by the sha256 of what it serves today")
    return packages


def sha256_of(
    source: PackageWheel | PackageSdist, *, indexes: IndexOptions, environ: Mapping[str, str], offline: bool
) -> str:
    """Return the sha256 of what *source* is today; raise ``ContentError`` if its index lists another hash of it."""
    url, path = place_of(source, Path())
    where = redacted(url or str(path))
    algorithms = ("sha256", *(name for name in _ALGORITHMS if name in source.hashes))
    if url is None:
        with (path or Path()).open("rb") as file:
            found = _hashed(iter(lambda: file.read(_CHUNK), b""), algorithms)
    elif offline:
        raise BundleError(where, "has no sha256 on its index, and has to be fetched", hint="leave --offline away")
    else:
        with closing(Transport(indexes, environ, Sockets())) as transport:
            policy = RetryPolicy(retries=indexes.retries)
            found = retrying(lambda: _fetched(transport, url, algorithms), where, policy)
    for name, want in source.hashes.items():
        if name in found and found[name] != want.lower():
            hint = "its index and what it serves differ: ask who runs it"
            raise ContentError(
                where, f"has another {name} than its index lists", got=found[name], want=want, hint=hint, rule="A1"
            )
    return found["sha256"]


def _fetched(transport: Transport, url: str, algorithms: Iterable[str]) -> dict[str, str]:
    with closing(transport.get(url, {})) as response:
        try:
            return _hashed(response.stream(_CHUNK, decode_content=False), algorithms)
        except (HTTPError, OSError):
            raise TransientError("the connection broke") from None


def _hashed(chunks: Iterable[bytes], algorithms: Iterable[str]) -> dict[str, str]:
    hashers = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    for chunk in chunks:
        for hasher in hashers.values():
            hasher.update(chunk)
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}
