"""What a long operation tells about its progress: a concrete class with empty methods.

Subclass it and override what you want to hear. Methods may be called from several threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.locks import Lock
    from bundler.pins import Pin


class Reporter:
    """Hears everything and says nothing."""

    def resolving(self, requirements: int) -> None:
        """Hear that *requirements* requirements and files are about to be resolved."""

    def resolved(self, lock: Lock) -> None:
        """Hear that resolution has given *lock*."""

    def building(self, what: str) -> None:
        """Hear that a wheel of *what*, a name and version or a place, is about to be built."""

    def fetching(self, pins: int, size: int) -> None:
        """Hear that *pins* wheels are about to be fetched, of *size* bytes in all, as far as known."""

    def received(self, pin: Pin, size: int) -> None:
        """Hear that *size* more bytes of *pin* have arrived; negative when a download starts again."""

    def fetched(self, pin: Pin, *, cached: bool) -> None:
        """Hear that *pin* is complete and verified."""

    def packing(self, layers: int, size: int) -> None:
        """Hear that *layers* layers are about to be made, from *size* bytes of wheels."""

    def packed(self, layer: str, size: int, *, cached: bool) -> None:
        """Hear that the layer named *layer*, made from *size* bytes of wheels, is complete."""

    def copying(self, blobs: int, size: int, *, present: int) -> None:
        """Hear that *blobs* blobs are about to be copied, of *size* bytes, *present* of which are there already."""

    def copied(self, digest: str, size: int) -> None:
        """Hear that *size* more bytes of the blob *digest* have travelled."""

    def silent(self) -> Reporter:
        """Return a reporter for what is no package of the user's: of it only warnings are heard."""
        return _OnlyWarnings(self)

    def hint(self, text: str) -> None:
        """Hear what the user could have otherwise, and what for."""

    def note(self, text: str) -> None:
        """Hear what was decided for the user, who may want it otherwise."""

    def warning(self, text: str) -> None:
        """Hear that something is odd, but not wrong enough to stop."""


class _OnlyWarnings(Reporter):
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def warning(self, text: str) -> None:
        self._reporter.warning(text)
