"""Pins → their wheels as files of the cache, each as soon as it is complete and verified.

* The largest wheel starts first, *jobs* of them at once.
* A wheel is hashed whenever it is used: while it arrives, while a local file is copied, and when it was cached already.
  A damaged entry of the cache is dropped with a warning and fetched again.
* A local file is copied into the cache, so that everything after this stage sees files that do not change.
* Offline, nothing is fetched: the error names every missing wheel.
* The first failure, an interrupt, or closing the iterator ends all threads promptly. The next run finds their complete
  wheels in the cache, and resumes their parts.
"""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bundler.fetching.cancellable_connections import Sockets
from bundler.fetching.downloads import CHUNK, Download
from bundler.fetching.http_transport import Transport
from bundler.fetching.retries import RetryPolicy
from bundler.runtime.errors import BundleError, ContentError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from concurrent.futures import Future

    from bundler.caching.build_cache import Cache
    from bundler.fetching.index_options import IndexOptions
    from bundler.pins import Pin
    from bundler.reporters import Reporter

FIRST_PAUSE = 0.5


def fetch(
    pins: Sequence[Pin],
    *,
    cache: Cache,
    indexes: IndexOptions,
    jobs: int,
    offline: bool,
    reporter: Reporter,
    environ: Mapping[str, str] | None = None,
    first_pause: float = FIRST_PAUSE,
) -> Generator[tuple[Pin, Path], None, None]:
    """Yield each of *pins* with the path of its wheel, in the order in which they are complete.

    Keep the cache ``in_use`` for as long as the paths are used. *environ* is where proxies and netrc are looked up; the
    process's own by default. *first_pause* in seconds is the wait before the first of the retries.
    """
    if not pins:
        return
    with cache.in_use():
        missing = [pin for pin in pins if not _is_cached(pin, cache)]
        if offline:
            _check_offline(missing)
        fetcher = _Fetcher(
            cache=cache,
            indexes=indexes,
            reporter=reporter,
            offline=offline,
            environ=os.environ if environ is None else environ,
            missing=frozenset(missing),
            first_pause=first_pause,
        )
        reporter.fetching(len(missing), sum(pin.size or 0 for pin in missing))
        executor = ThreadPoolExecutor(max(jobs, 1), "fetch")
        try:
            # An unknown size may be a large one.
            order = sorted(pins, key=lambda pin: float("inf") if pin.size is None else pin.size, reverse=True)
            futures: dict[Future[Path], Pin] = {executor.submit(fetcher.fetch, pin): pin for pin in order}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            fetcher.end()
            executor.shutdown(wait=True, cancel_futures=True)
            fetcher.close()


class _Ended(Exception):  # noqa: N818 - it only ends a thread
    """The fetch was cancelled."""


class _Fetcher:
    """Fetches single wheels, in several threads."""

    def __init__(
        self,
        *,
        cache: Cache,
        indexes: IndexOptions,
        reporter: Reporter,
        offline: bool,
        environ: Mapping[str, str],
        missing: frozenset[Pin],
        first_pause: float,
    ) -> None:
        self._cache = cache
        self._indexes = indexes
        self._reporter = reporter
        self._offline = offline
        self._environ = environ
        self._missing = missing
        self._policy = RetryPolicy(retries=indexes.retries, first=first_pause, sleep=self._pause)
        self._sockets = Sockets()
        self._ended = threading.Event()
        self._local = threading.local()
        self._transports: list[Transport] = []

    def end(self) -> None:
        """Make all threads end."""
        self._ended.set()
        self._sockets.end()

    def close(self) -> None:
        """Close all connections, when all threads have ended."""
        for transport in self._transports:
            transport.close()

    def fetch(self, pin: Pin) -> Path:
        """Return the path of the wheel of *pin*, which is complete and verified."""
        self._pause(0)
        with self._cache.lock("wheels", pin.sha256, wait=lambda: self._pause(0.1)):
            path = self._take_cached(pin)
            cached = path is not None
            if path is None:
                source = local_path(pin)
                path = self._download(pin) if source is None else self._copy(pin, source)
        self._reporter.fetched(pin, cached=cached)
        return path

    def _pause(self, seconds: float) -> None:
        if self._ended.wait(seconds) if seconds else self._ended.is_set():
            raise _Ended

    def _take_cached(self, pin: Pin) -> Path | None:
        """Return the wheel from the cache if it is there and undamaged."""
        path = self._cache.entry("wheels", pin.sha256)
        if path is None:
            return None
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self._pause(0)
                    digest.update(chunk)
                size = file.tell()
        except OSError as error:
            raise BundleError(path, f"cannot be read: {error.strerror}", hint="bundle cache clear") from error
        if digest.hexdigest() != pin.sha256:
            self._reporter.warning(f"{path}: is damaged and removed from the cache: {pin.filename}")
            path.unlink(missing_ok=True)
            return None
        if pin.size is not None and size != pin.size:
            raise _wrong(pin.filename, "has another size than its lock says", f"{size} bytes", f"{pin.size} bytes")
        if pin in self._missing:
            # Another process was quicker.
            self._reporter.received(pin, size)
        return path

    def _copy(self, pin: Pin, source: Path) -> Path:
        """Copy the wheel of *pin* from *source*, and verify it."""
        digest = hashlib.sha256()
        size = 0
        with self._cache.new_wheel(pin.sha256) as new:
            try:
                file = source.open("rb")
            except OSError as error:
                if pin.environment is not None:
                    what = "was packed from an environment, and is not in the cache of this machine"
                    again = f"bundle lock --venv {pin.environment} --as-is"
                    hint = f"lock again where the environment is: {again}; or create the bundle there"
                    raise BundleError(pin.filename, what, hint=hint) from error
                raise BundleError(
                    source, f"cannot be read: {error.strerror}", hint="the lock names this file"
                ) from error
            with file, new.path.open("wb") as copy:
                while chunk := file.read(CHUNK):
                    self._pause(0)
                    digest.update(chunk)
                    copy.write(chunk)
                    size += len(chunk)
                    self._reporter.received(pin, len(chunk))
            if (got := digest.hexdigest()) != pin.sha256:
                what = "has other contents than its lock says"
                raise _wrong(source, what, f"sha256:{got}, {size} bytes", f"sha256:{pin.sha256}")
            if pin.size not in (None, size):
                raise _wrong(source, "has another size than its lock says", f"{size} bytes", f"{pin.size} bytes")
            return new.publish()

    def _download(self, pin: Pin) -> Path:
        """Get the wheel of *pin* from its URL."""
        if self._offline:
            _check_offline([pin])
        part = self._cache.part(pin.sha256)
        Download(pin, pin.url or "", part, transport=self._transport(), reporter=self._reporter, pause=self._pause).run(
            self._policy
        )
        return self._cache.publish_part(pin.sha256)

    def _transport(self) -> Transport:
        """Return this thread's transport: truststore lets one handshake of a context wait for another."""
        transport: Transport | None = getattr(self._local, "transport", None)
        if transport is None:
            transport = self._local.transport = Transport(self._indexes, self._environ, self._sockets)
            self._transports.append(transport)
        return transport


def local_path(pin: Pin) -> Path | None:
    """Return the path of the wheel of *pin* if it is a local file."""
    if pin.path is not None:
        return pin.path
    parts = urlsplit(pin.url or "")
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _is_cached(pin: Pin, cache: Cache) -> bool:
    try:
        size = cache.wheel(pin.sha256).stat().st_size
    except OSError:
        return False
    return pin.size in (None, size)


def _check_offline(missing: Sequence[Pin]) -> None:
    """Raise unless all wheels that are *missing* in the cache are local files."""
    names = sorted(pin.filename for pin in missing if local_path(pin) is None)
    if names:
        what = f"{len(names)} wheel{'s are' if len(names) > 1 else ' is'} not in the cache: {', '.join(names)}"
        raise BundleError("offline", what, hint="run once without --offline")


def _wrong(where: object, what: str, got: str, want: str) -> ContentError:
    hint = "the file was changed after the lock was made: find out why before you lock again"
    return ContentError(where, what, got=got, want=want, hint=hint, rule="A1")
