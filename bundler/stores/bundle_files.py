"""A bundle on disk, ``.pyz`` or packed directory, as a store to read from: its blobs, and the one image it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from bundler.runtime.carriers import open_carrier
from bundler.runtime.documents import MAX_DOCUMENT, Fields, parse_json
from bundler.runtime.errors import ContentError, UsageError
from bundler.stores.blobs import CHUNK, Blob, is_digest, read_links
from bundler.stores.store import DEFAULT_NAME, Held, Store

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator
    from pathlib import Path

    from bundler.stores.blobs import Reader


class BundleStore(Store):
    """The bundle at *path*. It has one image: every name that is not a digest leads to it."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._carrier = open_carrier(str(path))
        if self._carrier.kind == "tree":
            self._carrier.close()
            hint = "push the .pyz or the packed directory that it was unpacked from"
            raise UsageError(self.where, "is an unpacked tree, and has no blobs", hint=hint)

    def close(self) -> None:
        self._carrier.close()

    def has(self, blobs: Collection[Blob]) -> set[str]:
        found = set()
        for blob in blobs:
            try:
                if self._carrier.blob(blob.digest).size == blob.size:
                    found.add(blob.digest)
            except ContentError:
                continue
        return found

    def read(self, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        member = self._carrier.blob(blob.digest)
        for start in range(offset, member.size, CHUNK):
            yield member.read(start, min(CHUNK, member.size - start))

    def find(self, name: str) -> Blob | None:
        images = [blob for blob in self._entries() if self._subject(blob) is None]
        if is_digest(name):
            return next((blob for blob in images if blob.digest == name), None)
        return images[0] if len(images) == 1 else None

    def names(self) -> list[str]:
        return [] if self.find(DEFAULT_NAME) is None else [DEFAULT_NAME]

    def referrers(self, digest: str) -> list[Blob]:
        return [blob for blob in self._entries() if self._subject(blob) == digest]

    def _subject(self, blob: Blob) -> str | None:
        if blob.artifact_type is None:
            return None
        return read_links(self.document(blob), f"{self.where}: {blob.digest}").subject

    def _entries(self) -> list[Blob]:
        where = f"{self.where}: index.json"
        member = self._carrier.member("index.json")
        fields = Fields(parse_json(member.read(0, min(member.size, MAX_DOCUMENT + 1)), where), where)
        return [Blob.from_fields(item) for item in fields.items("manifests")]

    def held(self) -> Iterator[Held]:
        self._refuse()

    def write(self, blob: Blob, read: Reader) -> NoReturn:
        self._refuse()

    def set_name(self, name: str, manifest: Blob, data: bytes) -> NoReturn:
        self._refuse()

    def remove_name(self, name: str) -> NoReturn:
        self._refuse()

    def add_referrer(self, digest: str, referrer: Blob) -> NoReturn:
        self._refuse()

    def remove(self, digest: str, *, before: float) -> NoReturn:
        self._refuse()

    def remove_referrers(self, digest: str) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(self.where, "is a bundle, not a store that can be written to", hint="name another directory")
