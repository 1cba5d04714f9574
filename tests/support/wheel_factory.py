"""Wheels and zips made in memory, right by default and wrong in exactly one way on demand.

* ``make_wheel`` writes a wheel from a dict of files, with METADATA, WHEEL and a right RECORD; ``pin_of`` its pin.
* ``zip_of`` joins ``Part``s to a zip; any field of any header can be replaced.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from bundler.pins import Pin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LOCAL = ("needed", "flags", "method", "time", "date", "crc", "compressed", "size", "name_length", "extra_length")
CENTRAL = (
    "made_by",
    *LOCAL,
    "comment_length",
    "disk",
    "internal",
    "external",
    "offset",
)
END = ("disk", "first_disk", "here", "count", "directory_size", "directory_start", "comment_length")


@dataclass
class Part:
    """A member. *local* and *central* replace fields of its headers; *packed* its compressed bytes.

    *before* lies in front of the local header, *descriptor* behind the compressed bytes.
    """

    name: str | bytes
    data: bytes = b""
    method: int = 8
    mode: int = 0o100644
    flags: int = 0
    packed: bytes | None = None
    before: bytes = b""
    descriptor: bytes = b""
    local: Mapping[str, int] = field(default_factory=dict)
    central: Mapping[str, int] = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""

    def headers(self, offset: int) -> tuple[bytes, bytes]:
        """Return the bytes of the member, which starts at *offset*, and its central header."""
        name = self.name if isinstance(self.name, bytes) else self.name.encode()
        flags = self.flags | (0 if name.isascii() or isinstance(self.name, bytes) else 0x800)
        packed = self.packed
        if packed is None:
            packed = deflate(self.data) if self.method == 8 else self.data
        values = {
            "made_by": 3 << 8 | 20,
            "needed": 20,
            "flags": flags,
            "method": self.method,
            "time": 0,
            "date": 0x21,
            "crc": zlib.crc32(self.data),
            "compressed": len(packed),
            "size": len(self.data),
            "name_length": len(name),
            "comment_length": len(self.comment),
            "disk": 0,
            "internal": 0,
            "external": self.mode << 16,
            "offset": offset + len(self.before),
        }
        local_name = name if self.local_name is None else self.local_name
        local = {**values, "name_length": len(local_name), "extra_length": len(self.local_extra), **self.local}
        central = {**values, "extra_length": len(self.central_extra), **self.central}
        header = struct.pack("<4s5H3L2H", b"PK\3\4", *(local[key] for key in LOCAL))
        entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *(central[key] for key in CENTRAL))
        return (
            self.before + header + local_name + self.local_extra + packed + self.descriptor,
            entry + name + self.central_extra + self.comment,
        )


def deflate(data: bytes, level: int = 6) -> bytes:
    """Return *data* as a raw deflate stream."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def zip_of(
    parts: Sequence[Part],
    *,
    gap: bytes = b"",
    behind_entries: bytes = b"",
    zip64: Mapping[str, int] | None = None,
    after: bytes = b"",
    **end: int,
) -> bytes:
    """Join *parts*; *gap* lies before the directory, *behind_entries* at its end.

    *end* replaces fields of the end record.
    *zip64* adds a zip64 end record and replaces its fields (those of the end record, ``length``, ``at``, ``disks``).
    """
    body = directory = b""
    for part in parts:
        member, entry = part.headers(len(body))
        body += member
        directory += entry
    directory += behind_entries
    body += gap
    count = len(parts)
    values = dict(zip(END, (0, 0, count, count, len(directory), len(body), 0), strict=True))
    extension = b""
    if zip64 is not None:
        wide = {**values, "length": 44, "at": len(body) + len(directory), "disks": 1, **zip64}
        numbers = (wide[key] for key in ("disk", "first_disk", "here", "count", "directory_size", "directory_start"))
        extension = struct.pack("<4sQ2H2L4Q", b"PK\6\6", wide["length"], 45, 45, *numbers)
        extension += struct.pack("<4sLQL", b"PK\6\7", 0, wide["at"], wide["disks"])
    tail = struct.pack("<4s4H2LH", b"PK\5\6", *({**values, **end}[key] for key in END))
    return body + directory + extension + tail + after


def record_line(path: str, data: bytes) -> str:
    """Return the row that RECORD should have for *path*."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    quoted = '"' + path.replace('"', '""') + '"' if set(path) & set(',"') else path
    return f"{quoted},sha256={digest},{len(data)}"


def make_wheel(
    directory: Path,
    name: str = "demo",
    version: str = "1.0",
    files: Mapping[str, bytes | None] | None = None,
    *,
    tag: str = "py3-none-any",
    requires: Sequence[str] = (),
    requires_python: str = "",
    entry_points: str = "",
    modes: Mapping[str, int] | None = None,
    record: Callable[[str], str | bytes | None] = lambda text: text,
    filename: str | None = None,
) -> Path:
    """Write a wheel of *files* (path → contents) into *directory* and return its path.

    *files* may replace or, with None, leave out any file of ``.dist-info``; *record* changes the text of RECORD.
    """
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {item}\n" for item in requires)
    needs += f"Requires-Python: {requires_python}\n" if requires_python else ""
    contents: dict[str, bytes | None] = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        f"{info}/entry_points.txt": entry_points.encode() or None,
        **(files if files is not None else {f"{name}.py": b"x = 1\n"}),
    }
    present = {path: data for path, data in contents.items() if data is not None}
    listed = "".join(record_line(path, data) + "\n" for path, data in present.items() if not path.endswith("/"))
    text = record(f"{listed}{info}/RECORD,,\n")
    if text is not None:
        present[f"{info}/RECORD"] = text if isinstance(text, bytes) else text.encode()
    modes = modes or {}
    default = {path: 0o040755 if path.endswith("/") else 0o100644 for path in present}
    parts = [Part(path, data, mode=modes.get(path, default[path])) for path, data in present.items()]
    directory.mkdir(parents=True, exist_ok=True)
    out = directory / (filename or f"{name}-{version}-{tag}.whl")
    out.write_bytes(zip_of(parts))
    return out


def pin_of(wheel: Path) -> Pin:
    """Return the pin of *wheel*, from its file name and its bytes."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    data = wheel.read_bytes()
    return Pin(
        name=name,
        version=version,
        filename=wheel.name,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        path=wheel,
    )
