"""Zips that must be refused, by rule and variant; ``support/small_zips.py`` has the plain ones.

Here are the systematic ones (every field of every header, every compression method), bombs as they are made in the
wild, polyglots, and what fuzzing has found.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from support.wheel_factory import Part, deflate, zip_of

DATA = b"some text, some text, some text\n"
FULL = 0xFFFFFFFF
HUGE = (1 << 63) + 7
A, B = Part("a.txt", DATA), Part("b.txt", DATA)


class Case(NamedTuple):
    """An input, the rule that refuses it, and a part of the message."""

    rule: str
    data: bytes
    says: str


def wide(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def quoted_bomb(count: int = 40) -> bytes:
    """Return a zip whose members quote the local headers of those behind them, so that all share one body."""
    name = [f"{n:04}" for n in range(count)]
    contents = bytes(1 << 20)
    kernel = deflate(contents)
    body = b""
    entries: list[tuple[str, int, bytes, int]] = []
    crc, size, packed = zlib.crc32(contents), len(contents), kernel
    local = b""
    for n in reversed(range(count)):
        if local:
            packed = struct.pack("<BHH", 0, len(local), ~len(local) & 0xFFFF) + local + packed
            crc, size = zlib.crc32(contents, zlib.crc32(local)), size + len(local)
            contents = local + contents
        fields = (b"PK\3\4", 20, 0, 8, 0, 0x21, crc, len(packed), size, 4, 0)
        local = struct.pack("<4s5H3L2H", *fields) + name[n].encode()
        entries.append((name[n], crc, packed, size))
    body = local + packed
    directory = b""
    for each, crc, packed, size in reversed(entries):
        offset = len(body) - len(packed) - 34
        fields = (b"PK\1\2", 0x314, 20, 0, 8, 0, 0x21, crc, len(packed), size, 4, 0, 0, 0, 0, 0o100644 << 16, offset)
        directory += struct.pack("<4s6H3L5H2L", *fields) + each.encode()
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + end


def shared_body(count: int = 40) -> bytes:
    """Return a zip whose entries all lead to one member."""
    data = bytes(1 << 20)
    member, _ = Part("0", data).headers(0)
    directory = b"".join(Part(str(n), data).headers(0)[1] for n in range(count))
    return member + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(member), 0)


_DESCRIBED = {"flags": 8, "local": {"crc": 0, "compressed": FULL, "size": FULL}, "local_extra": wide(0, 0)}

CASES = {
    # The local header and the central one, field by field; both are equally wrong for somebody.
    **{
        f"local {field} is {value:#x}": Case(rule, zip_of([Part("a.txt", DATA, local={field: value}), B]), "")
        for field, value, rule in (
            ("flags", 0x2, "A4"),
            ("flags", 0x1, "A4"),
            ("flags", 0x8, "A4"),
            ("method", 0, "A4"),
            ("method", 9, "A4"),
            ("crc", 0, "A4"),
            ("crc", FULL, "A4"),
            ("compressed", 0, "A4"),
            ("compressed", FULL, "A4"),
            ("size", 0, "A4"),
            ("size", FULL, "A4"),
            ("name_length", 4, "A4"),
            ("name_length", 0, "A4"),
            ("name_length", 0xFFFF, "A4"),
            ("extra_length", 1, "A3"),
            ("extra_length", 0xFFFF, "A3"),
        )
    },
    **{
        f"central {field} is {value:#x}": Case(rule, zip_of([Part("a.txt", DATA, central={field: value}), B]), "")
        for field, value, rule in (
            ("flags", 0x2, "A4"),
            ("method", 0, "A6"),
            ("crc", 0, "A4"),
            ("compressed", 0, "A4"),
            ("compressed", 1 << 31, "A3"),
            ("size", 0, "A4"),
            ("name_length", 4, "A3"),
            ("name_length", 0xFFFF, "A3"),
            ("extra_length", 9, "A3"),
            ("comment_length", 9, "A3"),
            ("disk", 0xFFFF, "A3"),
            ("offset", 1, "A3"),
        )
    },
    **{
        f"end record: {field} is {value:#x}": Case("A3", zip_of([A, B], **{field: value}), "hostile.whl")
        for field in ("disk", "first_disk", "here", "count", "directory_size", "directory_start", "comment_length")
        for value in (1, 0xFFFF)
    },
    **{
        f"zip64 end record: {field} is {value:#x}": Case(
            "A3",
            zip_of(
                [A, B],
                zip64={field: value},
                here=0xFFFF,
                count=0xFFFF,
                directory_size=FULL,
                directory_start=FULL,
            ),
            "hostile.whl",
        )
        for field in ("disk", "first_disk", "here", "count", "directory_size", "directory_start", "length", "at")
        for value in (1, FULL)
    },
    "zip64 end record: size beyond 2^63": Case(
        "A3", zip_of([A], zip64={"directory_size": HUGE, "directory_start": 2**64 - HUGE}), "hostile.whl"
    ),
    **{
        f"method {method}": Case("A6", zip_of([Part("a.txt", DATA, method=method)]), f"method {method}")
        for method in (1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 18, 19, 20, 93, 94, 95, 96, 97, 98, 99, 0xFFFF)
    },
    "a descriptor beyond the end of all files": Case(
        "A3",
        zip_of(
            [
                Part(
                    "a.txt",
                    DATA,
                    **_DESCRIBED,
                    central={"compressed": FULL},
                    central_extra=wide(HUGE),
                )
            ]
        ),
        "larger than the file",
    ),
    "an offset beyond 2^63": Case(
        "A3", zip_of([Part("a.txt", DATA, central={"offset": FULL}, central_extra=wide(HUGE))]), "a.txt"
    ),
    "a local zip64 field with two sizes for one": Case(
        "A4", zip_of([Part("a.txt", DATA, local={"size": FULL}, local_extra=wide(HUGE, HUGE))]), "a.txt"
    ),
    "members that quote each other": Case("A3", quoted_bomb(), "does not start where"),
    "entries that share a body": Case("A3", shared_body(), "does not start where"),
    "a bomb by ratio": Case("A6", zip_of([Part("a.txt", bytes(80 << 20))]), "unpacks to 83886080 bytes"),
    "a zip behind a zip": Case("A3", zip_of([A]) + zip_of([B]), "hostile.whl"),
    "a zip behind a zip, offsets right": Case("A3", zip_of([Part("b.txt", DATA, before=zip_of([A]))]), "b.txt"),
    "an ELF in front": Case("A3", b"\x7fELF" + bytes(60) + zip_of([A]), "hostile.whl"),
    "a PDF around": Case(
        "A3",
        zip_of([Part("a.txt", DATA, before=b"%PDF-1.4\n")], after=b"\n%%EOF", comment_length=6),
        "hostile.whl",
    ),
    "a zip in the comment": Case("A3", zip_of([A], after=zip_of([B]), comment_length=len(zip_of([B]))), "hostile.whl"),
    "an archive's signature block": Case("A3", zip_of([A], gap=b"APK Sig Block 42"), "hostile.whl"),
    "an archive extra data record": Case("A3", zip_of([A], gap=b"PK\6\x08\0\0\0\0"), "hostile.whl"),
    "a span marker": Case("A3", zip_of([Part("a.txt", DATA, before=b"PK\7\x08")]), "a.txt"),
    "CP437": Case("A7", zip_of([Part(b"caf\x82.py", DATA)]), "not UTF-8"),
    "directories that are the same composed": Case(
        "A5", zip_of([Part("\u00e9/", method=0, mode=0o40755), Part("e\u0301/", method=0, mode=0o40755)]), "twice"
    ),
    "a ligature": Case("A5", zip_of([Part("of\ufb01ce.py", DATA), Part("office.py", DATA)]), "twice"),
    "a final sigma": Case("A5", zip_of([Part("\u03c3.py", DATA), Part("\u03c2.py", DATA)]), "twice"),
    "a dotless i is another letter, a dotted I is not": Case(
        "A5", zip_of([Part("\u0130.py", DATA), Part("i\u0307.py", DATA)]), "twice"
    ),
    "a file below a directory with a dot behind": Case(
        "A7", zip_of([Part("d./", method=0, mode=0o40755), Part("d./a.py", DATA)]), "d./a.py"
    ),
    "a directory of dots": Case("A7", zip_of([Part("a/.../", method=0, mode=0o40755)]), "empty component"),
    "a parent as a directory": Case("A7", zip_of([Part("../", method=0, mode=0o40755)]), "empty"),
    "a name in UTF-7": Case("A7", zip_of([Part(b"a\x1b(B/b", DATA)]), "cannot be printed"),
    "a zero-width joiner": Case("A7", zip_of([Part("a\u200d.py", DATA)]), "cannot be printed"),
    "a no-break space": Case("A7", zip_of([Part("a\u00a0b.py", DATA)]), "cannot be printed"),
    "a private character": Case("A7", zip_of([Part("\ue000.py", DATA)]), "cannot be printed"),
    "a tag character": Case("A7", zip_of([Part("a\U000e0041.py", DATA)]), "cannot be printed"),
    "a network share": Case("A7", zip_of([Part("//host/share/a", DATA)]), "absolute"),
    "a device's name space": Case("A7", zip_of([Part("\\\\?\\C:\\a", DATA)]), "backslash"),
}

ACCEPTED = {
    "names that are devices elsewhere: the targets are Linux": zip_of(
        [Part("aux.py", DATA), Part("con/nul.txt", DATA)]
    ),
    "an empty directory with a dot behind, as in pyarrow 12": zip_of(
        [Part("pyarrow/a.py", DATA), Part("pyarrow./", method=0, mode=0o40755)]
    ),
    "home of nobody": zip_of([Part("~/a.py", DATA), Part("~root/.bashrc", DATA)]),
    "a name that is an option": zip_of([Part("-rf", DATA), Part("--checkpoint=1", DATA)]),
    "a name that is a command": zip_of([Part("$(id).py", DATA), Part("`id`;&|.txt", DATA)]),
    "another script": zip_of([Part("d/\u043f\u0440\u0438\u0432\u0435\u0442.py", DATA), Part("\u6570.py", DATA)]),
}
