"""A pin and where it is → its wheel in the cache, complete and verified.

* Size and sha256 are checked as the bytes arrive; bytes beyond the expected size end the download at once (rule A1).
* The bytes so far stay in ``.part`` under the wheel's sha256. The next attempt, in this process or another, resumes
  there: ``Range``, with ``If-Range`` where the server gave a validator. If the file has changed, it starts again.
* Transient errors are retried (``retries``).
* Wrong contents may come from a proxy's cache or a truncation, so they are fetched once more from the start. Then they
  are an error.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Protocol

from urllib3.exceptions import HTTPError

from bundler.caching.build_cache import unwritable
from bundler.fetching.http_transport import translate_error
from bundler.fetching.index_options import redacted
from bundler.fetching.retries import TransientError, failures_in_a_row
from bundler.runtime.errors import BundleError, ContentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path

    from urllib3 import BaseHTTPResponse

    from bundler.fetching.http_transport import Transport
    from bundler.fetching.retries import RetryPolicy
    from bundler.pins import Pin
    from bundler.reporters import Reporter

CHUNK = 512 * 1024
MAX_WHEEL = 16 * 1024**3


class Pause(Protocol):
    """Sleeps; raises if the fetch was cancelled."""

    def __call__(self, seconds: float) -> None:
        """Sleep for *seconds*."""


class _Restart(Exception):  # noqa: N818 - it is caught here
    """The part cannot be resumed."""


class Download:
    """One wheel on its way into *part*. The caller holds the wheel's lock."""

    def __init__(
        self, pin: Pin, url: str, part: Path, *, transport: Transport, reporter: Reporter, pause: Pause
    ) -> None:
        self._pin = pin
        self._url = url
        self._where = redacted(url)
        self._limit = MAX_WHEEL if pin.size is None else pin.size
        self._part = part
        self._validator = part.with_suffix(".validator")
        self._transport = transport
        self._reporter = reporter
        self._pause = pause
        self._digest = hashlib.sha256()
        self._size = 0
        self._start = b""
        self._is_html = False

    def run(self, policy: RetryPolicy) -> None:
        """Complete and verify the part; raise ``BundleError`` if that fails."""
        try:
            with self._open() as file:
                self._resume(file)
                try:
                    self._persist(file, policy)
                except ContentError:
                    self._clear(file)
                    self._persist(file, policy)
        except ContentError:
            self._remove()
            raise
        except OSError as error:
            raise unwritable(self._part, error) from error
        finally:
            with contextlib.suppress(OSError):
                if self._part.stat().st_size == 0:
                    self._remove()
        self._validator.unlink(missing_ok=True)

    def _persist(self, file: BufferedRandom, policy: RetryPolicy) -> None:
        """Retry until the wheel is complete; raise ``ContentError`` if its sha256 is not the pin's."""
        failures = restarts = 0
        while True:
            before = self._size
            try:
                if not self._is_complete():
                    self._attempt(file)
                break
            except _Restart:
                self._clear(file)
                restarts += 1
                if restarts > policy.retries + 1:
                    raise BundleError(self._where, "can neither be resumed nor fetched from the start") from None
            except TransientError as error:
                failures = failures_in_a_row(failures, self._size - before)
                policy.wait(error, failures, self._where)
        if (got := self._digest.hexdigest()) != self._pin.sha256:
            raise self._wrong("has other contents than its lock says", f"sha256:{got}", f"sha256:{self._pin.sha256}")

    def _is_complete(self) -> bool:
        return self._size > 0 and (self._size == self._pin.size or self._digest.hexdigest() == self._pin.sha256)

    def _attempt(self, file: BufferedRandom) -> None:
        """Get what is missing, in one request."""
        headers = {}
        if self._size:
            headers["Range"] = f"bytes={self._size}-"
            if validator := self._read_validator():
                headers["If-Range"] = validator
        response = self._transport.get(self._url, headers)
        try:
            self._accept(response, file, resumed=bool(self._size))
            for chunk in self._chunks(response):
                self._add(chunk, file)
        finally:
            response.close()
        if self._pin.size is not None and self._size < self._pin.size:
            raise TransientError("the connection broke")

    def _accept(self, response: BaseHTTPResponse, file: BufferedRandom, *, resumed: bool) -> None:
        """Bring the part to where the body of *response* begins."""
        validator = _validator(response)
        if resumed and response.status == 206:  # noqa: PLR2004 - an HTTP status
            stored = self._read_validator()
            total = self._pin.size if self._pin.size is not None else "*"
            first, _, all_bytes = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            changed = stored is not None and validator is not None and stored != validator
            if changed or first.split("-")[0] != str(self._size) or str(total) not in ("*", all_bytes):
                raise _Restart
            return
        if response.status != 200:  # noqa: PLR2004 - an HTTP status
            if resumed:
                raise _Restart
            raise BundleError(
                self._where,
                "the server does not send the whole file",
                got=f"status {response.status} to a request without a range",
            )
        self._clear(file)
        self._is_html = "html" in response.headers.get("Content-Type", "").lower()
        length = response.headers.get("Content-Length")
        if self._pin.size is not None and length is not None and length != str(self._pin.size):
            raise self._wrong("has another size than its lock says", f"{length} bytes", f"{self._pin.size} bytes")
        if self._is_html:
            raise self._wrong("is no wheel", None, f"sha256:{self._pin.sha256}")
        if validator is not None:
            with contextlib.suppress(OSError):
                self._validator.write_text(validator, encoding="latin-1")

    def _chunks(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        try:
            if response.headers.get("Transfer-Encoding", "").lower() == "chunked":
                yield from response.stream(CHUNK, decode_content=False)
            else:
                while chunk := response.read1(CHUNK, decode_content=False):
                    yield chunk
        except HTTPError as error:
            raise translate_error(error, self._url) from None
        except OSError as error:
            raise TransientError(f"the connection broke: {error.strerror or type(error).__name__}") from None

    def _add(self, chunk: bytes, file: BufferedRandom) -> None:
        """Add *chunk* to the part."""
        self._pause(0)
        size = self._size + len(chunk)
        if size > self._limit:
            raise self._wrong("has more bytes than its lock says", f"{size} or more", f"{self._limit} bytes")
        file.write(chunk)
        file.flush()
        self._digest.update(chunk)
        self._start = self._start or chunk[:512]
        self._size = size
        self._reporter.received(self._pin, len(chunk))

    def _wrong(self, what: str, got: str | None, want: str) -> ContentError:
        """Return the error for contents that are not those of the pin."""
        hint = "the file was changed after the lock was made: find out why before you lock again"
        if self._is_html or self._start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
            got = "an HTML page" if got is None else f"an HTML page, {got}"
            hint = "is this a page of a login, a proxy or an error? Open the URL in a browser"
        return ContentError(self._where, what, got=got, want=want, hint=hint, rule="A1")

    # The part

    @contextlib.contextmanager
    def _open(self) -> Iterator[BufferedRandom]:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._part.touch()
        file = self._part.open("r+b")
        try:
            yield file
        finally:
            # Everything was flushed, or its failure was reported.
            with contextlib.suppress(OSError):
                file.close()

    def _resume(self, file: BufferedRandom) -> None:
        """Resume the part of an earlier process."""
        while self._size <= self._limit and (chunk := file.read(CHUNK)):
            self._pause(0)
            self._digest.update(chunk)
            self._start = self._start or chunk[:512]
            self._size += len(chunk)
        self._reporter.received(self._pin, self._size)
        if self._size > self._limit:
            self._clear(file)

    def _clear(self, file: BufferedRandom) -> None:
        """Start from zero."""
        if self._size:
            self._reporter.received(self._pin, -self._size)
        self._validator.unlink(missing_ok=True)
        file.seek(0)
        file.truncate()
        self._digest = hashlib.sha256()
        self._size = 0
        self._start = b""

    def _remove(self) -> None:
        self._part.unlink(missing_ok=True)
        self._validator.unlink(missing_ok=True)

    def _read_validator(self) -> str | None:
        try:
            text = self._validator.read_text(encoding="latin-1")
        except OSError:
            return None
        return text if text.isprintable() else None


def _validator(response: BaseHTTPResponse) -> str | None:
    """Return a validator for If-Range: a strong entity tag, else a date."""
    etag = response.headers.get("ETag")
    # "A client MUST NOT generate an If-Range header field containing an entity tag that is marked as weak."
    if etag is not None:
        return None if etag.startswith("W/") else etag
    return response.headers.get("Last-Modified")
