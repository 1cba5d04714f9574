"""A prefix in an object store as a place that keeps plain files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError

from bundler.fetching.index_options import redacted, redacted_text
from bundler.fetching.retries import TransientError
from bundler.runtime.errors import BundleError, ContentError
from bundler.stores.blobs import CHUNK
from bundler.stores.object_logins import connect
from bundler.stores.object_stores import ObjectsStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PART = 8 << 20


def open_object_files(url: str, environ: Mapping[str, str]) -> ObjectFiles:
    """Return the files below *url*, whose login is looked up as for a store."""
    try:
        return ObjectFiles(ObjectsStore(connect(url, environ), redacted(url)))
    except (BaseError, ValueError, TypeError) as error:
        raise BundleError(redacted(url), f"cannot be opened: {redacted_text(str(error))[:300]}") from None


class ObjectFiles:
    """The objects of *store*, by their own names."""

    def __init__(self, store: ObjectsStore) -> None:
        self._store = store
        self.where = store.where

    def size(self, name: str) -> int | None:
        found = self._store._optional(lambda: obstore.head(self._store._objects, name))  # noqa: SLF001 - its other half
        return None if found is None else found["size"]

    def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
        options: Any = {"range": {"offset": offset}} if offset else {}
        found = self._store._optional(lambda: obstore.get(self._store._objects, name, options=options))  # noqa: SLF001
        if found is None:
            raise ContentError(f"{self.where}/{name}", "is missing", rule="C19")
        try:
            for chunk in found.stream(CHUNK):
                yield bytes(chunk)
        except BaseError:
            raise TransientError("the connection broke") from None

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        self._store._required(  # noqa: SLF001
            lambda: obstore.put(
                self._store._objects,  # noqa: SLF001
                name,
                chunks,
                use_multipart=True,
                chunk_size=_PART,
                max_concurrency=3,
            )
        )
