"""Members → a zip of stored members, the same bytes everywhere.

Python's ``zipfile`` writes zip64 records from 2 GiB on, which zipimport of CPython 3.7 cannot read; plain records
reach to 4 GiB. A member is streamed; its CRC must be known before.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = (1 << 32) - 1
_DATE = 0x21  # 1980-01-01, the first day that a zip knows
_VERSION = 20
_UNIX = 3 << 8
_MODE = 0o100644 << 16


class ZipWriter:
    """Writes a zip to *out*: ``add`` each member, then ``finish``."""

    def __init__(self, out: BinaryIO) -> None:
        """Write to *out*, from where it stands."""
        self._out = out
        self._offset = 0
        self._directory = bytearray()
        self._count = 0

    def add(self, name: str, size: int, crc: int, chunks: Iterable[bytes]) -> None:
        """Add the member *name*, of *size* bytes with the CRC-32 *crc*."""
        raw = name.encode("ascii")
        common = struct.pack("<5H3L2H", _VERSION, 0, 0, 0, _DATE, crc, size, size, len(raw), 0)
        self._out.write(b"PK\3\4" + common + raw)
        for chunk in chunks:
            self._out.write(chunk)
        self._directory += b"PK\1\2" + struct.pack("<H", _VERSION | _UNIX) + common
        self._directory += struct.pack("<3H2L", 0, 0, 0, _MODE, self._offset) + raw
        self._offset += 30 + len(raw) + size
        self._count += 1

    def finish(self) -> None:
        """Write the directory."""
        size = len(self._directory)
        self._out.write(self._directory)
        self._out.write(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, self._count, self._count, size, self._offset, 0))


def zip_size(members: Iterable[tuple[str, int]]) -> int:
    """Return how many bytes a zip of *members* (name, size) has."""
    return 22 + sum(30 + 46 + 2 * len(name) + size for name, size in members)
