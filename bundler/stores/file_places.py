"""Places that keep plain files by name: a directory, or a prefix in an object store. Registries keep none.

* ``open_files`` takes the URL of a file; it returns the place that keeps the file, and the name of the file there.
* A file appears complete or not at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from bundler.archives.portable_paths import fault_of_name
from bundler.fetching.index_options import redacted
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.stores.blobs import CHUNK
from bundler.stores.extras import require_obstore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OBJECTS = ("az", "s3", "gs", "https")


class Files(Protocol):
    """Files by name; a name may have directories. *where* is the address as it may be shown."""

    where: str

    def size(self, name: str) -> int | None:
        """Return the bytes of the file *name*, or None if it is not there."""

    def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes of the file *name* from *offset* on; raise ``ContentError`` if it is not there."""

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        """Write *chunks* to the file *name*, which appears when all of them have arrived."""


class DirectoryFiles:
    """Files below *root*."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)

    def size(self, name: str) -> int | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return (self.root / name).stat().st_size
        return None

    def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
        try:
            with (self.root / name).open("rb") as file:
                file.seek(offset)
                while chunk := file.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise ContentError(self.root / name, "is missing", rule="C19") from None
        except OSError as error:
            raise BundleError(self.root / name, f"cannot be read: {error.strerror}") from error

    def write(self, name: str, chunks: Iterator[bytes]) -> None:
        path = self.root / name
        temporary = path.with_name(f".{path.name}.partial-{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise BundleError(path, f"cannot be written: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def open_files(url: str, environ: Mapping[str, str]) -> tuple[Files, str]:
    """Return the place that keeps the file at *url*, which may be a path, and the name of the file there."""
    base, question, query = url.partition("?")
    scheme = urlsplit(base).scheme if "://" in base else ""
    if scheme == "file":
        if urlsplit(base).netloc not in ("", "localhost"):
            raise UsageError("URL", "names another host", got=redacted(url), want="file:///dir/name")
        base, scheme = unquote(urlsplit(base).path), ""
    elif scheme and scheme not in _OBJECTS:
        hint = "leave --as-file out: a registry keeps the bundle blob by blob" if scheme.startswith("oci") else None
        want = "a path, file:///dir/name, az://, s3:// or gs://"
        raise UsageError("URL", "names no place that keeps plain files", got=redacted(url), want=want, hint=hint)
    parent, _, name = base.rpartition("/")
    if fault_of_name(name) or parent.endswith(":/"):
        want = "the URL of the file itself, such as s3://bucket/prefix/deps.pyz"
        raise UsageError("URL", "names no file", got=redacted(url), want=want)
    if not scheme:
        return DirectoryFiles(Path(base).parent), name
    require_obstore(redacted(url))
    from bundler.stores.object_files import open_object_files  # noqa: PLC0415 - media are imported when they are used

    return open_object_files(parent + question + query, environ), name
