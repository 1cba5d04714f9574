"""A bundle in one store → the same bundle in another: push, pull and copy are this one function.

* Only what is missing travels. A copy checks which blobs exist, sends the others in parallel, then the manifest, then
  its referrers (signatures), and writes the name last. Whoever sees the name can read everything.
* Bytes are hashed on their way, and checked before the last of them is handed on.
* Transient errors are retried, and the transfer resumes where it broke. A killed process leaves blobs, or parts of
  them, which the next one uses; it never leaves a name whose blobs are incomplete.
* Memory does not depend on the size of a blob: each job holds a few chunks.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.fetching.retries import RetryPolicy, TransientError, failures_in_a_row, retrying
from bundler.reporters import Reporter
from bundler.runtime.errors import BundleError, TrustError, UsageError
from bundler.stores.blobs import Blob, is_digest, read_links
from bundler.stores.store import DEFAULT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from bundler.stores.blobs import Links
    from bundler.stores.store import Store

    T = TypeVar("T")

JOBS = 4
_MAX_REFERRERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy did. Sizes are in bytes; *sent* counts every byte of blobs and manifests that travelled."""

    digest: str
    blobs: int
    size: int
    sent_blobs: int
    sent: int
    adopted: int
    referrers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to copy. *first_pause* in seconds is the wait before the first of the *retries*."""

    jobs: int = JOBS
    retries: int = 5
    first_pause: float = 0.5


def copy(
    source: Store,
    name: str,
    sink: Store,
    new_name: str,
    *,
    expect: str | None = None,
    options: Options | None = None,
    reporter: Reporter | None = None,
) -> Copied:
    """Copy the bundle *name* of *source* to *sink*, where *new_name*, a name or the bundle's digest, will lead to it.

    Raise ``TrustError`` if its digest is not *expect*, and a ``BundleError`` if it cannot be copied; the sink's names
    are then unchanged.
    """
    return _Copier(source, sink, options or Options(), reporter or Reporter()).copy(name, new_name, expect)


def find(store: Store, name: str, expect: str | None = None) -> Blob:
    """Return the manifest of the bundle *name* in *store*; raise ``TrustError`` if its digest is not *expect*."""
    if expect is not None and not is_digest(expect):
        raise UsageError("expected digest", "is not a digest", got=expect, want="sha256: and 64 hex digits")
    where = store.where if name == DEFAULT_NAME else f"{store.where}: {name}"
    found = store.find(name)
    if found is None:
        names = sorted(store.names())[:5]
        hint = f"there are: {', '.join(names)}" if names else None
        raise BundleError(where, "does not exist", hint=hint)
    if expect not in (None, found.digest):
        raise TrustError(
            where,
            "is another bundle than expected",
            got=found.digest,
            want=expect,
            hint="somebody has pushed another one under this name; name the one you want by its digest (…@sha256:…)",
            rule="B17",
        )
    return found


class _Ended(Exception):  # noqa: N818 - it only ends a thread
    """The copy was cancelled."""


class _Copier:
    """One copy under way."""

    def __init__(self, source: Store, sink: Store, options: Options, reporter: Reporter) -> None:
        self._source = source
        self._sink = sink
        self._options = options
        self._reporter = reporter
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._sent = 0
        self._sent_blobs = 0
        self._adopted = 0
        self._policy = RetryPolicy(retries=options.retries, first=options.first_pause, sleep=self._sleep)

    def copy(self, name: str, new_name: str, expect: str | None) -> Copied:
        image = self._retry(lambda: find(self._source, name, expect), self._source)
        if is_digest(new_name) and new_name != image.digest:
            raise UsageError(self._sink.where, "is to have another digest", got=image.digest, want=new_name)
        data, links = self._manifest(image)
        image = Blob(digest=image.digest, size=image.size, media_type=image.media_type)
        blobs = [*links.blobs, image]
        self._move(links.blobs, image, data)
        referrers = self._move_referrers(image)
        self._recheck(blobs)
        self._retry(lambda: self._sink.set_name(new_name, image, data), self._sink)
        return Copied(
            digest=image.digest,
            blobs=len(blobs),
            size=sum(blob.size for blob in blobs),
            sent_blobs=self._sent_blobs,
            sent=self._sent,
            adopted=self._adopted,
            referrers=referrers,
        )

    def _manifest(self, manifest: Blob) -> tuple[bytes, Links]:
        data = self._retry(lambda: self._source.document(manifest), self._source)
        return data, read_links(data, f"{self._source.where}: {manifest.digest}")

    def _move(self, blobs: Sequence[Blob], manifest: Blob, data: bytes) -> None:
        """Bring *blobs*, then the *manifest* that names them, to the sink."""
        wanted = [*blobs, manifest]
        there = self._retry(lambda: self._sink.has(wanted), self._sink)
        missing = [blob for blob in blobs if blob.digest not in there]
        known = [blob.size for blob in wanted if blob.digest in there]
        self._reporter.copying(len(wanted), sum(blob.size for blob in wanted), present=sum(known))
        self._in_parallel(missing)
        if manifest.digest not in there:
            self._write(manifest, lambda offset: iter([data[offset:]]))

    def _in_parallel(self, blobs: Sequence[Blob]) -> None:
        if not blobs:
            return
        executor = ThreadPoolExecutor(max(self._options.jobs, 1), "copy")
        try:
            # The largest first: it takes longest.
            order = sorted(blobs, key=lambda blob: -blob.size)
            for future in as_completed([executor.submit(self._move_blob, blob) for blob in order]):
                future.result()
        except BaseException:
            self._ended.set()
            self._source.end()
            self._sink.end()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _move_blob(self, blob: Blob) -> None:
        self._sleep(0)
        if self._retry(lambda: self._sink.adopt(blob, self._source), self._sink):
            with self._lock:
                self._adopted += 1
            self._reporter.copied(blob.digest, blob.size)
        else:
            self._write(blob, lambda offset: self._read(blob, offset))

    def _write(self, blob: Blob, read: Callable[[int], Iterator[bytes]]) -> None:
        """Write *blob* to the sink, which resumes where an earlier attempt broke."""
        attempts = passed = 0

        def counted(offset: int) -> Iterator[bytes]:
            nonlocal attempts, passed
            attempts += 1
            for chunk in read(offset):
                self._sleep(0)
                passed += len(chunk)
                with self._lock:
                    self._sent += len(chunk)
                self._reporter.copied(blob.digest, len(chunk))
                yield chunk

        self._retry(lambda: self._sink.write(blob, counted), self._sink, lambda: passed)
        if attempts:
            with self._lock:
                self._sent_blobs += 1

    def _read(self, blob: Blob, offset: int) -> Iterator[bytes]:
        """Yield *blob* of the source from *offset* on; resume where the source breaks."""
        failures = 0
        while True:
            before = offset
            try:
                with closing(self._source.read(blob, offset)) as chunks:
                    for chunk in chunks:
                        offset += len(chunk)
                        yield chunk
            except TransientError as error:
                failures = failures_in_a_row(failures, offset - before)
                self._policy.wait(error, failures, f"{self._source.where}: {blob.digest}")
            else:
                return

    def _move_referrers(self, image: Blob) -> int:
        """Copy the referrers of *image*, and their referrers, to the sink; return how many there are."""
        seen = {image.digest}
        waiting = [image.digest]
        while waiting:
            subject = waiting.pop()
            for referrer in self._retry(lambda: self._source.referrers(subject), self._source):  # noqa: B023
                if referrer.digest in seen:
                    continue
                seen.add(referrer.digest)
                if len(seen) > _MAX_REFERRERS:
                    raise BundleError(self._source.where, "has too many referrers", want=f"at most {_MAX_REFERRERS}")
                self._move_referrer(subject, referrer)
                waiting.append(referrer.digest)
        return len(seen) - 1

    def _move_referrer(self, subject: str, referrer: Blob) -> None:
        data, links = self._manifest(referrer)
        if links.subject != subject:
            self._reporter.warning(
                f"{self._source.where}: {referrer.digest} does not refer to {subject}, and is left out"
            )
            return
        described = Blob(
            digest=referrer.digest,
            size=referrer.size,
            media_type=referrer.media_type,
            artifact_type=links.artifact_type,
            annotations=links.annotations,
        )
        self._move(links.blobs, described, data)
        self._retry(lambda: self._sink.add_referrer(subject, described), self._sink)

    def _recheck(self, blobs: Sequence[Blob]) -> None:
        """Check the blobs again before the name is set: a ``gc`` may have removed some meanwhile."""
        there = self._retry(lambda: self._sink.has(blobs), self._sink)
        gone = [blob.digest for blob in blobs if blob.digest not in there]
        if gone:
            raise BundleError(
                self._sink.where, "has lost blobs meanwhile", got=", ".join(gone), hint="is gc running? Push again"
            )

    def _retry(self, attempt: Callable[[], T], store: Store, progress: Callable[[], int] = lambda: 0) -> T:
        return retrying(attempt, store.where, self._policy, progress)

    def _sleep(self, seconds: float) -> None:
        if self._ended.wait(seconds) if seconds else self._ended.is_set():
            raise _Ended
