"""A zip file → its members and their bytes, or a refusal: one reading, and every byte accounted for.

Not ``zipfile``, which opens almost anything and differs between versions. Rules (see docs/security.md):

* A3, A4: the structure is exact; see ``zip_headers``.
* A5: no two names that are the same somewhere, none that is another's directory.
* A6: sizes and CRC are as declared, and a deflate stream ends where its bytes end.
* A7, A8, A13: names are plain relative paths (see ``portable_paths``), modes those of regular files.
"""

from __future__ import annotations

import stat
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bundler.archives.portable_paths import fault_of_name, folded
from bundler.archives.zip_headers import DEFLATED, UTF8_FLAG, Entry, Source, read_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

CHUNK = 1 << 20
_READ = 1 << 18  # small: zlib copies the input that it could not use yet
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_EMPTY_DEFLATED = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in the zip: sizes in bytes, *start* of its compressed bytes in the file."""

    name: str
    size: int
    compressed: int
    crc: int
    deflated: bool
    executable: bool
    start: int


class Archive:
    """An open zip. Use it as a context manager; several threads may read from it at once."""

    def __init__(self, source: Source, members: Mapping[str, Member]) -> None:
        """Take what ``open`` has read; *members* are the files by name, in the order of their bytes."""
        self._source = source
        self.members = members

    @classmethod
    def open(cls, path: Path, *, name: str | None = None) -> Self:
        """Read the structure of the zip at *path*; raise ``ContentError`` if it breaks a rule.

        Errors call it *name*: a cache calls its files by their digests.
        """
        source = Source(path, name)
        try:
            return cls(source, {member.name: member for member in _read_members(source)})
        except BaseException:
            source.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def chunks(self, member: Member) -> Iterator[bytes]:
        """Yield the contents of *member* in pieces of at most 1 MiB; raise ``ContentError`` if they break rule A6.

        Never more than the declared size is yielded; an error may come after all of it.
        """
        crc = size = 0
        for chunk in self._inflated(member) if member.deflated else self._stored(member):
            size += len(chunk)
            if size > member.size:
                break
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if (size, crc) != (member.size, member.crc):
            raise self._source.fault("does not have the size and CRC that it declares", "A6", member.name)

    def _stored(self, member: Member) -> Iterator[bytes]:
        end = member.start + member.size
        for at in range(member.start, end, CHUNK):
            yield self._source.read(at, min(CHUNK, end - at))

    def _inflated(self, member: Member) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        at, end = member.start, member.start + member.compressed
        left = member.size + 1  # one byte more than declared shows that there are too many
        data = b""
        try:
            while not inflater.eof and left:
                if not data and at < end:
                    data = self._source.read(at, min(_READ, end - at))
                    at += len(data)
                chunk = inflater.decompress(data, min(CHUNK, left))
                if not chunk and not data:
                    break
                data = inflater.unconsumed_tail
                left -= len(chunk)
                if chunk:
                    yield chunk
        except zlib.error as error:
            raise self._source.fault(f"cannot be inflated: {error}", "A6", member.name) from None
        if not inflater.eof or inflater.unused_data or at != end:
            raise self._source.fault("has a deflate stream that ends elsewhere than declared", "A6", member.name)


def _read_members(source: Source) -> Iterator[Member]:
    files: dict[str, str] = {}
    directories: set[str] = set()
    for entry, start in read_entries(source):
        name = _name_of(source, entry)
        _check_mode(source, entry, name)
        if name.endswith("/"):
            _check_directory(source, entry, start)
            key = folded(name[:-1])
            if key in directories:
                raise source.fault("occurs twice", "A5", name)
            directories.add(key)
            continue
        key = folded(name)
        if key in files:
            raise source.fault(f"occurs twice, also as {files[key]}", "A5", name)
        files[key] = name
        is_executable = bool(entry.mode & 0o111)
        yield Member(name, entry.size, entry.compressed, entry.crc, entry.method == DEFLATED, is_executable, start)
    parents = _parents_of([*files, *directories])
    for key in sorted(files.keys() & (directories | parents)):
        raise source.fault("is both a file and a directory", "A5", files[key])


def _parents_of(paths: Iterable[str]) -> set[str]:
    parents: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition("/")[0]
    return parents


def _name_of(source: Source, entry: Entry) -> str:
    try:
        # Without the flag the encoding is a guess, and readers guess differently.
        name = entry.raw_name.decode("utf-8" if entry.flags & UTF8_FLAG else "ascii")
    except UnicodeDecodeError:
        raise source.fault("is a name that is not UTF-8, or does not say so", "A7", entry.label) from None
    if fault := fault_of_name(_checked_part(name)):
        raise source.fault(*fault, entry.label)
    return name


def _checked_part(name: str) -> str:
    """Return *name*; of a directory, without the dots and spaces at the end of its parts.

    Empty directories are never made, and pyarrow 12 has one named ``pyarrow./``. A file in such a directory has the
    directory in its own name, and is refused.
    """
    return "/".join(part.rstrip(". ") for part in name[:-1].split("/")) if name.endswith("/") else name


def _check_mode(source: Source, entry: Entry, name: str) -> None:
    """Refuse modes other than those of files and directories; read whatever system wrote them, as installers do."""
    kind = stat.S_IFMT(entry.mode)
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        raise source.fault("is a symlink, a device or another special file", "A8", name)
    if entry.mode & _SPECIAL_BITS and not name.endswith("/"):
        raise source.fault("has a set-id or sticky bit", "A8", name)


def _check_directory(source: Source, entry: Entry, start: int) -> None:
    """Refuse a directory with contents; an empty deflate stream is none."""
    contents = source.read(start, min(entry.compressed, CHUNK))
    if entry.size or entry.crc or contents not in (b"", _EMPTY_DEFLATED):
        raise source.fault("is a directory with contents", "A8", entry.label)
