"""A store → compressed layers and built wheels that other machines have made, and back.

    layer-<64 hex digits>    names the layer that was made from these wheels with these settings (``layer_key``)
    wheel-<64 hex digits>    names the wheel with this sha256, which was built from a source

* A name in a shared store is a hint, and proves nothing: whoever may write there may let it lead anywhere. So nothing
  is believed: the tar of the layer is made here, from wheels whose sha256 the lock pins and with bytecode that is
  compiled here, and a layer from the store is taken only if each of its frames decodes to exactly those bytes
  (``packing.py``). If one does not, all are compressed here. This saves the compression, not the verification.
* A wheel is asked for by the sha256 that the lock has of it, and is nothing else.
* An entry is an OCI manifest of its own with one layer, so that any store can keep it, and ``gc`` and pushes to the
  same store see its blob.
* If the store fails, one warning says so and it is not used again: a cache is no reason to fail.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from bundler.fetching.retries import RetryPolicy, retrying
from bundler.layers.packing import CachedFrames
from bundler.runtime.documents import MANIFEST_TYPE, Descriptor, Fields, parse_json, to_json
from bundler.runtime.errors import BundleError, ContentError
from bundler.stores.blobs import CHUNK, Blob, verified_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from bundler.layers.packing import BuiltLayer
    from bundler.stores.store import Store

    T = TypeVar("T")

PREFIX, WHEEL_PREFIX = "layer-", "wheel-"
ENTRY_TYPE = "application/vnd.bundler.layer.v1"
_WHEEL_TYPE = "application/vnd.pypa.wheel"
_EMPTY = b"{}"
_EMPTY_BLOB = Blob.of(_EMPTY, "application/vnd.oci.empty.v1+json")
_RETRIES = 2


class StoreLayerCache:
    """The layers in *store*. Several threads may use it at once."""

    def __init__(self, store: Store, warn: Callable[[str], None]) -> None:
        self._store = store
        self._warn = warn
        self._lock = threading.Lock()
        self._broken = False

    def take(self, key: str, path: Path, limit: int) -> CachedFrames | None:
        """Fetch the layer that *key* leads to, of at most *limit* bytes, to *path*; None if there is none."""
        return self._unless_broken(lambda: self._take(key, path, limit), None)

    def give(self, key: str, layer: BuiltLayer) -> None:
        """Store *layer* under *key*, unless it is there."""
        self._unless_broken(lambda: self._put(PREFIX + key, layer.packed.descriptor.to_json(), layer.blob), None)

    def take_wheel(self, sha256: str, size: int, path: Path) -> bool:
        """Fetch the wheel *sha256* of *size* bytes to *path*; tell whether it is there."""
        return self._unless_broken(lambda: self._take_wheel(sha256, size, path), otherwise=False)

    def give_wheel(self, sha256: str, path: Path) -> None:
        """Store the wheel at *path*, whose hash is *sha256*, unless it is there."""
        descriptor = {"mediaType": _WHEEL_TYPE, "digest": f"sha256:{sha256}", "size": path.stat().st_size}
        self._unless_broken(lambda: self._put(WHEEL_PREFIX + sha256, descriptor, path), None)

    def refused(self, layer: str) -> None:
        """Warn that the store has other bytes for *layer*."""
        self._warn(
            f"{self._store.where}: the layer cache holds other bytes for {layer} than this lock gives: it was"
            " compressed here. Who may write to the cache?"
        )

    def _take(self, key: str, path: Path, limit: int) -> CachedFrames | None:
        found = self._retry(lambda: self._store.find(PREFIX + key))
        if found is None:
            return None
        where = f"{self._store.where}: {PREFIX}{key}"
        data = self._retry(lambda: self._store.document(found))
        layers = Fields(parse_json(data, where), where).items("layers")
        if len(layers) != 1:
            raise ContentError(where, "is no entry of a layer cache", got=f"{len(layers)} layers", want=1)
        descriptor = Descriptor.from_fields(layers[0])
        if descriptor.size > limit:
            raise ContentError(where, "is too large", got=f"{descriptor.size} bytes", want=f"at most {limit}")
        blob = Blob(digest=descriptor.digest, size=descriptor.size, media_type=descriptor.media_type)
        self._retry(lambda: self._fetch(blob, path))
        return CachedFrames(path, descriptor.frames)

    def _take_wheel(self, sha256: str, size: int, path: Path) -> bool:
        if self._retry(lambda: self._store.find(WHEEL_PREFIX + sha256)) is None:
            return False
        blob = Blob(digest=f"sha256:{sha256}", size=size, media_type=_WHEEL_TYPE)
        self._retry(lambda: self._fetch(blob, path))
        return True

    def _fetch(self, blob: Blob, path: Path) -> None:
        with path.open("wb") as file:
            for chunk in verified_chunks(blob, self._store.read(blob), self._store.where):
                file.write(chunk)

    def _put(self, name: str, descriptor: dict[str, Any], path: Path) -> None:
        """Let *name* lead to the blob at *path*, which *descriptor* describes."""
        data = to_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "artifactType": ENTRY_TYPE,
                "config": _EMPTY_BLOB.to_json(),
                "layers": [descriptor],
            }
        )
        manifest = Blob.of(data, MANIFEST_TYPE)
        named = self._retry(lambda: self._store.find(name))
        blob = Blob.from_fields(Fields(descriptor, name))
        wanted = (blob, _EMPTY_BLOB, manifest)
        there = self._retry(lambda: self._store.has(wanted))
        if named is not None and named.digest == manifest.digest and len(there) == len(wanted):
            return
        for each, read in (
            (blob, _reader_of_file(path)),
            (_EMPTY_BLOB, _reader_of_bytes(_EMPTY)),
            (manifest, _reader_of_bytes(data)),
        ):
            if each.digest not in there:
                self._retry(lambda each=each, read=read: self._store.write(each, read))  # type: ignore[misc]
        self._retry(lambda: self._store.set_name(name, manifest, data))

    def _retry(self, attempt: Callable[[], T]) -> T:
        return retrying(attempt, self._store.where, RetryPolicy(retries=_RETRIES))

    def _unless_broken(self, attempt: Callable[[], T], otherwise: T) -> T:
        """Return what *attempt* returns, or *otherwise* if the store fails or has failed before."""
        if self._broken:
            return otherwise
        try:
            return attempt()
        except ContentError as error:  # this entry is wrong; others may not be
            self._warn(f"layer cache: {error}")
        except BundleError as error:
            with self._lock:
                first, self._broken = not self._broken, True
            if first:
                self._warn(f"layer cache: {error}; going on without it")
        return otherwise


def _reader_of_file(path: Path) -> Callable[[int], Iterator[bytes]]:
    def read(offset: int) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk

    return read


def _reader_of_bytes(data: bytes) -> Callable[[int], Iterator[bytes]]:
    return lambda offset: iter([data[offset:]])
