"""An artifact on disk → its members, read without trusting anything it says about itself.

* ``.pyz``: a zip whose members are all stored; its directory is read strictly and nothing is imported for it.
* packed directory: the same members as files.
* tree: an unpacked tree, which holds ``.bundle/manifest.json`` and ``.bundle/config.json`` instead of blobs. One that a
  container engine has made of the image is *mounted*: it cannot hold its own manifest, and is named by the tree digest.
* A member is opened once and read by offset; a symlink or anything but a regular file is refused (rule C19).
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from typing import Any, Dict, List, NamedTuple, Tuple

from .documents import INDEX_TYPE, MANIFEST_TYPE, MAX_DOCUMENT, Descriptor, Fields, parse_digest, parse_json
from .errors import BundleError, ContentError
from .indexes import PROGRAM_PATH, PROGRAM_PYC
from .sites import SITE_PACKAGES

TREE_MANIFEST = ".bundle/manifest.json"
TREE_CONFIG = ".bundle/config.json"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
MAX_REFERRERS = 32

_NEEDED = 20  # version 2.0 of the format, as we write it
_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


class Member(NamedTuple):
    """Bytes in an open file: *size* bytes from *start* on."""

    where: str
    fd: int
    start: int
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes from *offset* on; all of them, or raise ``ContentError``."""
        if offset < 0 or offset + size > self.size:
            raise ContentError(self.where, "is too short", got=f"{self.size} bytes", want=offset + size, rule="C19")
        try:
            data = os.pread(self.fd, size, self.start + offset)
            while len(data) < size:
                more = os.pread(self.fd, size - len(data), self.start + offset + len(data))
                if not more:
                    raise ContentError(self.where, "is truncated", got=f"{len(data)} bytes", want=size, rule="C19")
                data += more
        except OSError as error:
            raise BundleError(self.where, f"cannot be read: {error.strerror}") from error
        return data


class Carrier:
    """An open artifact. Use it as a context manager; ``kind`` is pyz, packed or tree."""

    kind = ""
    mounted = False

    def __init__(self, path: str) -> None:
        """Stand for the artifact at *path*."""
        self.path = path
        self._fds: Dict[str, int] = {}

    def member(self, name: str) -> Member:
        """Open the member *name*."""
        raise NotImplementedError

    def blob(self, digest: str) -> Member:
        """Open the blob *digest* (already validated)."""
        return self.member("blobs/sha256/" + digest[7:])

    def listed(self) -> List[Tuple[str, Descriptor]]:
        """Return what ``index.json`` lists: first the image, then what refers to it, each with its artifact type."""
        where = f"{self.path}: index.json"
        member = self.member("index.json")
        data = member.read(0, min(member.size, MAX_DOCUMENT + 1))
        fields = Fields(parse_json(data, where), where)
        manifests = fields.items("manifests")
        listed = []
        for item in manifests:
            descriptor = Descriptor.from_fields(item)
            artifact_type = item.get("artifactType", str) if "artifactType" in item.value else ""
            if descriptor.media_type != MANIFEST_TYPE or descriptor.size > MAX_DOCUMENT:
                raise ContentError(item.where, "is not an image manifest", want=MANIFEST_TYPE, rule="B16")
            listed.append((artifact_type, descriptor))
        if fields.get("schemaVersion", int) != 2 or fields.get("mediaType", str) != INDEX_TYPE:  # noqa: PLR2004
            raise ContentError(where, "is not an OCI image index", want=INDEX_TYPE, rule="B16")
        images = [bool(artifact_type) for artifact_type, _ in listed].count(False)
        if images != 1 or listed[0][0]:
            raise ContentError(where, "does not name exactly one image, first", got=images, want=1, rule="B16")
        if len(listed) > 1 + MAX_REFERRERS:
            raise ContentError(where, "lists too many referrers", got=len(listed) - 1, want=MAX_REFERRERS, rule="B16")
        return listed

    def named_digest(self) -> str:
        """Return the digest that ``index.json`` names: a claim, not a proof (rule C17)."""
        return self.listed()[0][1].digest

    def signatures(self) -> List[Tuple[str, bytes]]:
        """Return the signatures that travel with the image, each with where it lies; nothing was verified yet."""
        from .referrers import signatures

        return signatures(self)

    def names(self) -> List[str]:
        """Return the name of every member, whether it belongs there or not."""
        raise NotImplementedError

    def faults(self) -> List[ContentError]:
        """Return what is wrong with the members that no digest covers."""
        return []

    def close(self) -> None:
        """Close every file."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def __enter__(self) -> Carrier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, name: str) -> int:
        """Open the regular file *name* below the artifact, or the artifact itself, without following links."""
        if name in self._fds:
            return self._fds[name]
        path = os.path.join(self.path, name) if name else self.path
        where = f"{self.path}: {name}" if name else path
        follow = 0 if not name else os.O_NOFOLLOW
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | follow)
        except FileNotFoundError:
            raise ContentError(where, "is missing", rule="C19") from None
        except OSError as error:
            if os.path.islink(path):
                raise ContentError(where, "is a symlink", want="a regular file", rule="C19") from None
            raise BundleError(where, f"cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ContentError(where, "is not a regular file", rule="C19")
        self._fds[name] = fd
        return fd


class Directory(Carrier):
    """A packed directory or an unpacked tree."""

    def __init__(self, path: str, kind: str) -> None:
        """Stand for the directory at *path*, of *kind* packed or tree."""
        super().__init__(path)
        self.kind = kind
        self.mounted = kind == "tree" and not os.path.lexists(os.path.join(path, TREE_MANIFEST))

    def member(self, name: str) -> Member:
        """Open the file *name*."""
        fd = self._open(name)
        return Member(f"{self.path}: {name}", fd, 0, os.fstat(fd).st_size)

    def names(self) -> List[str]:
        """List the files and the links below the directory."""
        found = []
        for directory, directories, files in os.walk(self.path):
            links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
            found += [os.path.relpath(os.path.join(directory, name), self.path) for name in [*files, *links]]
        return sorted(found)

    def named_digest(self) -> str:
        """Return the digest that ``index.json`` names; a tree names none: its manifest or its index is what it is."""
        if self.kind == "packed":
            return super().named_digest()
        from .documents import MAX_TREE, TREE_PATH, digest_of

        member = self.member(TREE_PATH if self.mounted else TREE_MANIFEST)
        return digest_of(member.read(0, min(member.size, MAX_TREE if self.mounted else MAX_DOCUMENT)))


class Pyz(Carrier):
    """A zip of stored members. Members lie one behind the other, without gaps (rules A3 and A4)."""

    kind = "pyz"

    def __init__(self, path: str) -> None:
        """Read the directory of the zip at *path*."""
        super().__init__(path)
        fd = self._open("")
        self._file = Member(path, fd, 0, os.fstat(fd).st_size)
        try:
            self._members = self._read_directory()
        except (struct.error, ContentError) as error:
            self.close()
            if isinstance(error, ContentError) and error.rule == "A4":
                raise
            raise self._foreign() from None

    def _foreign(self) -> ContentError:
        return ContentError(
            self.path,
            "is not a complete bundle",
            got=f"{self._file.size} bytes that do not end as one",
            want="a .pyz that bundle create has written",
            hint="it was truncated in transit or is something else; copy it again",
            rule="A3",
        )

    def _read_directory(self) -> Dict[str, Any]:
        end_at = self._file.size - _END.size
        magic, disk, disk0, here, count, size, start, comment = _END.unpack(self._file.read(end_at, _END.size))
        if magic != b"PK\5\6" or (disk, disk0, comment) != (0, 0, 0) or here != count or start + size != end_at:
            raise self._foreign()
        directory = self._file.read(start, size)
        members: Dict[str, Any] = {}
        at = 0
        expected = 0
        for _ in range(count):
            (magic, _, needed, flags, method, _, _, crc, packed, plain, n, extra, remark, _, _, _, offset) = (
                _CENTRAL.unpack_from(directory, at)
            )
            raw_name = directory[at + _CENTRAL.size : at + _CENTRAL.size + n]
            name = raw_name.decode("ascii", "replace")
            other = needed != _NEEDED or flags or method or extra or remark or packed != plain
            # Readers cut a name at a NUL, or guess its encoding.
            other = other or not raw_name.isascii() or not name.isprintable()
            if magic != b"PK\1\2" or other or name in members:
                raise ContentError(f"{self.path}: {name}", "has a header that no bundle has", rule="A4")
            if offset != expected:
                raise ContentError(f"{self.path}: {name}", "does not follow on the member before it", rule="A4")
            local = _LOCAL.unpack(self._file.read(offset, _LOCAL.size))
            local_name = self._file.read(offset + _LOCAL.size, n)
            if (
                local[0] != b"PK\3\4"
                or local[1:4] != (_NEEDED, 0, 0)
                or local[6:] != (crc, plain, plain, n, 0)
                or local_name != raw_name
            ):
                raise ContentError(f"{self.path}: {name}", "has two headers that differ", rule="A4")
            members[name] = (offset + _LOCAL.size + n, plain, crc)
            expected = offset + _LOCAL.size + n + plain
            at += _CENTRAL.size + n
        if at != size or expected != start:
            raise self._foreign()
        return members

    def member(self, name: str) -> Member:
        """Return the member *name*."""
        if name not in self._members:
            raise ContentError(f"{self.path}: {name}", "is missing", rule="C19")
        start, size, _ = self._members[name]
        return Member(f"{self.path}: {name}", self._file.fd, start, size)

    def names(self) -> List[str]:
        """List the members of the zip."""
        return list(self._members)

    def crc(self, name: str) -> int:
        """Return the CRC-32 that the zip promises for the member *name*."""
        return int(self._members[name][2])

    def faults(self) -> List[ContentError]:
        """Compare the members that no digest covers with the CRC in the zip: damage, not attack."""
        faults = []
        for name, (_, size, crc) in self._members.items():
            if not name.startswith("blobs/"):
                got = zlib.crc32(self.member(name).read(0, size))
                if got != crc:
                    where = f"{self.path}: {name}"
                    faults.append(ContentError(where, "is damaged", got=f"CRC {got:08x}", want=f"{crc:08x}", rule="A6"))
        return faults


def member_of(path: str, kind: str) -> str:
    """Return which member of a ``.pyz`` or packed directory holds the bundle's own file *path*; empty if none does."""
    name = ""
    if path == PROGRAM_PATH or path.startswith((SITE_PACKAGES + "/", PROGRAM_PYC)):
        name = path.partition("/")[2]
    if kind == "pyz" and "__pycache__/" in name:
        # Inside a zip Python looks for it beside its source; another Python than the target takes the source.
        directory, _, compiled = name.partition("__pycache__/")
        return f"{directory}{compiled.partition('.')[0]}.pyc"
    return name


def open_carrier(path: str) -> Carrier:
    """Open the artifact at *path*: a ``.pyz``, a packed directory or a tree."""
    path = os.path.abspath(path)
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise BundleError(path, "does not exist", want="a .pyz, a packed directory or a tree")
        return Pyz(path)
    if os.path.lexists(os.path.join(path, "oci-layout")):
        return Directory(path, "packed")
    if any(os.path.lexists(os.path.join(path, name)) for name in (TREE_MANIFEST, ".bundle/tree.json")):
        return Directory(path, "tree")
    raise ContentError(
        path, "is not a bundle", got="some other directory", want="oci-layout or .bundle/tree.json", rule="C19"
    )


__all__ = [
    "LAYOUT",
    "TREE_CONFIG",
    "TREE_MANIFEST",
    "Carrier",
    "Directory",
    "Member",
    "Pyz",
    "member_of",
    "open_carrier",
    "parse_digest",
]
