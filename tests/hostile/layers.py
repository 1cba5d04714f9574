"""Layers that must be refused: zstd frames, the gzip of layer 0, and tars that other readers would read otherwise.

All digests are right: these are the layers of somebody who made the whole bundle.
"""

from __future__ import annotations

import tarfile
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import zstandard
from hostile.images import DIRECTORY, PLAIN, A, B, Listed, compress

from bundler.archives.tar_writer import END, padding, tar_header

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = b"\x28\xb5\x2f\xfd"


class FrameCase(NamedTuple):
    """The frames that take the place of the tar's one, and a part of the message. The rule is C20."""

    frames: Callable[[bytes], list[tuple[int, bytes]]]
    says: str


def _one(make: Callable[[bytes], bytes]) -> Callable[[bytes], list[tuple[int, bytes]]]:
    return lambda tar: [(len(tar), make(tar))]


def _two(more: int) -> Callable[[bytes], list[tuple[int, bytes]]]:
    """Return two frames whose raw sizes add up, but are each another than promised."""
    return lambda tar: [(512 + more, compress(tar[:512])), (len(tar) - 512 - more, compress(tar[512:]))]


def _streamed(tar: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(tar) + compressor.flush()


def _windowed(tar: bytes, log: int = 24) -> bytes:
    """Return a frame of one raw block that asks for a window of 2^log bytes."""
    block = (len(tar) << 3 | 1).to_bytes(3, "little")
    return MAGIC + bytes([0x80, (log - 10) << 3]) + len(tar).to_bytes(4, "little") + block + tar


def _raw(
    tar: bytes, *, descriptor: int = 0xA0, kind: int = 0, size: int | None = None, says: int | None = None
) -> bytes:
    """Return a frame of one raw block. *descriptor*, *kind* and *size* of the block, and what it *says*, can lie."""
    block = ((len(tar) if size is None else size) << 3 | kind << 1 | 1).to_bytes(3, "little")
    return MAGIC + bytes([descriptor]) + (len(tar) if says is None else says).to_bytes(4, "little") + block + tar


def _dictionary(tar: bytes) -> bytes:
    samples = [b"sample %d of a text that repeats" % n for n in range(2000)]
    return compress(tar, dict_data=zstandard.train_dictionary(1024, samples))


def skippable(data: bytes, kind: int = 0) -> bytes:
    return bytes([0x50 + kind]) + b"\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :] if at >= 0 else data[:at] + bytes([data[at] ^ 0xFF])


FRAMES = {
    "a dictionary": FrameCase(_one(_dictionary), "a dictionary"),
    "a window of 16 MiB": FrameCase(_one(_windowed), "window is 16777216 bytes"),
    "a window of 2^41 bytes": FrameCase(_one(lambda tar: _windowed(tar, 41)), "window is"),
    "no size": FrameCase(_one(_streamed), "does not say its size"),
    "one byte more than promised": FrameCase(_two(-1), "it says 512 bytes, not 511"),
    "one byte less than promised": FrameCase(_two(1), "it says 512 bytes, not 513"),
    "says 4 GiB": FrameCase(_one(lambda tar: _raw(tar, says=0xFFFFFFFF)), "it says 4294967295 bytes"),
    "a reserved bit": FrameCase(_one(lambda tar: _raw(tar, descriptor=0xA8)), "reserved bits"),
    "an unused bit": FrameCase(_one(lambda tar: _raw(tar, descriptor=0xB0)), "reserved bits"),
    "a reserved block": FrameCase(_one(lambda tar: _raw(tar, kind=3)), "reserved block type"),
    "a block that is too short": FrameCase(_one(lambda tar: _raw(tar, size=len(tar) - 1)), "does not end where"),
    "a block that is too long": FrameCase(_one(lambda tar: _raw(tar, size=len(tar) + 1)), "does not end where"),
    "a bomb of one repeated byte": FrameCase(
        lambda tar: [(len(tar), _raw(b"x", kind=1, size=2097151, says=len(tar)))], "cannot be decoded"
    ),
    "truncated": FrameCase(_one(lambda tar: compress(tar)[:-1]), "does not end where"),
    "truncated in a header": FrameCase(_one(lambda tar: compress(tar)[:9]), ""),
    "a byte behind": FrameCase(_one(lambda tar: compress(tar) + b"\0"), "does not end where"),
    "a checksum that is wrong": FrameCase(_one(lambda tar: _flipped(compress(tar), -1)), "cannot be decoded"),
    "a checksum that is missing": FrameCase(_one(lambda tar: compress(tar)[:-4]), "does not end where"),
    "a skippable frame in front": FrameCase(_one(lambda tar: skippable(b"hidden") + compress(tar)), "no zstd frame"),
    "a skippable frame behind": FrameCase(_one(lambda tar: compress(tar) + skippable(b"hidden")), "does not end"),
    "a skippable frame as a frame": FrameCase(
        lambda tar: [(len(tar) - 6, compress(tar[:-6])), (6, skippable(b"hidden", kind=15))], "no zstd frame"
    ),
    "two frames as one": FrameCase(_one(lambda tar: compress(tar[:512]) + compress(tar[512:])), "it says"),
    "an empty frame behind": FrameCase(_one(lambda tar: compress(tar) + compress(b"")), "does not end where"),
    "of an older zstd": FrameCase(_one(lambda tar: b"\x27\xb5\x2f\xfd" + compress(tar)[4:]), "no zstd frame"),
    "without its magic number": FrameCase(_one(lambda tar: compress(tar)[4:]), "no zstd frame"),
    "gzip": FrameCase(_one(lambda tar: zlib.compress(tar, wbits=31)), "no zstd frame"),
    "not compressed": FrameCase(_one(lambda tar: tar), "no zstd frame"),
}


class GzipCase(NamedTuple):
    """What becomes of the gzip of layer 0, the rule and a part of the message."""

    rule: str
    gzip: Callable[[bytes], bytes]
    says: str


GZIPS = {
    "truncated": GzipCase("C20", lambda data: data[:-1], "not one complete gzip member"),
    "without its trailer": GzipCase("C20", lambda data: data[:-8], "not one complete gzip member"),
    "a byte behind": GzipCase("C20", lambda data: data + b"\0", "not one complete gzip member"),
    "another member behind": GzipCase("C20", lambda data: data + zlib.compress(b"", wbits=31), "not one complete"),
    "wrong CRC": GzipCase("C20", lambda data: _flipped(data, -8), "gzip"),
    "wrong length": GzipCase("C20", lambda data: _flipped(data, -1), "is not gzip"),
    "zlib": GzipCase("C20", lambda data: zlib.compress(zlib.decompress(data, 31)), "is not gzip"),
    "raw deflate": GzipCase("C20", lambda data: zlib.compress(zlib.decompress(data, 31), wbits=-15), "is not gzip"),
    "another method": GzipCase("C20", lambda data: data[:2] + b"\x09" + data[3:], "is not gzip"),
    "not compressed": GzipCase("C20", lambda data: zlib.decompress(data, 31), "is not gzip"),
    "a bomb": GzipCase("C20", lambda _: zlib.compress(bytes(262 << 20), 1, wbits=31), "not one complete gzip member"),
    "other contents": GzipCase(
        "C19", lambda data: zlib.compress(zlib.decompress(data, 31)[512:], wbits=31), "tree.json"
    ),
}


class TarCase(NamedTuple):
    """The pieces of the tar, and a part of the message. The rule is C21."""

    pieces: tuple[bytes | Listed, ...]
    says: str


def header(path: str, size: int = 0, *, form: int = tarfile.PAX_FORMAT, **fields: Any) -> bytes:
    """Return a header with *fields* of ``TarInfo``, and a right checksum."""
    info = tarfile.TarInfo(path)
    info.size = size
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(form, "utf-8", "strict")


def _b(**fields: Any) -> tuple[bytes | Listed, ...]:
    """Return the pieces of a plain tar, but for the header of its last file."""
    return (DIRECTORY, A, B._replace(header=header(B.path, len(B.data), **fields)), END)


def _with_checksum(block: bytes) -> bytes:
    total = sum(block[:148]) + sum(block[156:512]) + 8 * 32
    return block[:148] + b"%06o\0 " % total + block[156:]


def _edited(at: int, data: bytes) -> tuple[bytes | Listed, ...]:
    block = tar_header(B.path, len(B.data))
    return (DIRECTORY, A, B._replace(header=_with_checksum(block[:at] + data + block[at + len(data) :])), END)


EXTRA = tar_header("site-packages/evil.py", 5) + b"evil\n" + padding(5)
NO_HEADER = "has a header that no bundle has"
NOT_SO = "differs between the tar and the index"

TARS = {
    # Types.
    **{
        f"type {kind.decode()}": TarCase(_b(type=kind, **more), NO_HEADER)
        for kind, more in (
            (tarfile.SYMTYPE, {"linkname": "/etc/passwd"}),
            (tarfile.LNKTYPE, {"linkname": "site-packages/a.py"}),
            (tarfile.CHRTYPE, {"devmajor": 1}),
            (tarfile.BLKTYPE, {"devmajor": 8}),
            (tarfile.FIFOTYPE, {}),
            (tarfile.CONTTYPE, {}),
            (tarfile.GNUTYPE_SPARSE, {}),
            (b"Z", {}),
            (b"V", {}),
            (b"M", {}),
        )
    },
    "a directory with contents": TarCase(_b(type=tarfile.DIRTYPE), NO_HEADER),
    "the type of old": TarCase(_edited(156, b"\0"), NO_HEADER),
    "a file whose name ends as a directory's": TarCase(_b(name=B.path + "/"), ""),
    # What else a header says.
    "set-uid": TarCase(_b(mode=0o4755), ""),
    "writable by all": TarCase(_b(mode=0o666), NO_HEADER),
    "executable, which the index does not know": TarCase(_b(mode=0o755), NOT_SO),
    "an owner": TarCase(_b(uid=1000), NO_HEADER),
    "a group": TarCase(_b(gid=1000), NO_HEADER),
    "an owner's name": TarCase(_b(uname="root"), NO_HEADER),
    "a time": TarCase(_b(mtime=1), NO_HEADER),
    "a time with a fraction": TarCase(_b(mtime=1.5), ""),
    "a link's name": TarCase(_b(linkname="/etc/passwd"), NO_HEADER),
    "a prefix": TarCase(_edited(345, b"site-packages/x"), NO_HEADER),
    "another magic": TarCase(_edited(257, b"ustar  \0"), NO_HEADER),
    "of GNU": TarCase(_b(form=tarfile.GNU_FORMAT), NO_HEADER),
    "a wrong checksum": TarCase(
        (
            DIRECTORY,
            A,
            B._replace(header=b"s" + tar_header(B.path, 6)[1:148] + b"000000\0 " + tar_header(B.path, 6)[156:]),
            END,
        ),
        NO_HEADER,
    ),
    "a size in base 256": TarCase(_edited(124, b"\x80" + bytes(10) + b"\x06"), "not octal"),
    "a negative size": TarCase(_edited(124, b"\xff" * 11 + b"\xfa"), "not octal"),
    "a size with a sign": TarCase(_edited(124, b"+0000000006\0"), "not octal"),
    "a size with spaces": TarCase(_edited(124, b"          6\0"), "not octal"),
    "a size that is larger": TarCase(_edited(124, b"00000001000\0"), ""),
    "a size that is smaller": TarCase(_edited(124, b"00000000005\0"), ""),
    # Names.
    "another name": TarCase(_b(name="site-packages/c.py"), NOT_SO),
    "another case": TarCase(_b(name="site-packages/B.py"), NOT_SO),
    "an absolute name": TarCase(_b(name="/site-packages/b.py"), "leaves the tree"),
    "a parent": TarCase(_b(name="../b.py"), "leaves the tree"),
    "a dot": TarCase(_b(name="./site-packages/b.py"), "leaves the tree"),
    "a whiteout": TarCase((*PLAIN[:-1], header("site-packages/.wh.a.py"), END), "leaves the tree"),
    "an opaque whiteout": TarCase((*PLAIN[:-1], header("site-packages/.wh..wh..opq"), END), "leaves the tree"),
    "a name in Latin-1": TarCase(_edited(0, b"site-packages/\xe9.py\0"), "neither ASCII nor"),
    "a name behind a NUL": TarCase(_edited(0, b"site-packages/b.py\0evil"), ""),
    "a long name of GNU": TarCase(
        (
            DIRECTORY,
            A,
            header("././@LongLink", 512, type=tarfile.GNUTYPE_LONGNAME) + b"site-packages/evil.py".ljust(512, b"\0"),
            B,
            END,
        ),
        "",
    ),
    "a long link of GNU": TarCase(
        (
            DIRECTORY,
            A,
            header("././@LongLink", 512, type=tarfile.GNUTYPE_LONGLINK) + b"/etc/passwd".ljust(512, b"\0"),
            B,
            END,
        ),
        "",
    ),
    # PAX.
    "another path in PAX": TarCase(_b(pax_headers={"path": "site-packages/evil.py"}), ""),
    "the same path in PAX, which needs none": TarCase(_b(pax_headers={"path": B.path}), NO_HEADER),
    "a link in PAX": TarCase(_b(pax_headers={"linkpath": "/etc/passwd"}), "PAX header that is not understood"),
    "a comment in PAX": TarCase(_b(pax_headers={"comment": "hi"}), "PAX header that is not understood"),
    "an attribute in PAX": TarCase(_b(pax_headers={"SCHILY.xattr.security.capability": "x"}), "not understood"),
    "sparse in PAX": TarCase(_b(pax_headers={"GNU.sparse.major": "1"}), "PAX header that is not understood"),
    "another size in PAX": TarCase(_b(pax_headers={"size": "0"}), ""),
    "a global PAX header": TarCase((tarfile.TarInfo.create_pax_global_header({"path": "evil.py"}), *PLAIN), ""),
    "PAX twice": TarCase((DIRECTORY, A, header(B.path, 6, pax_headers={"path": "x"})[:1024], B, END), ""),
    "PAX for nobody": TarCase((*PLAIN[:-1], header("x", 0, pax_headers={"path": "y"})[:1024], END), ""),
    "a PAX header that is too large": TarCase(_b(pax_headers={"comment": "x" * 9000}), "too large"),
    # Order and what lies between.
    "a file twice": TarCase((DIRECTORY, A, B, tar_header(B.path, 6) + b"c = 3\n" + padding(6), END), NOT_SO),
    "a file twice, the other first": TarCase(
        (DIRECTORY, A, tar_header(B.path, 6) + b"c = 3\n" + padding(6), B, END), NOT_SO
    ),
    "the same file twice": TarCase((DIRECTORY, A, B, tar_header(B.path, 6) + B.data + padding(6), END), "a file twice"),
    "a file that the index does not have": TarCase((DIRECTORY, A, EXTRA, B, END), NOT_SO),
    "a file that the tar does not have": TarCase(
        (
            DIRECTORY,
            A._replace(data=b"x" * 512, header=tar_header(A.path, 1024)),
            Listed("site-packages/b.py", b"y" * 512, header=b""),
            END,
        ),
        "",
    ),
    "a directory behind the files": TarCase(
        (DIRECTORY, A, tar_header("share", directory=True), B, END), "behind the files"
    ),
    "a directory that nobody needs": TarCase(
        (DIRECTORY, tar_header("share", directory=True), A, B, END), "other directories"
    ),
    "no directory": TarCase((A, B, END), "other directories"),
    "a directory twice": TarCase((DIRECTORY, DIRECTORY, A, B, END), "other directories"),
    "a gap": TarCase((DIRECTORY, A, bytes(512), B, END), "something behind its end"),
    "padding that is not zero": TarCase((DIRECTORY, A._replace(behind=b"x" * 506), B, END), "behind a member"),
    "an end in the middle": TarCase((DIRECTORY, A, END, B, END), "something behind its end"),
    "no end": TarCase((DIRECTORY, A, B), "ends too early"),
    "half an end": TarCase((DIRECTORY, A, B, bytes(512)), "ends too early"),
    "one block of zeros more": TarCase((*PLAIN, bytes(512)), "something behind its end"),
    "a record of zeros, as tar writes it": TarCase((*PLAIN, bytes(10240)), "something behind its end"),
    "a tar behind the tar": TarCase((*PLAIN, EXTRA, END), "something behind its end"),
    "half a block behind": TarCase((*PLAIN, b"x"), "something behind its end"),
    "not a tar": TarCase((Listed(A.path, b"a" * 700, header=b"", behind=b""),), ""),
}
