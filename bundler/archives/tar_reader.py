"""The bytes of a tar → its members, or a refusal: only what ``tar_writer`` writes, and every byte accounted for.

The runtime never reads a tar, because the index knows every offset; podman, containerd and scanners do. So that both
see the same files, ``bundle verify`` reads the layers as they would (rule C21):

* A header is exactly the one that ``tar_header`` makes of what it says: files and directories, no owner, no time,
  PAX only where a name or a size needs it, once.
* Directories come first, and are those that the files need; members lie one behind the other, padded with zeros, and
  nothing follows the two blocks of zeros at the end.
* The files are those of the index, at its offsets, with its sizes and modes. A file that the index has from another
  layer may be here, too, with the same bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from bundler.archives.tar_writer import tar_header
from bundler.runtime.documents import is_tree_path
from bundler.runtime.errors import ContentError
from bundler.runtime.indexes import directories_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bundler.runtime.documents import File
    from bundler.runtime.indexes import Layer

_BLOCK = 512
_MAX_PAX = 8 << 10
_ZEROS = bytes(_BLOCK)


class Member(NamedTuple):
    """A member of a tar: size in bytes, sha256 in hex, *offset* of its contents."""

    path: str
    size: int
    sha256: str
    executable: bool
    directory: bool
    offset: int


class _Stream:
    """Chunks of bytes, read by size."""

    def __init__(self, chunks: Iterable[bytes], where: str) -> None:
        self.where = where
        self.position = 0
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def pieces(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise self.fault("ends too early")
                self._rest = memoryview(chunk)
                continue
            piece, self._rest = self._rest[:size], self._rest[size:]
            self.position += len(piece)
            size -= len(piece)
            yield piece

    def take(self, size: int) -> bytes:
        return b"".join(self.pieces(size))

    def at_end(self) -> bool:
        return not self._rest and not any(self._chunks)

    def fault(self, what: str, got: object = None, want: object = None) -> ContentError:
        return ContentError(self.where, f"is a tar that {what}", got=got, want=want, rule="C21")


def read_tar(chunks: Iterable[bytes], where: str) -> Iterator[Member]:
    """Yield the members of the tar that *chunks* make up; raise ``ContentError`` at the first byte that is not ours."""
    stream = _Stream(chunks, where)
    while True:
        block = stream.take(_BLOCK)
        if block == _ZEROS:
            if stream.take(_BLOCK) != _ZEROS or not stream.at_end():
                raise stream.fault("has something behind its end")
            return
        yield _read_member(stream, block)


def _read_member(stream: _Stream, header: bytes) -> Member:
    pax: dict[str, str] = {}
    block = header
    if header[156:157] == b"x":
        size = _number(stream, header[124:136])
        if size > _MAX_PAX:
            raise stream.fault("has a PAX header that is too large", size)
        body = stream.take(size + -size % _BLOCK)
        pax = _parse_pax(stream, body[:size])
        block = stream.take(_BLOCK)
        header += body + block
    try:
        path = pax.get("path") or block[:100].rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        raise stream.fault("has a name that is neither ASCII nor in a PAX header", ascii(block[:100])) from None
    directory = block[156:157] == b"5"
    size = int(pax["size"]) if "size" in pax else _number(stream, block[124:136])
    executable = not directory and _number(stream, block[100:108]) & 0o111 != 0
    path = path.removesuffix("/") if directory else path
    if not is_tree_path(path):
        raise stream.fault("has a member that leaves the tree", ascii(path))
    if (directory and size) or header != tar_header(path, size, executable=executable, directory=directory):
        raise stream.fault("has a header that no bundle has", ascii(path))
    offset = stream.position
    hasher = hashlib.sha256()
    for piece in stream.pieces(size):
        hasher.update(piece)
    if any(stream.take(-size % _BLOCK)):
        raise stream.fault("has something behind a member", ascii(path))
    return Member(path, size, hasher.hexdigest(), executable, directory, offset)


def _number(stream: _Stream, field: bytes) -> int:
    digits = field.rstrip(b"\0 ")
    if not digits or digits.strip(b"01234567"):
        raise stream.fault("has a number that is not octal", ascii(field))
    return int(digits, 8)


def _parse_pax(stream: _Stream, body: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while body:
        length, space, _ = body.partition(b" ")
        end = int(length) if length.isdigit() and len(length) < 6 else 0  # noqa: PLR2004 - of at most 8 KiB
        line = body[len(length) + 1 : end]
        key, equals, value = line[:-1].partition(b"=")
        text = value.decode("utf-8", "replace")
        name = key.decode("ascii", "replace")
        wrong = not space or not equals or line[-1:] != b"\n" or name in found or name not in ("path", "size")
        if wrong or (name == "size" and not (value.isdigit() and len(value) < 20)):  # noqa: PLR2004 - of 64 bits
            raise stream.fault("has a PAX header that is not understood", ascii(body[:80]))
        found[name] = text
        body = body[end:]
    return found


def faults_of_layer(chunks: Iterable[bytes], layer: Layer, files: Mapping[str, File], where: str) -> list[ContentError]:
    """Compare the tar that *chunks* make up with *layer* of the index; *files* are all files of the index, by path.

    Return every difference, up to the first byte that no bundle's tar would have.
    """
    listed = {file.path: file for file in layer.files}
    faults: list[ContentError] = []
    directories: list[str] = []
    paths: list[str] = []
    try:
        for member in read_tar(chunks, where):
            if member.directory:
                directories.append(member.path)
                if paths:
                    faults.append(_fault(where, member.path, "is a directory behind the files"))
                continue
            paths.append(member.path)
            here = listed.pop(member.path, None)
            file = here or files.get(member.path)
            said = member.path, member.size, member.sha256, member.executable
            if file is None or said != file[:4] or (here is not None and here.offset != member.offset):
                faults.append(_fault(where, member.path, "differs between the tar and the index"))
    except ContentError as fault:
        return [*faults, fault]
    faults += [_fault(where, path, "is in the index, but not in the tar") for path in listed]
    if directories != directories_of(paths) or len(set(paths)) != len(paths):
        faults.append(ContentError(where, "is a tar with other directories, or a file twice", rule="C21"))
    return faults


def _fault(where: str, path: str, what: str) -> ContentError:
    return ContentError(f"{where}: {path}", what, rule="C21")
