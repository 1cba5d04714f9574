"""A URL → a seekable file, by range requests: the directory of a zip is read without the rest of it.

* Blocks are kept in memory. The last one has the directory of a zip and, mostly, the metadata of a wheel.
* A server without ranges sends the whole file, which is accepted up to a limit.
* Transient errors are retried. A failure is a ``BundleError``.
"""

from __future__ import annotations

import io
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from bundler.fetching.index_options import redacted
from bundler.fetching.retries import RetryPolicy, TransientError, retrying
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse

    from bundler.fetching.http_transport import Transport

BLOCK = 64 << 10
LARGEST = 64 << 20
_WHOLE = 200
_RANGE = re.compile(r"bytes (?P<start>[0-9]+)-[0-9]+/(?P<total>[0-9]+)", re.ASCII)


def get(
    transport: Transport, url: str, *, retries: int, limit: int, headers: Mapping[str, str] | None = None
) -> tuple[BaseHTTPResponse, bytes]:
    """Return the response of *url* and its body, which may have *limit* bytes."""

    def attempt() -> tuple[BaseHTTPResponse, bytes]:
        try:
            with closing(transport.get(url, headers or {})) as response:
                return response, response.read(limit + 1)
        except HTTPError:
            raise TransientError("the connection broke") from None

    response, data = retrying(attempt, redacted(url), RetryPolicy(retries=retries, first=0.25))
    if len(data) > limit:
        raise BundleError(redacted(url), "is larger than expected", want=f"at most {limit} bytes")
    return response, data


class RemoteFile(io.RawIOBase):
    """The file at *url*."""

    def __init__(self, transport: Transport, url: str, *, retries: int) -> None:
        """Ask the server for the size."""
        super().__init__()
        self._transport = transport
        self._url = url
        self._retries = retries
        self._position = 0
        self._blocks: dict[int, bytes] = {}
        self._size = self._request(0, 1)[1]

    def readable(self) -> bool:  # noqa: D102 - of io
        return True

    def seekable(self) -> bool:  # noqa: D102 - of io
        return True

    def tell(self) -> int:  # noqa: D102 - of io
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:  # noqa: D102 - of io
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: D102, ANN401 - of io; Buffer has no name before 3.12
        view = memoryview(buffer)
        number, start = divmod(self._position, BLOCK)
        data = self._block(number)[start : start + len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _block(self, number: int) -> bytes:
        start = number * BLOCK
        end = min(start + BLOCK, self._size)
        if number not in self._blocks and start < end:
            self._blocks[number] = self._request(start, end)[0]
        return self._blocks.get(number, b"")

    def _request(self, start: int, end: int) -> tuple[bytes, int]:
        """Return the bytes from *start* to *end*, and how many there are in all."""
        headers = {"Range": f"bytes={start}-{end - 1}"}
        response, data = get(self._transport, self._url, retries=self._retries, limit=LARGEST, headers=headers)
        if response.status == _WHOLE:
            self._blocks = {n: data[n * BLOCK : (n + 1) * BLOCK] for n in range(len(data) // BLOCK + 1)}
            return data[start:end], len(data)
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match["start"]) != start or len(data) != end - start:
            raise BundleError(redacted(self._url), "the server sends another range than was requested")
        return data, int(match["total"])
