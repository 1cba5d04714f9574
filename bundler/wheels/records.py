"""RECORD: what a wheel says about its files, and what an installed distribution says (rule A9).

* Every file has a row with a hash of at least sha256 and a size; RECORD itself and its signatures have none.
* All faults are reported at once.
* Habits of published wheels are accepted, with a warning, as long as every file that is there has its right hash:
  a hash in hex (gmsh) or with its padding (catboost), and a row for what was moved out of ``.data`` (xgboost).
* ``top_level.txt`` is of no use to an installed distribution. Where its row is wrong (decord), it is left out, with a
  warning.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.archives.portable_paths import fault_of_name
from bundler.runtime.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STRONG = {"sha256": 32, "sha384": 48, "sha512": 64}
_BASE64 = re.compile("[A-Za-z0-9_-]+")
_HEX = re.compile("[0-9a-f]+")
_NUMBER = re.compile("[0-9]{1,15}")
UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_USELESS = "top_level.txt"
_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A row of RECORD: the digest in *algorithm*, the size in bytes."""

    algorithm: str
    digest: bytes
    size: int


_UNUSABLE = Row("sha256", b"", 0)  # for a path with a faulty row: listed, its fault is reported


def parse_record(
    data: bytes, files: Mapping[str, int], *, where: str, dist_info: str
) -> tuple[dict[str, Row], list[str], list[ContentError]]:
    """Compare the RECORD *data* with *files* (path → size). Return its rows, warnings, and all faults.

    A file without a row is none of the wheel's.
    """
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return {}, [], [_fault(where, f"cannot be read: {error}")]
    rows: dict[str, Row] = {}
    warnings: list[str] = []
    faults: list[ContentError] = []
    absent: dict[str, tuple[str, str, str]] = {}
    unlisted = {f"{dist_info}/{name}" for name in UNLISTED}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        path, hashed, size = line if len(line) == _COLUMNS else ("", "", "")
        if len(line) != _COLUMNS:
            faults.append(_fault(f"{where}:{number}", f"has {len(line)} columns, not {_COLUMNS}"))
        elif path in unlisted:
            if hashed and path.endswith("/RECORD"):
                faults.append(_fault(f"{where}:{number}", "has a hash for itself, which cannot be right"))
        elif path in rows or path in absent:
            faults.append(_fault(f"{where}:{number}", f"lists {path!a} twice"))
        elif path not in files:
            absent[path] = f"{where}:{number}", hashed, size
        else:
            row = parse_row(hashed, size, files[path], f"{where}: {path}", warnings)
            if isinstance(row, ContentError):
                faults.append(row)
            rows[path] = row if isinstance(row, Row) else _UNUSABLE
    _check_absent(absent, rows, dist_info, warnings, faults)
    _leave_out_useless(f"{dist_info}/{_USELESS}", where, rows, warnings, faults, unlisted)
    missing = sorted(files.keys() - rows.keys() - unlisted)
    faults += [_fault(where, f"does not list {path}, which is in the wheel") for path in missing]
    return rows, warnings, faults


def _leave_out_useless(
    path: str, where: str, rows: dict[str, Row], warnings: list[str], faults: list[ContentError], unlisted: set[str]
) -> None:
    """Make a warning of the fault of *path*, if it has one."""
    if rows.get(path) is _UNUSABLE:
        fault = next(fault for fault in faults if fault.where == f"{where}: {path}")
        faults.remove(fault)
        warnings.append(f"{fault.fault}; it is of no use, and left out")
        unlisted.add(path)
        del rows[path]


def _check_absent(
    absent: Mapping[str, tuple[str, str, str]],
    rows: Mapping[str, Row],
    dist_info: str,
    warnings: list[str],
    faults: list[ContentError],
) -> None:
    """Refuse rows of files that are not there, but for those that were moved from ``.data`` to where one of *rows* is.

    *absent*: path → where its row stands, its hash and its size.
    """
    present = {row: path for path, row in rows.items()}
    data = dist_info.removesuffix(".dist-info") + ".data/"
    for path, (where, hashed, size) in absent.items():
        what = f"lists {path!a}, which is not in the wheel"
        row = None
        if path.startswith(data) and fault_of_name(path) is None:
            row = parse_row(hashed, size, None, where, warnings)
        if isinstance(row, Row) and row in present:
            warnings.append(f"{where}: {what}; {present[row]} has its contents")
        else:
            faults.append(_fault(where, what))


def parse_row(hashed: str, size: str, actual: int | None, where: str, warnings: list[str]) -> Row | ContentError:
    """Return the row with the hash and the size of a file that has *actual* bytes, if that is known; or its fault."""
    algorithm, _, text = hashed.partition("=")
    if not hashed:
        return _fault(where, "has no hash")
    if algorithm not in _STRONG:
        return _fault(where, "has a weak or unknown hash", got=algorithm, want="sha256")
    length = _STRONG[algorithm]
    if len(text) == 2 * length and _HEX.fullmatch(text):
        warnings.append(f"{where}: has its hash in hex, not in base64")
        digest = bytes.fromhex(text)
    else:
        bare = text.rstrip("=")
        if text != bare and text == bare + "=" * (-len(bare) % 4):
            warnings.append(f"{where}: has its hash with padding")
            text = bare
        try:
            digest = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if _BASE64.fullmatch(text) else b""
        except binascii.Error:
            digest = b""
        if len(digest) != length or _base64(digest) != text:
            return _fault(where, "has a hash that is not urlsafe base64 without padding", got=text)
    if not _NUMBER.fullmatch(size):
        return _fault(where, "has no size", got=ascii(size))
    if actual is not None and int(size) != actual:
        return _fault(where, "has another size", got=actual, want=size)
    return Row(algorithm, digest, int(size))


def _base64(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _fault(where: str, what: str, *, got: object = None, want: object = None) -> ContentError:
    return ContentError(where, what, got=got, want=want, rule="A9")


def record_text(rows: Iterable[tuple[str, str, int]], dist_info: str) -> bytes:
    """Return the installed RECORD of *dist_info*, a directory name.

    *rows*: path in the tree, sha256 in hex, size in bytes; RECORD adds itself. Its own paths start at site-packages.
    A ``.pyc`` is listed without hash and size, as pip does: its bytes are none of the wheel's.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    lines = [
        (_from_site_packages(path), "", "")
        if path.endswith(".pyc")
        else (_from_site_packages(path), f"sha256={_base64(bytes.fromhex(sha256))}", str(size))
        for path, sha256, size in rows
    ]
    lines.append((f"{dist_info}/RECORD", "", ""))
    writer.writerows(sorted(lines))
    return out.getvalue().encode()


def _from_site_packages(path: str) -> str:
    return path.removeprefix("site-packages/") if path.startswith("site-packages/") else f"../{path}"
