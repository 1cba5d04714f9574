"""A manifest in a store → the verified documents of the bundle that it is, without its large layers.

* Only the manifest, the config, the first and the last layer are read, each checked as it arrives; the runtime's own
  reader does the rest.
* Transient errors are retried.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from bundler.fetching.retries import retrying
from bundler.runtime.carriers import Carrier, Member
from bundler.runtime.images import load_image
from bundler.stores.blobs import read_links, verified_chunks

if TYPE_CHECKING:
    from typing import TypeVar

    from bundler.runtime.images import Image
    from bundler.stores.blobs import Blob
    from bundler.stores.store import Store

    T = TypeVar("T")


def read_image(store: Store, manifest: Blob) -> Image:
    """Return the documents of the bundle *manifest*; raise ``ContentError`` if it is none or is damaged."""
    with _Documents(store, manifest) as documents:
        return load_image(documents, manifest.digest)


class _Documents(Carrier):
    """The blobs of one bundle in a store, each fetched when it is asked for."""

    kind = "blobs"

    def __init__(self, store: Store, manifest: Blob) -> None:
        super().__init__(store.where)
        self._store = store
        self._manifest = manifest
        data = retrying(lambda: store.document(manifest), store.where)
        links = read_links(data, f"{store.where}: {manifest.digest}")
        self._blobs = {blob.digest: blob for blob in (*links.blobs, manifest)}

    def member(self, name: str) -> Member:
        blob = self._blobs["sha256:" + name.removeprefix("blobs/sha256/")]
        if name not in self._fds:
            self._fds[name] = retrying(lambda: self._fetch(blob), self._store.where)
        return Member(f"{self.path}: {blob.digest}", self._fds[name], 0, blob.size)

    def _fetch(self, blob: Blob) -> int:
        with tempfile.TemporaryFile() as file:
            for chunk in verified_chunks(blob, self._store.read(blob), self._store.where):
                file.write(chunk)
            file.flush()
            return os.dup(file.fileno())

    def named_digest(self) -> str:
        return self._manifest.digest
