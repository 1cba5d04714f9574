"""What a long operation tells about its progress: a concrete class with empty methods.

Subclass it and override what you want to hear. Methods may be called from several threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.locks import Lock, Pin


class Reporter:
    """Hears everything and says nothing."""

    def resolving(self, requirements: int) -> None:
        """Resolution of *requirements* starts."""

    def resolved(self, lock: Lock) -> None:
        """Resolution has given *lock*."""

    def fetching(self, pins: int, size: int) -> None:
        """Downloading starts: so many wheels, so many bytes in all where known."""

    def received(self, pin: Pin, size: int) -> None:
        """*size* more bytes of *pin* have arrived; negative when a download starts again."""

    def fetched(self, pin: Pin, *, cached: bool) -> None:
        """*pin* is complete and verified."""

    def packing(self, layers: int, size: int) -> None:
        """Packing starts: so many layers, made from so many bytes of wheels."""

    def packed(self, layer: str, size: int, *, cached: bool) -> None:
        """The layer named *layer*, made from *size* bytes of wheels, is complete."""

    def warning(self, text: str) -> None:
        """Something is odd, but not wrong enough to stop."""
