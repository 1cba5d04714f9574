"""A wheel as a backend has left it, or any files → a wheel of them that is the same bytes everywhere.

* Members are stored, sorted, and of 1980; modes are 0644 or 0755. ``.pyc`` are dropped: they depend on the run.
* RECORD is made anew, of what is there: backends of ten years ago left files out, or hashed by md5.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.runtime.errors import ContentError
from bundler.wheels.records import record_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MAX_BYTES = 4 << 30
_TIME = (1980, 1, 1, 0, 0, 0)
_SIGNED = re.compile(r"[^/]+\.dist-info/RECORD(\.jws|\.p7s)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file to pack: its path in the wheel, size in bytes, and what gives its bytes."""

    name: str
    size: int
    executable: bool
    chunks: Callable[[], Iterable[bytes]]


def repack(built: Path, out: Path) -> None:
    """Write the wheel *built* to *out*; raise ``ContentError`` if it is none."""
    try:
        with zipfile.ZipFile(built) as archive:
            infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            if sum(info.file_size for info in infos.values()) > MAX_BYTES:
                raise ContentError(built.name, "is larger than a wheel may be", rule="A6")
            kept = sorted(name for name in infos if not _SIGNED.fullmatch(name) and not name.endswith(".pyc"))
            write_wheel(_members(archive, [infos[name] for name in kept]), out, _dist_info(built.name, infos))
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ContentError(built.name, f"is no wheel that can be opened: {error}", rule="A3") from None


def write_wheel(members: Iterable[Member], out: Path, dist_info: str) -> None:
    """Write *members*, sorted by name and without a RECORD, to *out*, with the RECORD of *dist_info* behind them."""
    rows = []
    with zipfile.ZipFile(out, "w") as wheel:
        for member in members:
            info = _info(member.name, member.size, executable=member.executable)
            hasher, size = hashlib.sha256(), 0
            with wheel.open(info, "w") as file:
                for chunk in member.chunks():
                    hasher.update(chunk)
                    size += file.write(chunk)
            rows.append((f"site-packages/{member.name}", hasher.hexdigest(), size))
        record = record_text(rows, dist_info)
        wheel.writestr(_info(f"{dist_info}/RECORD", len(record), executable=False), record)


def _dist_info(filename: str, names: dict[str, zipfile.ZipInfo]) -> str:
    found = {name.partition("/")[0] for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)}
    if len(found) != 1:
        raise ContentError(filename, "has not one .dist-info directory", got=len(found), rule="A2")
    return found.pop()


def _members(archive: zipfile.ZipFile, infos: Iterable[zipfile.ZipInfo]) -> Iterator[Member]:
    for info in infos:
        data = archive.read(info)
        executable = bool((info.external_attr >> 16) & 0o111)
        yield Member(name=info.filename, size=len(data), executable=executable, chunks=lambda data=data: [data])  # type: ignore[misc]


def _info(name: str, size: int, *, executable: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.create_system = 3
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    info.file_size = size
    return info
