"""The headers of a zip file → its entries, and where the bytes of each lie; every byte is accounted for.

* A3: members lie one behind the other from the first byte to the directory, the end record is at the end; no comment,
  gap, overlap, second disk or encryption; zip64 where a size asks for it, without extensions.
* A4: a local header says what the directory says; a data descriptor agrees and follows on; nothing gives a member a
  second name.
* A6: stored or deflated, not too many, and not beyond all proportion.

Both directions of "agree" matter: a reader that trusts the local headers and one that trusts the directory must
see the same files.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from bundler.runtime.errors import BundleError, ContentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_MEMBERS = 200_000
MAX_DIRECTORY = 256 << 20
MAX_SIZE = 16 << 30
BOMB_SIZE = 64 << 20
BOMB_RATIO = 50
STORED, DEFLATED = 0, 8
UTF8_FLAG = 0x800

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_EXTRA = struct.Struct("<2H")
_DESCRIPTOR_FLAG = 0x8
_LEVEL_FLAGS = 0x6  # how hard deflate tried
_ENCRYPTION_FLAGS = 0x1 | 0x40 | 0x2000
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_USUAL_EXTRA = 64
_NEWEST = 63  # 6.3, in tenths; readers refuse what needs more


class Source:
    """A file that is read at offsets, by several threads at once."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Open the file at *path*, which errors call *name*."""
        self.name = name or path.name
        try:
            self._file = path.open("rb", buffering=0)
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise BundleError(path, f"cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on, fewer only at the end of the file."""
        try:
            return os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            raise BundleError(self.name, f"cannot be read: {error.strerror}") from error

    def fault(self, what: str, rule: str, name: str | None = None) -> ContentError:
        """Return the error for the whole file, or for its member *name*."""
        where = f"{self.name}: {name}" if name else self.name
        return ContentError(where, what, rule=rule, hint="the wheel is damaged or hostile; do not use it")


class Entry(NamedTuple):
    """A member as the directory describes it: sizes in bytes, *offset* of its local header."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    mode: int
    offset: int

    @property
    def label(self) -> str:
        """The name, fit for a message."""
        return ascii(self.raw_name.decode("utf-8", "replace"))[1:-1]


def read_entries(source: Source) -> list[tuple[Entry, int]]:
    """Return the members of *source* in the order of their bytes, each with the offset of its compressed bytes."""
    try:
        entries, directory = _read_directory(source)
        located = []
        position = 0
        for entry in sorted(entries, key=lambda entry: entry.offset):
            if entry.offset != position:
                raise source.fault("does not start where the member before it ends", "A3", entry.label)
            start, position = _locate(source, entry)
            located.append((entry, start))
    except struct.error:
        raise source.fault("ends in the middle of a header", "A3") from None
    if position != directory:
        raise source.fault("has bytes between its members and its directory", "A3")
    return located


def _read_end(source: Source) -> tuple[int, int, int]:
    """Return number of members, size and start of the directory."""
    at = source.size - _END.size
    end = source.read(at, _END.size) if at >= 0 else b""
    # A signature inside the record would be another end record for a reader that searches backwards.
    if end.rfind(b"PK\5\6") != 0:
        raise source.fault("is not a zip that ends with its one end record", "A3")
    _, disk, first_disk, here, count, size, start, comment = _END.unpack(end)
    locator_at = at - _LOCATOR.size
    locator = source.read(locator_at, _LOCATOR.size) if locator_at >= 0 else b""
    if locator.startswith(b"PK\6\7"):
        _, other_disk, end_64_at, disks = _LOCATOR.unpack(locator)
        at = locator_at - _END_64.size
        end_64 = source.read(at, _END_64.size) if at >= 0 else b""
        if end_64_at != at or other_disk or disks != 1 or not end_64.startswith(b"PK\6\6"):
            raise source.fault("has a zip64 end record with extensions or on another disk", "A3")
        _, length, _, _, disk_64, first_64, here_64, count_64, size_64, start_64 = _END_64.unpack(end_64)
        short, long = (here, count, size, start), (here_64, count_64, size_64, start_64)
        full = (_FULL_16, _FULL_16, _FULL_32, _FULL_32)
        agree = all(a in (b, most) for a, b, most in zip(short, long, full, strict=True))
        if length != _END_64.size - 12 or disk_64 or first_64 or disk or first_disk or not agree:
            raise source.fault("has two end records that disagree", "A3")
        here, count, size, start = long
    if comment:
        raise source.fault("has a comment", "A3")
    if disk or first_disk or here != count:
        raise source.fault("is spread over several disks", "A3")
    if start + size != at:
        raise source.fault("has a directory that is not where its end record says", "A3")
    return count, size, start


def _read_directory(source: Source) -> tuple[list[Entry], int]:
    """Return the entries and the start of the directory."""
    count, size, start = _read_end(source)
    if count > MAX_MEMBERS or size > MAX_DIRECTORY:
        raise source.fault(f"has more than {MAX_MEMBERS} members, or {MAX_DIRECTORY} bytes of names", "A6")
    directory = source.read(start, size)
    entries = []
    at = 0
    for _ in range(count):
        entry, at = _parse_central(source, directory, at)
        entries.append(entry)
    total = sum(entry.size for entry in entries)
    if any(entry.compressed > source.size for entry in entries):
        raise source.fault("has a member that is larger than the file", "A3")
    if total > MAX_SIZE or (total > BOMB_SIZE and total > BOMB_RATIO * source.size):
        raise source.fault(f"unpacks to {total} bytes from {source.size}", "A6")
    if at != size:
        raise source.fault("has a directory with something behind its last entry", "A3")
    return entries, start


def _parse_central(source: Source, directory: bytes, at: int) -> tuple[Entry, int]:
    """Return the entry at *at* of the directory, and where the next one starts."""
    fields = _CENTRAL.unpack_from(directory, at)
    signature, _, needed, flags, method, _, _, crc, packed, plain, n, extra, remark, disk, _, external, offset = fields
    at += _CENTRAL.size
    raw_name = directory[at : at + n]
    extras = directory[at + n : at + n + extra]
    at += n + extra
    entry = Entry(raw_name, flags, method, crc, packed, plain, external >> 16, offset)
    if signature != b"PK\1\2" or at > len(directory):
        raise source.fault("has a broken directory", "A3", entry.label)
    if remark or disk:
        raise source.fault("has a comment, or is on another disk", "A3", entry.label)
    if extras or _FULL_32 in (packed, plain, offset):
        plain, packed, offset = _apply_zip64(source, entry, extras, (plain, packed, offset))
        entry = entry._replace(size=plain, compressed=packed, offset=offset)
    if flags & _ENCRYPTION_FLAGS:
        raise source.fault("is encrypted", "A3", entry.label)
    if flags & ~(_DESCRIPTOR_FLAG | UTF8_FLAG | _LEVEL_FLAGS):
        raise source.fault(f"has flags that are not understood: {flags:#x}", "A3", entry.label)
    if needed & 0xFF > _NEWEST:
        raise source.fault(f"needs a newer version of the format: {needed & 0xFF}", "A3", entry.label)
    if method not in (STORED, DEFLATED):
        raise source.fault(f"is neither stored nor deflated, but compressed by method {method}", "A6", entry.label)
    if method == STORED and packed != plain:
        raise source.fault("is stored with two different sizes", "A6", entry.label)
    if plain > BOMB_SIZE and plain > BOMB_RATIO * packed:
        raise source.fault(f"unpacks to {plain} bytes from {packed}", "A6", entry.label)
    return entry, at


def _extras_of(source: Source, entry: Entry, extras: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(extras):
        kind, length = _EXTRA.unpack_from(extras, at)
        at += _EXTRA.size + length
        if at > len(extras):
            raise source.fault("has an extra field that is cut off", "A3", entry.label)
        if kind == _UNICODE_PATH:
            raise source.fault("has a second name in an extra field", "A4", entry.label)
        yield kind, extras[at - length : at]


def _zip64_of(source: Source, entry: Entry, extras: bytes) -> bytes | None:
    found = [data for kind, data in _extras_of(source, entry, extras) if kind == _ZIP64]
    if len(found) > 1:
        raise source.fault("has two zip64 fields", "A3", entry.label)
    return found[0] if found else None


def _apply_zip64(source: Source, entry: Entry, extras: bytes, values: tuple[int, ...]) -> tuple[int, ...]:
    """Replace the central *values* that are 0xffffffff by the numbers in the zip64 field, which must have no others."""
    field = _zip64_of(source, entry, extras)
    full = values.count(_FULL_32)
    if len(field or b"") != 8 * full or (field is not None and not full):
        raise source.fault("has a zip64 field that does not fit its sizes", "A3", entry.label)
    wide = iter(struct.unpack(f"<{full}Q", field or b""))
    return tuple(next(wide) if value == _FULL_32 else value for value in values)


def _locate(source: Source, entry: Entry) -> tuple[int, int]:
    """Compare the local header with *entry*; return where its compressed bytes start and where the member ends."""
    wanted = _LOCAL.size + len(entry.raw_name)
    header = source.read(entry.offset, wanted + _USUAL_EXTRA)
    signature, _, flags, method, _, _, crc, packed, plain, n, extra = _LOCAL.unpack_from(header)
    if signature != b"PK\3\4" or header[_LOCAL.size : _LOCAL.size + n] != entry.raw_name:
        raise source.fault("has another name in its local header", "A4", entry.label)
    if (flags, method) != (entry.flags, entry.method):
        raise source.fault("has another method or other flags in its local header", "A4", entry.label)
    start = entry.offset + wanted + extra
    declared = [(plain, packed)]
    if extra or _FULL_32 in (packed, plain):
        extras = source.read(entry.offset + wanted, extra)
        declared = _local_sizes(source, entry, extras, plain, packed)
    described = bool(flags & _DESCRIPTOR_FLAG)
    sizes_agree = all(pair == (entry.size, entry.compressed) or (described and pair == (0, 0)) for pair in declared)
    if not sizes_agree or not (crc == entry.crc or (described and crc == 0)):
        raise source.fault("has other sizes or another CRC in its local header", "A4", entry.label)
    end = start + entry.compressed
    return start, end + _descriptor_size(source, entry, end) if described else end


def _local_sizes(source: Source, entry: Entry, extras: bytes, plain: int, packed: int) -> list[tuple[int, int]]:
    """Return every pair of sizes that a reader may find in the local header."""
    field = _zip64_of(source, entry, extras)
    is_full = [value == _FULL_32 for value in (plain, packed)]
    if field is None and not any(is_full):
        return [(plain, packed)]
    if field is None or len(field) != 16:  # noqa: PLR2004 - two sizes, "both" says the specification
        raise source.fault("has a zip64 field that does not fit its sizes", "A4", entry.label)
    wide = struct.unpack("<2Q", field)
    short = (wide[0] if is_full[0] else plain, wide[1] if is_full[1] else packed)
    return [wide, short]


def _descriptor_size(source: Source, entry: Entry, at: int) -> int:
    """Return the size of the data descriptor at *at*; its mark is optional, its sizes have 4 or 8 bytes."""
    found = source.read(at, 24)
    for sizes in ("<L2Q", "<3L"):
        if sizes == "<3L" and max(entry.compressed, entry.size) > _FULL_32:
            continue
        wanted = struct.pack(sizes, entry.crc, entry.compressed, entry.size)
        for descriptor in (b"PK\7\x08" + wanted, wanted):
            if found.startswith(descriptor):
                return len(descriptor)
    raise source.fault("has a data descriptor that disagrees", "A4", entry.label)
