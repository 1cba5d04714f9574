"""Lock: pins for one target, read from and written to PEP 751 ``pylock.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.runtime.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One wheel with its hash. Exactly one of *url* and *path* is set."""

    name: NormalizedName
    version: Version
    filename: str
    sha256: str
    size: int | None = None
    url: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All pins for a target, sorted by name."""

    target: Target
    pins: tuple[Pin, ...]
