"""A directory as a store: an OCI image layout, which skopeo, podman and others read and write as well.

    oci-layout
    index.json             names, as ``org.opencontainers.image.ref.name`` of its entries; referrers without a name
    blobs/sha256/…
    .partial/              what is being received

* ``index.json`` changes by one rename, under a lock. Entries that are not ours are kept as they are.
* ``has`` touches the blobs that it finds, so that ``gc`` sees that somebody relies on them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.caching.file_locks import locked
from bundler.runtime.carriers import LAYOUT
from bundler.runtime.documents import INDEX_TYPE, MANIFEST_TYPE, MAX_DOCUMENT, Fields, parse_json, to_json
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.small_files import write_bytes
from bundler.stores.blobs import CHUNK, Blob, is_digest, read_links
from bundler.stores.partial_blobs import receive
from bundler.stores.store import DEFAULT_NAME, Held, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator

    from bundler.stores.blobs import Reader

REF_NAME = "org.opencontainers.image.ref.name"
_MAX_INDEX = 16 * MAX_DOCUMENT
_BLOBS = Path("blobs", "sha256")


class LayoutStore(Store):
    """The OCI image layout in the directory *root*, which is made when something is written to it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.where = str(root)
        self._subjects: dict[str, str | None] = {}

    # Blobs

    def has(self, blobs: Collection[Blob]) -> set[str]:
        found = set()
        for blob in blobs:
            path = self.path(blob.digest)
            with contextlib.suppress(FileNotFoundError):
                # Touch first: a concurrent gc then puts the blob back, if it has just moved it aside.
                with contextlib.suppress(PermissionError):
                    os.utime(path)
                if path.stat().st_size == blob.size:
                    found.add(blob.digest)
        return found

    def read(self, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        try:
            with self.path(blob.digest).open("rb") as file:
                file.seek(offset)
                while chunk := file.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise self.missing(blob.digest) from None
        except OSError as error:
            raise BundleError(self.path(blob.digest), f"cannot be read: {error.strerror}") from error

    def write(self, blob: Blob, read: Reader) -> None:
        self._make()
        final = self.path(blob.digest)
        with contextlib.suppress(FileNotFoundError):  # a collection may be removing it
            if final.stat().st_size != blob.size:
                final.unlink()  # damaged: no reader can use it
        receive(blob, self.root / ".partial" / blob.hex, final, read)

    def path(self, digest: str) -> Path:
        """Return where the blob *digest* is or will be."""
        return self.root / _BLOBS / digest.removeprefix("sha256:")

    def _make(self) -> None:
        if (self.root / "__main__.py").exists():
            raise UsageError(
                self.where, "is a bundle, not a store that can be written to", hint="name another directory"
            )
        layout = self.root / "oci-layout"
        if layout.exists():
            return
        # Another process may be making it just now.
        ours = ("blobs", "oci-layout", "index.json")
        if self.root.is_dir() and any(path.name[0] != "." and path.name not in ours for path in self.root.iterdir()):
            hint = "name a new or an empty directory"
            raise UsageError(self.where, "is not a store", got="a directory with other files", hint=hint)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BundleError(self.where, f"cannot be made: {error.strerror}") from error
        write_bytes(layout, LAYOUT)

    # Names

    def find(self, name: str) -> Blob | None:
        if is_digest(name):
            try:
                size = self.path(name).stat().st_size
            except FileNotFoundError:
                return None
            return Blob(digest=name, size=size, media_type=MANIFEST_TYPE)
        entries = self._entries()
        named = [blob for blob in entries if blob.annotations.get(REF_NAME) == name]
        images = [blob for blob in entries if self._subject(blob) is None]
        if not named and name == DEFAULT_NAME and len(images) == 1 and REF_NAME not in images[0].annotations:
            return images[0]
        return named[0] if named else None

    def set_name(self, name: str, manifest: Blob, data: bytes) -> None:
        annotations = {} if is_digest(name) else {REF_NAME: name}
        entry = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size}
        if annotations:
            entry["annotations"] = annotations

        def change(entries: list[Any]) -> list[Any]:
            if not annotations and any(entry["digest"] == manifest.digest for entry in entries):
                return entries
            return [other for other in entries if not annotations or _name_of(other) != name] + [entry]

        self._change(change)

    def names(self) -> list[str]:
        images = [blob for blob in self._entries() if self._subject(blob) is None]
        return [blob.annotations.get(REF_NAME, blob.digest) for blob in images]

    def remove_name(self, name: str) -> bool:
        found: list[str | None] = []

        def change(entries: list[Any]) -> list[Any]:
            keys = [entry["digest"] if is_digest(name) else _name_of(entry) for entry in entries]
            found.extend(key for key in keys if key == name)
            return [entry for entry, key in zip(entries, keys, strict=True) if key != name]

        self._change(change)
        return bool(found)

    # Referrers

    def referrers(self, digest: str) -> list[Blob]:
        return [blob for blob in self._entries() if self._subject(blob) == digest]

    def add_referrer(self, digest: str, referrer: Blob) -> None:
        self._subjects[referrer.digest] = digest

        def change(entries: list[Any]) -> list[Any]:
            known = any(entry["digest"] == referrer.digest for entry in entries)
            return entries if known else [*entries, referrer.to_json()]

        self._change(change)

    def _subject(self, blob: Blob) -> str | None:
        """Return the subject of the manifest *blob*; an image has none."""
        if blob.artifact_type is None:
            return None
        if blob.digest not in self._subjects:
            try:
                self._subjects[blob.digest] = read_links(self.document(blob), f"{self.where}: {blob.digest}").subject
            except ContentError:
                return ""  # unreadable: a referrer of an unknown subject
        return self._subjects[blob.digest]

    # Removing

    def held(self) -> Iterator[Held]:
        for path in sorted((self.root / _BLOBS).glob("[0-9a-f]" * 64)):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield Held(digest=f"sha256:{path.name}", size=status.st_size, modified=status.st_mtime)

    def remove(self, digest: str, *, before: float) -> bool:
        path = self.path(digest)
        aside = self.root / ".partial" / f"{path.name}.removed-{secrets.token_hex(8)}"
        try:
            if path.stat().st_mtime >= before:
                return False
            # Somebody may touch the blob after this check: move it aside, and check again.
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
            if aside.stat().st_mtime >= before:
                aside.rename(path)
                return False
            aside.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise BundleError(path, f"cannot be removed: {error.strerror}") from error
        return True

    def remove_referrers(self, digest: str) -> None:
        gone = {blob.digest for blob in self.referrers(digest)}
        if gone:
            self._change(lambda entries: [entry for entry in entries if entry["digest"] not in gone])

    def remove_parts(self, *, before: float) -> None:
        for path in (self.root / ".partial").glob("*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    # index.json

    def _entries(self) -> list[Blob]:
        where = f"{self.where}: index.json"
        fields = self._read_index()
        return [Blob.from_fields(Fields(entry, where)) for entry in fields.get("manifests", list)]

    def _read_index(self) -> Fields:
        where = f"{self.where}: index.json"
        try:
            data = (self.root / "index.json").read_bytes()
        except FileNotFoundError:
            data = to_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []})
        except OSError as error:
            raise BundleError(where, f"cannot be read: {error.strerror}") from error
        fields = Fields(parse_json(data, where, limit=_MAX_INDEX), where)
        for entry in fields.items("manifests"):
            Blob.from_fields(entry)
        return fields

    def _change(self, change: Callable[[list[Any]], list[Any]]) -> None:
        """Replace the entries of ``index.json`` by what *change* makes of them."""
        self._make()
        try:
            with locked(self.root / ".lock"):
                fields = self._read_index()
                entries = change(fields.value["manifests"])
                if entries != fields.value["manifests"] or not (self.root / "index.json").exists():
                    write_bytes(self.root / "index.json", to_json({**fields.value, "manifests": entries}))
        except OSError as error:
            raise BundleError(self.where, f"cannot be written: {error.strerror}") from error


def _name_of(entry: dict[str, Any]) -> str | None:
    name = (entry.get("annotations") or {}).get(REF_NAME)
    return name if isinstance(name, str) else None
