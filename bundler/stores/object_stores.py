"""A prefix in an object store as a store: Azure's, Amazon's, Google's or a compatible one, through ``obstore``.

    blobs/sha256/…                        every bundle's blobs, shared
    refs/NAME                             a name: the descriptor of its manifest, as JSON
    referrers/HEX/HEX                     the descriptor of the second manifest, which is about the first

* An object appears only after all of its bytes were sent and verified: a small one by one request that creates and
  never replaces, a large one in parts that are joined at the end.
* Logins come from where the cloud's tools have them: see ``object_logins.py``. ``obstore`` retries transient errors; a
  download that breaks is resumed.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from bundler.fetching.index_options import redacted, redacted_text
from bundler.fetching.retries import TransientError
from bundler.runtime.documents import MANIFEST_TYPE, MAX_DOCUMENT, Fields, parse_json, to_json
from bundler.runtime.errors import BundleError
from bundler.stores.blobs import CHUNK, Blob, is_digest, verified_chunks
from bundler.stores.object_logins import connect
from bundler.stores.store import Held, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping
    from typing import TypeVar

    from obstore.store import ObjectStore

    from bundler.stores.blobs import Reader

    T = TypeVar("T")

_BLOBS = "blobs/sha256/"
_NAMES = "refs/"
_REFERRERS = "referrers/"
_SMALL = 4 << 20
# Memory for each blob under way: S3 takes up to 10,000 parts, of 5 MiB at least.
_PART = 8 << 20
_PARTS_AT_ONCE = 3
_MANY_PARTS = 5000
_AT_ONCE = 16


def open_objects(url: str, environ: Mapping[str, str]) -> ObjectsStore:
    """Return the store at *url*, whose login is looked up in *environ*, or else where the cloud's library does."""
    try:
        return ObjectsStore(connect(url, environ), redacted(url))
    except (BaseError, ValueError, TypeError) as error:
        raise _failure(error, redacted(url)) from None


class ObjectsStore(Store):
    """The objects of *objects*, which has its prefix; *where* is shown."""

    def __init__(self, objects: ObjectStore, where: str) -> None:
        self._objects = objects
        self.where = where

    # Blobs

    def has(self, blobs: Collection[Blob]) -> set[str]:
        with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(blobs))), "head") as executor:
            sizes = list(executor.map(lambda blob: self._size(_BLOBS + blob.hex), blobs))
        return {blob.digest for blob, size in zip(blobs, sizes, strict=True) if size == blob.size}

    def _size(self, path: str) -> int | None:
        """Return the size of the object at *path*; None if there is none."""
        found = self._optional(lambda: obstore.head(self._objects, path))
        return None if found is None else found["size"]

    def read(self, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        if offset and offset >= blob.size:
            return
        options: Any = {"range": {"offset": offset}} if offset else {}
        found = self._optional(lambda: obstore.get(self._objects, _BLOBS + blob.hex, options=options))
        if found is None:
            raise self.missing(blob.digest)
        try:
            for chunk in found.stream(CHUNK):
                offset += len(chunk)
                yield bytes(chunk)
        except BaseError as error:
            raise TransientError(f"the connection broke: {_message_of(error)}") from None
        if offset < blob.size:
            raise TransientError("the connection broke")

    def write(self, blob: Blob, read: Reader) -> None:
        path = _BLOBS + blob.hex
        chunks = verified_chunks(blob, read(0), self.where)
        if blob.size <= _SMALL:
            self._create(path, b"".join(chunks), blob.size)
            return
        # Parts are joined after the last one was verified: until then, or if the bytes are wrong, there is no object.
        part = max(_PART, -(-blob.size // _MANY_PARTS))
        self._required(
            lambda: obstore.put(
                self._objects, path, chunks, use_multipart=True, chunk_size=part, max_concurrency=_PARTS_AT_ONCE
            )
        )

    def _create(self, path: str, data: bytes, size: int) -> None:
        """Create a small object unless it exists; one of another size is damaged, and replaced."""

        def create() -> None:
            with contextlib.suppress(AlreadyExistsError):
                obstore.put(self._objects, path, data, mode="create", use_multipart=False)
                return
            if obstore.head(self._objects, path)["size"] != size:
                obstore.put(self._objects, path, data, use_multipart=False)

        self._required(create)

    # Names

    def find(self, name: str) -> Blob | None:
        if is_digest(name):
            size = self._size(_BLOBS + name.removeprefix("sha256:"))
            return None if size is None else Blob(digest=name, size=size, media_type=MANIFEST_TYPE)
        return self._descriptor(_NAMES + name)

    def _descriptor(self, path: str) -> Blob | None:
        found = self._optional(lambda: obstore.get(self._objects, path))
        if found is None:
            return None
        where = f"{self.where}: {path}"
        data = b""
        try:
            for chunk in found.stream(CHUNK):
                data += bytes(chunk)
                if len(data) > MAX_DOCUMENT:
                    break
        except BaseError as error:
            raise TransientError(f"the connection broke: {_message_of(error)}") from None
        return Blob.from_fields(Fields(parse_json(data, where), where))

    def set_name(self, name: str, manifest: Blob, data: bytes) -> None:
        self._put(_NAMES + name, manifest)

    def _put(self, path: str, blob: Blob) -> None:
        self._required(lambda: obstore.put(self._objects, path, to_json(blob.to_json()), use_multipart=False))

    def names(self) -> list[str]:
        return [path.removeprefix(_NAMES) for path, _, _ in self._list(_NAMES)]

    def remove_name(self, name: str) -> bool:
        if self._size(_NAMES + name) is None:
            return False
        self._required(lambda: obstore.delete(self._objects, _NAMES + name))
        return True

    # Referrers

    def referrers(self, digest: str) -> list[Blob]:
        found = [self._descriptor(path) for path, _, _ in self._list(f"{_REFERRERS}{digest.removeprefix('sha256:')}/")]
        return [blob for blob in found if blob is not None]

    def add_referrer(self, digest: str, referrer: Blob) -> None:
        self._put(f"{_REFERRERS}{digest.removeprefix('sha256:')}/{referrer.hex}", referrer)

    # Removing

    def held(self) -> Iterator[Held]:
        for path, size, modified in self._list(_BLOBS):
            yield Held(digest="sha256:" + path.removeprefix(_BLOBS), size=size, modified=modified)

    def remove(self, digest: str, *, before: float) -> bool:
        path = _BLOBS + digest.removeprefix("sha256:")
        found = self._optional(lambda: obstore.head(self._objects, path))
        if found is None or found["last_modified"].timestamp() >= before:
            return False
        self._required(lambda: obstore.delete(self._objects, path))
        return True

    def remove_referrers(self, digest: str) -> None:
        for path, _, _ in self._list(f"{_REFERRERS}{digest.removeprefix('sha256:')}/"):
            self._required(partial(obstore.delete, self._objects, path))

    # Requests

    def _list(self, prefix: str) -> list[tuple[str, int, float]]:
        """Return path, size in bytes and time of change of the objects below *prefix*."""
        batches = self._required(lambda: list(obstore.list(self._objects, prefix=prefix)))
        return [
            (found["path"], found["size"], found["last_modified"].timestamp()) for batch in batches for found in batch
        ]

    def _optional(self, ask: Callable[[], T]) -> T | None:
        """Return what *ask* returns; None if there is no such object."""
        try:
            return ask()
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise _failure(error, self.where) from None

    def _required(self, do: Callable[[], T]) -> T:
        """Return what *do* returns; a missing object means that the whole bucket is missing."""
        try:
            return do()
        except (FileNotFoundError, NotFoundError) as error:
            hint = "create it with the cloud's own tools, or check its name"
            raise BundleError(self.where, f"has no such bucket or container: {_message_of(error)}", hint=hint) from None
        except (BaseError, OSError) as error:
            raise _failure(error, self.where) from None


def _failure(error: Exception, where: str) -> BundleError:
    """Translate *error* of ``obstore``."""
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        hint = "check the login of the cloud, its expiry and its permissions: docs/stores.md"
        return BundleError(where, f"access is refused: {_message_of(error)}", hint=hint)
    return BundleError(where, f"the request failed: {_message_of(error)}")


def _message_of(error: Exception) -> str:
    """Return the message of *error* without what may be a secret: URLs are shown without their queries."""
    text = str(error).split("\nDebug source:", maxsplit=1)[0]
    first = text.splitlines()[0] if text else type(error).__name__
    return redacted_text(first.partition(": <?xml")[0])[:300]
