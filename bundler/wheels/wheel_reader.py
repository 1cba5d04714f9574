"""A wheel file and its pin → an open wheel whose every file is verified while it is read.

* A2: file name, ``.dist-info``, METADATA and WHEEL agree on name, version and tags; there is one ``.dist-info``.
  Published wheels differ in their tags: of the file name's everybody knows, so WHEEL's are worth a warning at most,
  and so is their absence (catboost).
* A9: RECORD lists exactly what is there; hashes are compared while the contents stream by, once.
* A10: a ``.data`` directory is the wheel's own; its schemes are for ``install``.
* A11: entry points are those of the specification.
"""

from __future__ import annotations

import email.parser
import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from bundler.archives.zip_reader import Archive
from bundler.runtime.errors import ContentError, Faults, printable
from bundler.wheels.allowances import Allowances, remedy
from bundler.wheels.entry_points import parse_entry_points
from bundler.wheels.records import UNLISTED, Row, parse_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from packaging.tags import Tag

    from bundler.pins import Pin

MAX_METADATA = 16 << 20
MAX_TAGS = 10_000
_SHOWN = 400
_DIST_INFO, _DATA = ".dist-info", ".data"
_WHEEL_VERSION = re.compile(r"1\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the wheel that RECORD lists: size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str
    executable: bool


class Wheel:
    """An open wheel. Use it as a context manager; several threads may read from it at once.

    ``entries`` are its files but RECORD; ``requires`` the Requires-Dist lines; ``entry_points`` group → name → value.
    """

    def __init__(self, archive: Archive, pin: Pin, warn: Callable[[str], None], allowances: Allowances) -> None:
        """Check everything that can be checked without reading the contents."""
        self.name, self.version, self.filename, self.sha256 = pin.name, pin.version, pin.filename, pin.sha256
        self._archive = archive
        tags = self._tags_of_filename()
        self.dist_info = self._find_dist_info()
        self.data_prefix = self.dist_info.removesuffix(_DIST_INFO) + _DATA + "/"
        self._check_data()
        self._rows = self._read_record(warn, allowances)
        metadata = self._headers("METADATA")
        self._check_metadata(metadata)
        self.requires: tuple[str, ...] = tuple(metadata.get("requires-dist", ()))
        self._check_wheel_file(self._headers("WHEEL"), tags, warn)
        self.entry_points = self._read_entry_points()
        self.entries = tuple(
            Entry(path, member.size, self._sha256_of(path), member.executable)
            for path, member in archive.members.items()
            if path in self._rows
        )

    @classmethod
    def open(cls, path: Path, pin: Pin, *, warn: Callable[[str], None], allowances: Allowances | None = None) -> Wheel:
        """Open the wheel at *path*, which must be that of *pin*; raise ``ContentError`` if it breaks a rule.

        *allowances* may include a wrong RECORD.
        """
        archive = Archive.open(path, name=pin.filename)
        try:
            return cls(archive, pin, warn, allowances or Allowances())
        except BaseException:
            archive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield the contents of *entry*; raise ``ContentError`` at the end if they are not what RECORD promises."""
        return self._verified(entry.path)

    def _verified(self, path: str) -> Iterator[bytes]:
        row = self._rows[path]
        hasher = hashlib.new(row.algorithm)
        for chunk in self._archive.chunks(self._archive.members[path]):
            hasher.update(chunk)
            yield chunk
        if hasher.digest() != row.digest:
            raise ContentError(
                f"{self.filename}: {path}",
                "is not what RECORD promises",
                got=f"{row.algorithm}={hasher.hexdigest()}",
                want=f"{row.algorithm}={row.digest.hex()}",
                hint=self._remedy(),
                rule="A9",
            )

    def _sha256_of(self, path: str) -> str:
        row = self._rows[path]
        if row.algorithm == "sha256":
            return row.digest.hex()
        hasher = hashlib.sha256()  # a stronger hash in RECORD: the tree needs a sha256 all the same
        for chunk in self._verified(path):
            hasher.update(chunk)
        return hasher.hexdigest()

    def _fault(self, what: str, *, got: object = None, want: object = None, rule: str = "A2") -> ContentError:
        hint = "the wheel is not a valid one; ask its author for a valid one, or choose another version"
        return ContentError(self.filename, what, got=got, want=want, hint=hint, rule=rule)

    def _check_present(self, path: str, rule: str) -> None:
        member = self._archive.members.get(path)
        if member is None:
            raise self._fault(f"has no {path}", rule=rule)
        if member.size > MAX_METADATA:
            raise self._fault(f"has a {path} that is too large", got=member.size, want=MAX_METADATA, rule=rule)

    def _tags_of_filename(self) -> frozenset[Tag]:
        try:
            name, version, _, tags = parse_wheel_filename(self.filename)
        except ValueError as error:  # InvalidWheelFilename, InvalidVersion, InvalidTag
            raise self._fault(f"has a file name that is not a wheel's: {error}") from None
        if (name, version) != (self.name, self.version):
            raise self._fault("has the file name of another project or version", want=f"{self.name} {self.version}")
        return tags

    def _find_dist_info(self) -> str:
        found = sorted({name.partition("/")[0] for name in self._archive.members if _DIST_INFO + "/" in name.lower()})
        found = [name for name in found if name.lower().endswith(_DIST_INFO)]
        if len(found) != 1:
            raise self._fault("does not have exactly one .dist-info", got=ascii(found) if found else "none")
        name, _, version = found[0].removesuffix(_DIST_INFO).rpartition("-")
        if not found[0].isascii() or canonicalize_name(name) != self.name or _version(version) != self.version:
            raise self._fault(
                "has the .dist-info of another project or version",
                got=ascii(found[0]),
                want=f"{self.name} {self.version}",
            )
        return found[0]

    def _check_data(self) -> None:
        for path in self._archive.members:
            top, slash, _ = path.partition("/")
            if slash and top.lower().endswith(_DATA) and top + "/" != self.data_prefix:
                raise self._fault(
                    "has a .data directory of another project or version",
                    got=top,
                    want=self.data_prefix[:-1],
                    rule="A10",
                )

    def _read_record(self, warn: Callable[[str], None], allowances: Allowances) -> dict[str, Row]:
        path = f"{self.dist_info}/RECORD"
        self._check_present(path, "A9")
        if allowances.permit("A9", self.filename, self.sha256):
            warn(f"{self.filename}: its RECORD is ignored, as was allowed [A9]")
            return self._actual_rows()
        rows, warnings, faults = parse_record(
            b"".join(self._archive.chunks(self._archive.members[path])),
            {name: member.size for name, member in self._archive.members.items()},
            where=f"{self.filename}: {path}",
            dist_info=self.dist_info,
        )
        if faults:
            faults[-1].hint = self._remedy()
            raise Faults(self.filename, faults) if len(faults) > 1 else faults[0]
        if warnings:
            more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
            warn(warnings[0] + more)
        return rows

    def _actual_rows(self) -> dict[str, Row]:
        """Return the rows that a right RECORD would have; the lock vouches for the wheel as a whole, by its sha256."""
        rows = {}
        for path, member in self._archive.members.items():
            if path not in {f"{self.dist_info}/{name}" for name in UNLISTED}:
                hasher = hashlib.sha256()
                for chunk in self._archive.chunks(member):
                    hasher.update(chunk)
                rows[path] = Row("sha256", hasher.digest(), member.size)
        return rows

    def _remedy(self) -> str:
        return (
            "the wheel is damaged, or was changed without its RECORD: choose another version, or ask its author;"
            f" if it was published like this and you trust it, {remedy(self.sha256)}"
        )

    def _headers(self, name: str) -> dict[str, list[str]]:
        """Return the headers of a file in ``.dist-info``, by name in lower case."""
        path = f"{self.dist_info}/{name}"
        self._check_present(path, "A2")
        try:
            text = b"".join(self._verified(path)).decode("utf-8")
        except UnicodeDecodeError:
            raise self._fault(f"has a {name} that is not UTF-8") from None
        headers: dict[str, list[str]] = {}
        for key, value in email.parser.HeaderParser().parsestr(text).items():
            folded = value.strip(" \t") if key.lower() == "name" else " ".join(value.split())  # a name is one line
            headers.setdefault(key.lower(), []).append(folded)
        return headers

    def _check_metadata(self, metadata: Mapping[str, list[str]]) -> None:
        names, versions = metadata.get("name", []), metadata.get("version", [])
        wanted = ([self.name], [self.version])
        if ([canonicalize_name(name) for name in names], [_version(version) for version in versions]) != wanted:
            got = ascii(" ".join([*names, *versions]))[:_SHOWN]
            raise self._fault("has METADATA of another project or version", got=got, want=f"{self.name} {self.version}")

    def _check_wheel_file(
        self, headers: Mapping[str, list[str]], tags: frozenset[Tag], warn: Callable[[str], None]
    ) -> None:
        versions = headers.get("wheel-version", [])
        if len(versions) != 1 or not _WHEEL_VERSION.fullmatch(versions[0]):
            raise self._fault("has a Wheel-Version that is not understood", got=ascii(versions)[:_SHOWN], want="1.0")
        lines = headers.get("tag", [])
        # A line stands for every combination of its parts: a few kilobytes could stand for millions of tags.
        combinations = sum(math.prod(part.count(".") + 1 for part in line.split("-")) for line in lines)
        if not all(line.count("-") == 2 for line in lines) or combinations > MAX_TAGS:  # noqa: PLR2004 - interpreter, ABI, platform
            raise self._fault("has a Tag that is not understood", got=ascii(lines)[:_SHOWN], want="python-abi-platform")
        try:
            inside = frozenset(tag for line in lines for tag in parse_tag(line))
        except ValueError as error:  # InvalidTag
            raise self._fault(f"has a Tag that is not understood: {error}") from None
        got, want = (", ".join(sorted(map(str, some))) or "none" for some in (inside, tags))
        # Index, resolver and lock agree on the file name. Another platform in WHEEL is common, and means nothing.
        if {(tag.interpreter, tag.abi) for tag in inside}.isdisjoint((tag.interpreter, tag.abi) for tag in tags):
            what = "has other tags in WHEEL than in its file name"
            warn(printable(f"{self.filename}: {what}; got {got}, want {want} [A2]"))

    def _read_entry_points(self) -> dict[str, dict[str, str]]:
        path = f"{self.dist_info}/entry_points.txt"
        if path not in self._archive.members:
            return {}
        self._check_present(path, "A11")
        where = f"{self.filename}: {path}"
        try:
            return parse_entry_points(b"".join(self._verified(path)).decode("utf-8"), where)
        except UnicodeDecodeError:
            raise ContentError(where, "is not UTF-8", rule="A11") from None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or a number of more digits than int() takes
        return None
