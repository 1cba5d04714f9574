"""What every store can do, whatever its medium: keep blobs by digest, and names for some of them.

* A blob appears complete and verified, or not at all, and never changes.
* A name is written last, after every blob that it leads to: whoever sees the name can read all of them.
* A failure that a retry may overcome is a ``TransientError``, which ``bundler.stores.copying`` retries; all others are
  ``BundleError``s. None of them shows credentials.
* Methods may be called from several threads at once. ``tests/stores/test_conformance.py`` is the contract.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bundler.runtime.documents import parse_digest
from bundler.runtime.errors import ContentError, UsageError
from bundler.stores.blobs import Blob, check_document, is_digest, verified_chunks

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator

    from bundler.stores.blobs import Reader

# What the distribution specification allows a tag to be.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
DEFAULT_NAME = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A blob that a store holds: *size* in bytes, *modified* in seconds since the epoch."""

    digest: str
    size: int
    modified: float


class Store(ABC):
    """Blobs and names. *where* is its address as it may be shown."""

    where: str

    # Blobs

    @abstractmethod
    def has(self, blobs: Collection[Blob]) -> set[str]:
        """Return the digests of those *blobs* that are here, with the size they should have."""

    @abstractmethod
    def read(self, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        """Yield the bytes of *blob* from *offset* on, unchecked. Raise ``ContentError`` if it is not here."""

    @abstractmethod
    def write(self, blob: Blob, read: Reader) -> None:
        """Keep *blob*, whose bytes *read* gives; raise ``ContentError``, and keep nothing, if they are not its own."""

    def adopt(self, blob: Blob, source: Store) -> bool:
        """Take *blob* over from *source* without transferring its bytes, if possible; tell whether it was."""
        return False

    # Names

    @abstractmethod
    def find(self, name: str) -> Blob | None:
        """Return the manifest that *name*, a name or a digest, leads to; None if there is none."""

    @abstractmethod
    def set_name(self, name: str, manifest: Blob, data: bytes) -> None:
        """Let *name* lead to *manifest*, whose bytes are *data*; every blob that it names is here already."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return every name, and every digest that is kept without one."""

    @abstractmethod
    def remove_name(self, name: str) -> bool:
        """Remove *name*; tell whether it was there."""

    # Referrers: manifests whose ``subject`` is another one, such as signatures

    @abstractmethod
    def referrers(self, digest: str) -> list[Blob]:
        """Return the manifests whose subject is said to be *digest*."""

    @abstractmethod
    def add_referrer(self, digest: str, referrer: Blob) -> None:
        """Note that *referrer*, which is here already, has the subject *digest*."""

    # Removing

    @abstractmethod
    def held(self) -> Iterator[Held]:
        """Yield every blob that is here."""

    @abstractmethod
    def remove(self, digest: str, *, before: float) -> bool:
        """Remove a blob if it was not touched since *before*; tell whether it was removed."""

    @abstractmethod
    def remove_referrers(self, digest: str) -> None:
        """Forget the referrers of *digest*, which is to be removed."""

    def remove_parts(self, *, before: float) -> None:  # noqa: B027 - few media have any
        """Remove partial blobs that nobody has written to since *before*."""

    # Ending

    def end(self) -> None:  # noqa: B027 - few media need it
        """Cancel the operations of other threads on this store."""

    def close(self) -> None:  # noqa: B027 - few media need it
        """Close connections and files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The same for all

    def document(self, blob: Blob) -> bytes:
        """Return the bytes of the manifest or config *blob*, checked."""
        check_document(blob, self.where)
        return b"".join(verified_chunks(blob, self.read(blob), self.where))

    def missing(self, digest: str) -> ContentError:
        """Return the error for a blob that is not here."""
        hint = "it was removed, or the push was not finished: push the bundle again"
        return ContentError(f"{self.where}: {digest}", "is missing", hint=hint, rule="C19")


def check_name(name: str, where: str) -> str:
    """Return *name* if it is a name or a digest."""
    if is_digest(name) or _NAME.fullmatch(name):
        return name
    if name.startswith("sha256:"):
        try:
            parse_digest(name, where)
        except ContentError as error:
            raise UsageError(where, error.what, got=name, want=error.want) from None
    raise UsageError(where, "is not a name", got=name, want="letters, digits, '.', '_' and '-', at most 128")
