"""A tar as a store: an OCI image layout in one file, as ``skopeo copy … oci-archive:FILE.tar`` writes and reads it.

* It is written once: blob after blob under a private name, and published by the first ``set_name``.
* It is read by offset. Only regular files count; a name that occurs twice is refused.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tarfile
import threading
from typing import TYPE_CHECKING, BinaryIO

from bundler.archives.tar_writer import END, padding, tar_header
from bundler.runtime.carriers import LAYOUT, Member
from bundler.runtime.documents import INDEX_TYPE, MANIFEST_TYPE, MAX_DOCUMENT, Fields, parse_json, to_json
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.stores.blobs import CHUNK, Blob, is_digest, read_links, verified_chunks
from bundler.stores.oci_layouts import REF_NAME
from bundler.stores.store import DEFAULT_NAME, Held, Store

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator
    from pathlib import Path

    from bundler.stores.blobs import Reader

_PREFIX = "blobs/sha256/"


class ArchiveStore(Store):
    """The archive at *path*: to be read if it is there, else to be written."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.where = str(path)
        self._lock = threading.Lock()
        self._members: dict[str, tuple[int, int]] = {}
        self._entries: list[Blob] = []
        self._temporary = self.path.with_name(f".{path.name}.partial-{secrets.token_hex(8)}")
        self._writing: BinaryIO | None = None
        self._fd = -1
        if self.path.exists():
            self._open()

    def close(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None
        with contextlib.suppress(FileNotFoundError):
            self._temporary.unlink()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        """Read the directory of an archive that is there."""
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            with self.path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
                for info in tar:
                    name = info.name.removeprefix("./")
                    if info.isfile() and name in self._members:
                        raise ContentError(f"{self.where}: {name}", "occurs twice", rule="A5")
                    if info.isfile():
                        self._members[name] = (info.offset_data, info.size)
        except (tarfile.TarError, EOFError):
            self.close()
            raise ContentError(self.where, "is no OCI archive", want="an uncompressed tar") from None
        except OSError as error:
            raise BundleError(self.where, f"cannot be read: {error.strerror}") from error
        where = f"{self.where}: index.json"
        member = self._member("index.json")
        data = member.read(0, min(member.size, MAX_DOCUMENT + 1))
        self._entries = [Blob.from_fields(item) for item in Fields(parse_json(data, where), where).items("manifests")]

    def _member(self, name: str) -> Member:
        if name not in self._members:
            raise ContentError(f"{self.where}: {name}", "is missing", rule="C19")
        return Member(f"{self.where}: {name}", self._fd, *self._members[name])

    # Blobs

    def has(self, blobs: Collection[Blob]) -> set[str]:
        sizes = {name: size for name, (_, size) in self._members.items()}
        return {blob.digest for blob in blobs if sizes.get(_PREFIX + blob.hex) == blob.size}

    def read(self, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        member = self._member(_PREFIX + blob.hex)
        for start in range(offset, member.size, CHUNK):
            yield member.read(start, min(CHUNK, member.size - start))

    def write(self, blob: Blob, read: Reader) -> None:
        with self._lock:
            if _PREFIX + blob.hex not in self._members:
                self._add(_PREFIX + blob.hex, blob.size, verified_chunks(blob, read(0), self.where))

    def _add(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        """Append a member; a failure leaves none of it behind."""
        file = self._begin()
        start = file.tell()
        try:
            header = tar_header(name, size)
            file.write(header)
            for chunk in chunks:
                file.write(chunk)
            file.write(padding(size))
            file.flush()
        except BaseException as error:
            with contextlib.suppress(OSError):
                file.seek(start)
                file.truncate()
            if isinstance(error, OSError):
                raise BundleError(self.where, f"cannot be written: {error.strerror}") from error
            raise
        self._members[name] = (start + len(header), size)

    def _begin(self) -> BinaryIO:
        if self._writing is None:
            if self._fd >= 0:
                raise UsageError(self.where, "exists already", hint="an archive is written once: choose another name")
            try:
                self._writing = self._temporary.open("x+b")
            except OSError as error:
                raise BundleError(self.where, f"cannot be written: {error.strerror}") from error
            self._fd = os.dup(self._writing.fileno())
            self._writing.write(tar_header("oci-layout", len(LAYOUT)) + LAYOUT + padding(len(LAYOUT)))
        return self._writing

    # Names

    def find(self, name: str) -> Blob | None:
        if is_digest(name):
            _, size = self._members.get(_PREFIX + name.removeprefix("sha256:"), (0, None))
            return None if size is None else Blob(digest=name, size=size, media_type=MANIFEST_TYPE)
        found = [blob for blob in self._entries if blob.annotations.get(REF_NAME) == name]
        images = [blob for blob in self._entries if self._subject(blob) is None]
        if not found and name == DEFAULT_NAME and len(images) == 1:
            return images[0]  # skopeo names none by default
        return found[0] if found else None

    def set_name(self, name: str, manifest: Blob, data: bytes) -> None:
        annotations = {} if is_digest(name) else {REF_NAME: name}
        named = Blob(
            digest=manifest.digest, size=manifest.size, media_type=manifest.media_type, annotations=annotations
        )
        with self._lock:
            if self._writing is None:
                self._begin()
            entries = [named, *self._entries]
            index = to_json(
                {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [blob.to_json() for blob in entries]}
            )
            self._add("index.json", len(index), iter([index]))
            file, self._writing = self._begin(), None
            try:
                with file:
                    file.write(END)
                os.link(self._temporary, self.path)  # unlike a rename it replaces nothing
            except OSError as error:
                raise BundleError(self.where, f"cannot be written: {error.strerror}") from error
            self._entries = entries

    def names(self) -> list[str]:
        images = [blob for blob in self._entries if self._subject(blob) is None]
        return [blob.annotations.get(REF_NAME, blob.digest) for blob in images]

    def remove_name(self, name: str) -> bool:
        raise self._final()

    # Referrers

    def referrers(self, digest: str) -> list[Blob]:
        return [blob for blob in self._entries if self._subject(blob) == digest]

    def add_referrer(self, digest: str, referrer: Blob) -> None:
        with self._lock:
            self._begin()
            self._entries.append(referrer)

    def _subject(self, blob: Blob) -> str | None:
        if blob.artifact_type is None:
            return None
        return read_links(self.document(blob), f"{self.where}: {blob.digest}").subject

    # Removing

    def held(self) -> Iterator[Held]:
        modified = self.path.stat().st_mtime
        for name, (_, size) in self._members.items():
            if name.startswith(_PREFIX):
                yield Held(digest="sha256:" + name.removeprefix(_PREFIX), size=size, modified=modified)

    def remove(self, digest: str, *, before: float) -> bool:
        raise self._final()

    def remove_referrers(self, digest: str) -> None:
        raise self._final()

    def _final(self) -> UsageError:
        return UsageError(self.where, "is an archive: nothing can be removed from it", hint="write another one")
