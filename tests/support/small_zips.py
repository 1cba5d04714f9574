"""Small zips: those that are accepted, and by rule and variant those that must be refused."""

from __future__ import annotations

import stat
import struct
import zlib

from support.wheel_factory import Part, deflate, zip_of

from bundler.archives import zip_headers

DATA = b"some text, some text, some text\n"
TOO_BIG = zip_headers.BOMB_SIZE + 1


def descriptor(data=DATA, *, mark=b"PK\7\x08", sizes="<3L", crc=None):
    return mark + struct.pack(sizes, zlib.crc32(data) if crc is None else crc, len(deflate(data)), len(data))


def wide(*values):
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


PACKED = len(deflate(DATA))
FULL = 0xFFFFFFFF
UNKNOWN = {"crc": 0, "compressed": 0, "size": 0}
A, B = Part("a.txt", DATA), Part("b.txt", DATA)

ACCEPTED = {
    "no members": zip_of([]),
    "stored and deflated": zip_of([Part("a", DATA, method=0), Part("d/b", DATA)]),
    "empty files": zip_of([Part("a", method=0), Part("b"), Part("c", packed=b"\x00\x00\x00\xff\xff\x03\x00")]),
    "directories": zip_of([Part("d/", mode=0o040755, method=0), Part("d/a", DATA), Part("e/", mode=0o40755)]),
    "directory in another order": zip_of([Part("d/a", DATA), Part("d/", mode=0o041777, method=0)]),
    "names in UTF-8": zip_of([Part("päckage/数.py", DATA)]),
    "a hidden space": zip_of([Part("a b/c d.txt", DATA)]),
    "a descriptor": zip_of([Part("a", DATA, flags=8, local=UNKNOWN, descriptor=descriptor()), B]),
    "a descriptor without mark": zip_of([Part("a", DATA, flags=8, local=UNKNOWN, descriptor=descriptor(mark=b"")), B]),
    "a zip64 descriptor": zip_of(
        [
            Part(
                "a",
                DATA,
                flags=8,
                local={"crc": 0, "compressed": FULL, "size": FULL},
                local_extra=wide(0, 0),
                descriptor=descriptor(sizes="<L2Q"),
            ),
            B,
        ]
    ),
    "local zip64 sizes": zip_of(
        [Part("a", DATA, local={"compressed": FULL, "size": FULL}, local_extra=wide(len(DATA), PACKED))]
    ),
    "local zip64 sizes that nobody needs": zip_of([Part("a", DATA, local_extra=wide(len(DATA), PACKED))]),
    "central zip64 sizes": zip_of(
        [Part("a", DATA, central={"compressed": FULL, "size": FULL}, central_extra=wide(len(DATA), PACKED))]
    ),
    "central zip64 offset": zip_of([Part("a", DATA, central={"offset": FULL}, central_extra=wide(0))]),
    "a zip64 end record": zip_of([A], zip64={}, here=0xFFFF, count=0xFFFF, directory_size=FULL, directory_start=FULL),
    "a zip64 end record that nobody needs": zip_of([A], zip64={}),
    "extra fields": zip_of([Part("a", DATA, local_extra=b"UT\x01\0\1", central_extra=b"ux\x02\0\1\2")]),
    "writable by all": zip_of([Part("a", DATA, mode=0o100777)]),
    "no mode": zip_of([Part("a", DATA, mode=0, central={"made_by": 20})]),
}


def named(*names):
    return zip_of([Part(name, DATA) for name in names])


def zip64_end(**fields):
    return zip_of([A], zip64=fields, here=0xFFFF, count=0xFFFF, directory_size=FULL, directory_start=FULL)


# (rule, what is wrong) → the zip, and what the message has to name.
REFUSED = {
    ("A3", "empty file"): (b"", "hostile.whl"),
    ("A3", "not a zip"): (b"<html>" * 99, "hostile.whl"),
    ("A3", "cut off"): (zip_of([A, B])[:-1], "hostile.whl"),
    ("A3", "bytes in front"): (b"#!/bin/sh\n" + zip_of([A]), "hostile.whl"),
    ("A3", "bytes in front, offsets right"): (
        zip_of([Part("a.txt", DATA, before=b"#!/bin/sh\n")]),
        "a.txt",
    ),
    ("A3", "bytes behind"): (zip_of([A], after=b"\n"), "hostile.whl"),
    ("A3", "two end records"): (zip_of([A], after=zip_of([])), "hostile.whl"),
    ("A3", "a comment"): (zip_of([A], after=b"hi", comment_length=2), "hostile.whl"),
    ("A3", "a comment that is not there"): (zip_of([A], comment_length=2), "hostile.whl"),
    ("A3", "an end record inside a comment"): (zip_of([A], after=zip_of([A])[-22:], comment_length=22), "hostile.whl"),
    ("A3", "a gap between members"): (zip_of([A, Part("b.txt", DATA, before=b"\0" * 9)]), "b.txt"),
    ("A3", "a gap before the directory"): (zip_of([A], gap=zip_of([B])[:-60]), "hostile.whl"),
    ("A3", "a hidden member"): (
        zip_of([A, Part("b.txt", DATA, before=Part("h.txt", DATA).headers(0)[0])]),
        "b.txt",
    ),
    ("A3", "members that overlap"): (zip_of([A, Part("b.txt", DATA, central={"offset": 0})]), ""),
    ("A3", "an offset outside"): (zip_of([A, Part("b.txt", DATA, central={"offset": 99999})]), "b.txt"),
    ("A3", "too few entries"): (zip_of([A, B], here=1, count=1), "hostile.whl"),
    ("A3", "too many entries"): (zip_of([A, B], here=3, count=3), "hostile.whl"),
    ("A3", "bytes behind the entries"): (zip_of([A], behind_entries=b"PK\5\5\0\0"), "hostile.whl"),
    ("A3", "a directory elsewhere"): (zip_of([A], directory_start=3), "hostile.whl"),
    ("A3", "a directory of another size"): (zip_of([A], directory_size=3), "hostile.whl"),
    ("A3", "on another disk"): (zip_of([A], disk=1), "hostile.whl"),
    ("A3", "directory on another disk"): (zip_of([A], first_disk=1), "hostile.whl"),
    ("A3", "entries on another disk"): (zip_of([A], here=0), "hostile.whl"),
    ("A3", "a member on another disk"): (zip_of([Part("a.txt", DATA, central={"disk": 1})]), "a.txt"),
    ("A3", "a comment of a member"): (zip_of([Part("a.txt", DATA, comment=b"hi")]), "a.txt"),
    ("A3", "encrypted"): (zip_of([Part("a.txt", DATA, flags=1)]), "a.txt"),
    ("A3", "strongly encrypted"): (zip_of([Part("a.txt", DATA, flags=0x40)]), "a.txt"),
    ("A3", "masked headers"): (zip_of([Part("a.txt", DATA, flags=0x2000)]), "a.txt"),
    ("A3", "unknown flags"): (zip_of([Part("a.txt", DATA, flags=0x20)]), "a.txt"),
    ("A3", "a newer format"): (zip_of([Part("a.txt", DATA, central={"needed": 64})]), "a.txt"),
    ("A3", "zip64 with extensions"): (zip64_end(length=45), "hostile.whl"),
    ("A3", "zip64 on two disks"): (zip64_end(disks=2), "hostile.whl"),
    ("A3", "zip64 elsewhere"): (zip64_end(at=0), "hostile.whl"),
    ("A3", "zip64 with another count"): (zip_of([A], zip64={"count": 2, "here": 2}), "hostile.whl"),
    ("A3", "zip64 and another short count"): (zip_of([A], zip64={}, here=5, count=5), "hostile.whl"),
    ("A3", "zip64 with another start"): (zip_of([A], zip64={"directory_start": 9}), "hostile.whl"),
    ("A3", "zip64 field too short"): (
        zip_of([Part("a.txt", DATA, central={"size": FULL, "compressed": FULL}, central_extra=wide(len(DATA)))]),
        "a.txt",
    ),
    ("A3", "zip64 field too long"): (
        zip_of([Part("a.txt", DATA, central={"size": FULL}, central_extra=wide(len(DATA), PACKED))]),
        "a.txt",
    ),
    ("A3", "zip64 field for nothing"): (zip_of([Part("a.txt", DATA, central_extra=wide(9))]), "a.txt"),
    ("A3", "zip64 field missing"): (zip_of([Part("a.txt", DATA, central={"size": FULL})]), "a.txt"),
    ("A3", "two zip64 fields"): (
        zip_of([Part("a.txt", DATA, central={"size": FULL}, central_extra=wide(len(DATA)) + wide(1))]),
        "a.txt",
    ),
    ("A3", "an extra field that leads out"): (zip_of([Part("a.txt", DATA, central_extra=b"UT\x09\0")]), "a.txt"),
    ("A3", "half an extra field"): (zip_of([Part("a.txt", DATA, central_extra=b"UT\0")]), "hostile.whl"),
    ("A4", "another name"): (zip_of([Part("a.txt", DATA, local_name=b"b.txt")]), "a.txt"),
    ("A4", "a longer name"): (zip_of([Part("a.txt", DATA, local_name=b"a.txt2")]), "a.txt"),
    ("A4", "no local header"): (zip_of([A]).replace(b"PK\3\4", b"PK\3\5"), "a.txt"),
    ("A4", "another method"): (zip_of([Part("a.txt", DATA, local={"method": 0})]), "a.txt"),
    ("A4", "other flags"): (zip_of([Part("a.txt", DATA, local={"flags": 0x800})]), "a.txt"),
    ("A4", "another crc"): (zip_of([Part("a.txt", DATA, local={"crc": 1})]), "a.txt"),
    ("A4", "another size"): (zip_of([Part("a.txt", DATA, local={"size": 1})]), "a.txt"),
    ("A4", "another compressed size"): (zip_of([Part("a.txt", DATA, local={"compressed": 1})]), "a.txt"),
    ("A4", "sizes unknown without a descriptor"): (zip_of([Part("a.txt", DATA, local=UNKNOWN)]), "a.txt"),
    ("A4", "another size in a local zip64 field"): (
        zip_of([Part("a.txt", DATA, local_extra=wide(1, PACKED))]),
        "a.txt",
    ),
    ("A4", "half a local zip64 field"): (
        zip_of([Part("a.txt", DATA, local={"size": FULL}, local_extra=wide(len(DATA)))]),
        "a.txt",
    ),
    ("A4", "a second name"): (zip_of([Part("a.txt", DATA, central_extra=b"up\x01\0\1")]), "a.txt"),
    ("A4", "a second local name"): (zip_of([Part("a.txt", DATA, local_extra=b"up\x01\0\1")]), "a.txt"),
    ("A4", "no descriptor"): (zip_of([Part("a.txt", DATA, flags=8, local=UNKNOWN), B]), "a.txt"),
    ("A4", "a descriptor with another crc"): (
        zip_of([Part("a.txt", DATA, flags=8, local=UNKNOWN, descriptor=descriptor(crc=1)), B]),
        "a.txt",
    ),
    ("A4", "a descriptor with another size"): (
        zip_of([Part("a.txt", DATA, flags=8, local=UNKNOWN, descriptor=descriptor(b"other")), B]),
        "a.txt",
    ),
    ("A4", "a descriptor that only one header knows"): (
        zip_of([Part("a.txt", DATA, flags=8, local={"flags": 0}, descriptor=descriptor()), B]),
        "a.txt",
    ),
    ("A5", "twice"): (named("a.txt", "a.txt"), "a.txt"),
    ("A5", "case"): (named("Readme", "README"), "README"),
    ("A5", "Kelvin sign"): (named("k", "\u212a"), ""),
    ("A5", "composed and not"): (named("\u00e9", "e\u0301"), ""),
    ("A5", "sharp s"): (named("strasse", "stra\u00dfe"), ""),
    ("A5", "directory twice"): (zip_of([Part("d/", method=0, mode=0o40755)] * 2), "d/"),
    ("A5", "file and its directory"): (named("a", "a/b"), "a"),
    ("A5", "file and its directory, case"): (named("a/b/c", "A"), "A"),
    ("A5", "file and directory entry"): (zip_of([Part("a", DATA), Part("a/", mode=0o40755, method=0)]), "a"),
    ("A5", "file below an empty directory"): (
        zip_of([Part("a", DATA), Part("a/b/", mode=0o40755, method=0), Part("a/b/c", DATA)]),
        "a",
    ),
    ("A6", "a bomb"): (
        zip_of([Part("a.txt", packed=b"\0" * 9, central={"size": TOO_BIG}, local={"size": TOO_BIG})]),
        "a.txt",
    ),
    ("A6", "many small bombs"): (
        zip_of(
            [Part(f"{n}", packed=b"\0", central={"size": TOO_BIG // 4}, local={"size": TOO_BIG // 4}) for n in range(5)]
        ),
        "hostile.whl",
    ),
    ("A6", "another method"): (zip_of([Part("a.txt", DATA, method=12)]), "a.txt"),
    ("A6", "stored with two sizes"): (zip_of([Part("a.txt", DATA, method=0, packed=DATA + b"x")]), "a.txt"),
    ("A6", "deep"): (named("/".join("d" * 41)), "d/d"),
    ("A6", "long"): (named("/".join(["d" * 100] * 5)), "ddd"),
    ("A6", "wrong crc"): (zip_of([Part("a.txt", DATA, local={"crc": 1}, central={"crc": 1})]), "a.txt"),
    ("A6", "wrong crc, stored"): (
        zip_of([Part("a.txt", DATA, method=0, local={"crc": 1}, central={"crc": 1})]),
        "a.txt",
    ),
    ("A6", "longer than declared"): (zip_of([Part("a.txt", DATA, packed=deflate(DATA + b"x"))]), "a.txt"),
    ("A6", "much longer than declared"): (zip_of([Part("a.txt", DATA, packed=deflate(bytes(1 << 26)))]), "a.txt"),
    ("A6", "shorter than declared"): (zip_of([Part("a.txt", DATA, packed=deflate(DATA[1:]))]), "a.txt"),
    ("A6", "a stream that is cut off"): (zip_of([Part("a.txt", DATA, packed=deflate(DATA)[:-1])]), "a.txt"),
    ("A6", "bytes behind the stream"): (zip_of([Part("a.txt", DATA, packed=deflate(DATA) + b"x")]), "a.txt"),
    ("A6", "another stream behind"): (zip_of([Part("a.txt", DATA, packed=deflate(DATA) * 2)]), "a.txt"),
    ("A6", "no stream at all"): (zip_of([Part("a.txt", DATA, packed=b"")]), "a.txt"),
    ("A6", "no stream for nothing"): (zip_of([Part("a.txt", b"", packed=b"")]), "a.txt"),
    ("A6", "no deflate"): (zip_of([Part("a.txt", DATA, packed=b"\xff" * 20)]), "a.txt"),
    ("A7", "empty"): (named(""), "hostile.whl"),
    ("A7", "absolute"): (named("/etc/passwd"), "/etc/passwd"),
    ("A7", "parent"): (named("../a"), "../a"),
    ("A7", "parent inside"): (named("a/../../b"), "a/../../b"),
    ("A7", "parent last"): (named("a/.."), "a/.."),
    ("A7", "dot"): (named("./a"), "./a"),
    ("A7", "empty component"): (named("a//b"), "a//b"),
    ("A7", "slashes behind a directory"): (zip_of([Part("a//", mode=0o40755, method=0)]), "a//"),
    ("A7", "drive"): (named("C:/a"), "C:/a"),
    ("A7", "stream"): (named("a.py:b"), "a.py:b"),
    ("A7", "backslash"): (named("a\\..\\b"), "a"),
    ("A7", "NUL"): (named("a.py\0.txt"), "a.py\\x00.txt"),
    ("A7", "newline"): (named("a\nb"), "a\\nb"),
    ("A7", "escape"): (named("a\x1b[2J"), "a\\x1b[2J"),
    ("A7", "delete"): (named("a\x7f"), "a\\x7f"),
    ("A7", "C1 control"): (named("a\u0085"), "a\\x85"),
    ("A7", "BOM"): (named("\ufeffa"), "\\ufeffa"),
    ("A7", "bidi override"): (named("a\u202eyp.b"), "\\u202e"),
    ("A7", "bidi isolate"): (named("a\u2066b"), "\\u2066"),
    ("A7", "line separator"): (named("a\u2028b"), "\\u2028"),
    ("A7", "surrogate"): (zip_of([Part(b"a\xed\xa0\x80", DATA, flags=0x800)]), "a"),
    ("A7", "not UTF-8"): (zip_of([Part(b"a\xff", DATA, flags=0x800)]), "a"),
    ("A7", "overlong slash"): (zip_of([Part(b"a\xc0\xafb", DATA, flags=0x800)]), "a"),
    ("A7", "UTF-8 without saying so"): (zip_of([Part("ä".encode(), DATA)]), "\\xe4"),
    ("A7", "dot behind"): (named("a./b"), "a./b"),
    ("A7", "space behind"): (named("a /b"), "a /b"),
    ("A7", "long component"): (named("d" * 144), "ddd"),
    ("A7", "long component in bytes"): (named("ä" * 72), "\\xe4"),
    ("A8", "symlink"): (zip_of([Part("a.txt", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)]), "a.txt"),
    ("A8", "symlink from elsewhere"): (
        zip_of([Part("a.txt", b"/etc/passwd", mode=stat.S_IFLNK | 0o777, central={"made_by": 20})]),
        "a.txt",
    ),
    ("A8", "fifo"): (zip_of([Part("a.txt", mode=stat.S_IFIFO | 0o644)]), "a.txt"),
    ("A8", "device"): (zip_of([Part("a.txt", mode=stat.S_IFCHR | 0o644)]), "a.txt"),
    ("A8", "block device"): (zip_of([Part("a.txt", mode=stat.S_IFBLK | 0o644)]), "a.txt"),
    ("A8", "socket"): (zip_of([Part("a.txt", mode=stat.S_IFSOCK | 0o644)]), "a.txt"),
    ("A8", "directory mode of a file"): (zip_of([Part("a.txt", mode=stat.S_IFDIR | 0o755)]), "a.txt"),
    ("A8", "symlink named as a directory"): (zip_of([Part("a/", mode=stat.S_IFLNK | 0o777)]), "a/"),
    ("A8", "setuid"): (zip_of([Part("a.txt", DATA, mode=0o104755)]), "a.txt"),
    ("A8", "setgid"): (zip_of([Part("a.txt", DATA, mode=0o102755)]), "a.txt"),
    ("A8", "sticky"): (zip_of([Part("a.txt", DATA, mode=0o101755)]), "a.txt"),
    ("A8", "directory with contents"): (zip_of([Part("a/", DATA, mode=0o40755)]), "a/"),
    ("A8", "directory with hidden bytes"): (
        zip_of([Part("a/", b"", packed=deflate(DATA), mode=0o40755)]),
        "a/",
    ),
    ("A13", "whiteout"): (named("a/.wh.b"), "a/.wh.b"),
    ("A13", "opaque whiteout"): (named("a/.wh..wh..opq"), "a/.wh..wh..opq"),
}
