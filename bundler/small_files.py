"""Small files: read and written whole, with errors that name them."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from bundler.runtime.errors import BundleError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path) -> str:
    """Return the text of the UTF-8 file *path*."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BundleError(
            path, "is not UTF-8 text", got=f"byte {error.object[error.start]:#04x} at {error.start}"
        ) from None


def read_bytes(path: Path, limit: int = 64 << 10, *, error: type[BundleError] = UsageError) -> bytes:
    """Return the bytes of *path*; raise *error* if it cannot be read, or has more than *limit*."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as reason:
        raise error(path, f"cannot be read: {reason.strerror}") from reason
    if len(data) > limit:
        raise error(path, "is too large", want=f"at most {limit} bytes")
    return data


def write_text(path: Path, text: str) -> None:
    """Write *text* to *path* atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write *data* to *path* atomically."""
    temporary = path.with_name(f".{path.name}.partial-{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise BundleError(path, f"cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
