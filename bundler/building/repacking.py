"""A wheel as a backend has left it → the same files as a wheel that is the same bytes everywhere.

* Members are stored, sorted, and of 1980; modes are 0644 or 0755. ``.pyc`` are dropped: they depend on the run.
* RECORD is made anew, of what is there: backends of ten years ago left files out, or hashed by md5.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from typing import TYPE_CHECKING

from bundler.runtime.errors import ContentError
from bundler.wheels.records import record_text

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 4 << 30
_TIME = (1980, 1, 1, 0, 0, 0)
_SIGNED = re.compile(r"[^/]+\.dist-info/RECORD(\.jws|\.p7s)?")


def repack(built: Path, out: Path) -> None:
    """Write the wheel *built* to *out*; raise ``ContentError`` if it is none."""
    try:
        with zipfile.ZipFile(built) as archive:
            infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            if sum(info.file_size for info in infos.values()) > MAX_BYTES:
                raise ContentError(built.name, "is larger than a wheel may be", rule="A6")
            kept = sorted(name for name in infos if not _SIGNED.fullmatch(name) and not name.endswith(".pyc"))
            _write(archive, {name: infos[name] for name in kept}, out, _dist_info(built.name, infos))
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ContentError(built.name, f"is no wheel that can be opened: {error}", rule="A3") from None


def _dist_info(filename: str, names: dict[str, zipfile.ZipInfo]) -> str:
    found = {name.partition("/")[0] for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)}
    if len(found) != 1:
        raise ContentError(filename, "has not one .dist-info directory", got=len(found), rule="A2")
    return found.pop()


def _write(archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo], out: Path, dist_info: str) -> None:
    rows = []
    with zipfile.ZipFile(out, "w") as wheel:
        for name, info in infos.items():
            data = archive.read(info)
            executable = bool((info.external_attr >> 16) & 0o111)
            wheel.writestr(_member(name, executable=executable), data)
            rows.append((f"site-packages/{name}", hashlib.sha256(data).hexdigest(), len(data)))
        wheel.writestr(_member(f"{dist_info}/RECORD", executable=False), record_text(rows, dist_info))


def _member(name: str, *, executable: bool) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _TIME)
    member.create_system = 3
    member.external_attr = (0o100755 if executable else 0o100644) << 16
    return member
