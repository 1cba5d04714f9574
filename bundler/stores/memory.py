"""A store in memory: for tests, and as the simplest implementation of the protocol."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from bundler.runtime.documents import MANIFEST_TYPE
from bundler.stores.blobs import CHUNK, Blob, is_digest, verified_chunks
from bundler.stores.store import Held, Store

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator

    from bundler.stores.blobs import Reader


class MemoryStore(Store):
    """Blobs and names in dicts."""

    def __init__(self) -> None:
        self.where = "memory:"
        self._lock = threading.Lock()
        self._blobs: dict[str, tuple[bytes, float]] = {}
        self._names: dict[str, Blob] = {}
        self._referrers: dict[str, dict[str, Blob]] = {}

    def has(self, blobs: Collection[Blob]) -> set[str]:
        found = set()
        with self._lock:
            for blob in blobs:
                data, _ = self._blobs.get(blob.digest, (None, 0))
                if data is not None and len(data) == blob.size:
                    self._blobs[blob.digest] = (data, time.time())
                    found.add(blob.digest)
        return found

    def read(self, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        with self._lock:
            data, _ = self._blobs.get(blob.digest, (None, 0))
        if data is None:
            raise self.missing(blob.digest)
        for start in range(offset, len(data), CHUNK):
            yield data[start : start + CHUNK]

    def write(self, blob: Blob, read: Reader) -> None:
        data = b"".join(verified_chunks(blob, read(0), self.where))
        with self._lock:
            self._blobs[blob.digest] = (data, time.time())

    def find(self, name: str) -> Blob | None:
        with self._lock:
            if is_digest(name):
                data, _ = self._blobs.get(name, (None, 0))
                return None if data is None else Blob.of(data, MANIFEST_TYPE)
            return self._names.get(name)

    def set_name(self, name: str, manifest: Blob, data: bytes) -> None:
        with self._lock:
            self._names[name] = manifest

    def names(self) -> list[str]:
        with self._lock:
            return list(self._names)

    def remove_name(self, name: str) -> bool:
        with self._lock:
            return self._names.pop(name, None) is not None

    def referrers(self, digest: str) -> list[Blob]:
        with self._lock:
            return list(self._referrers.get(digest, {}).values())

    def add_referrer(self, digest: str, referrer: Blob) -> None:
        with self._lock:
            self._referrers.setdefault(digest, {})[referrer.digest] = referrer

    def held(self) -> Iterator[Held]:
        with self._lock:
            found = list(self._blobs.items())
        for digest, (data, modified) in found:
            yield Held(digest=digest, size=len(data), modified=modified)

    def remove(self, digest: str, *, before: float) -> bool:
        with self._lock:
            _, modified = self._blobs.get(digest, (b"", before))
            return modified < before and self._blobs.pop(digest, None) is not None

    def remove_referrers(self, digest: str) -> None:
        with self._lock:
            self._referrers.pop(digest, None)
