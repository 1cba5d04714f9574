"""``.pyz`` files that must be refused: zips that no bundler has written, and that other readers may read otherwise."""

from __future__ import annotations

import struct
from typing import NamedTuple

from support.wheel_factory import Part, deflate, zip_of

DATA = b'{"imageLayoutVersion":"1.0.0"}'
NO_HEADER, TWO_HEADERS = "has a header that no bundle has", "two headers that differ"
NO_BUNDLE = "is not a complete bundle"


class Case(NamedTuple):
    """The bytes of the ``.pyz``, the rule and a part of the message."""

    rule: str
    data: bytes
    says: str


def _part(name: str | bytes = "oci-layout", **more: object) -> Part:
    return Part(name, **{"data": DATA, "method": 0, **more})  # type: ignore[arg-type]


A, B = _part("index.json"), _part()
WIDE = struct.pack("<2H2Q", 1, 16, len(DATA), len(DATA))

CASES = {
    "nothing": Case("A3", b"", NO_BUNDLE),
    "no zip": Case("A3", b"#!/usr/bin/env python3\nprint()\n" * 9, NO_BUNDLE),
    "truncated": Case("A3", zip_of([A, B])[:-1], NO_BUNDLE),
    "bytes behind": Case("A3", zip_of([A, B], after=b"\n"), NO_BUNDLE),
    "a comment": Case("A3", zip_of([A, B], after=b"hi", comment_length=2), NO_BUNDLE),
    "a program in front": Case("A3", b"#!/bin/sh\n" + zip_of([A, B]), NO_BUNDLE),
    "a program in front, offsets right": Case(
        "A4", zip_of([_part("index.json", before=b"#!/bin/sh\n"), B]), "does not follow"
    ),
    "a program in front of nothing": Case("A3", zip_of([], gap=b"#!/bin/sh\n"), NO_BUNDLE),
    "a gap between members": Case("A4", zip_of([A, _part(before=b"\0")]), "does not follow on the member before it"),
    "a gap before the directory": Case("A3", zip_of([A, B], gap=b"\0"), NO_BUNDLE),
    "bytes behind the entries": Case("A3", zip_of([A, B], behind_entries=b"\0" * 9), NO_BUNDLE),
    "too few entries": Case("A3", zip_of([A, B], here=1, count=1), NO_BUNDLE),
    "too many entries": Case("A3", zip_of([A, B], here=3, count=3), NO_BUNDLE),
    "another disk": Case("A3", zip_of([A, B], disk=1), NO_BUNDLE),
    "another disk for the directory": Case("A3", zip_of([A, B], first_disk=1), NO_BUNDLE),
    "a directory elsewhere": Case("A3", zip_of([A, B], directory_start=1), NO_BUNDLE),
    "zip64": Case("A3", zip_of([A, B], zip64={}, count=0xFFFF, here=0xFFFF), NO_BUNDLE),
    "members in another order than their entries": Case(
        "A4", zip_of([_part("a", central={"offset": 31 + len(DATA)}), _part("b", central={"offset": 0})]), "follow"
    ),
    "entries that share a member": Case("A4", zip_of([A, _part("index.json2", central={"offset": 0})]), "follow"),
    "a member twice": Case("A4", zip_of([A, A]), NO_HEADER),
    "deflated": Case("A4", zip_of([_part(method=8)]), NO_HEADER),
    "deflated, it does not say so": Case("A4", zip_of([_part(packed=deflate(DATA))]), NO_HEADER),
    "a descriptor": Case("A4", zip_of([_part(flags=8)]), NO_HEADER),
    "encrypted": Case("A4", zip_of([_part(flags=1)]), NO_HEADER),
    "an extra field": Case("A4", zip_of([_part(central_extra=WIDE)]), NO_HEADER),
    "a comment of a member": Case("A4", zip_of([_part(comment=b"hi")]), NO_HEADER),
    "a local extra field": Case("A4", zip_of([_part(local_extra=WIDE)]), TWO_HEADERS),
    "another local name": Case("A4", zip_of([_part(local_name=b"oci-lay0ut")]), TWO_HEADERS),
    "a longer local name": Case("A4", zip_of([_part(local_name=b"oci-layout2")]), TWO_HEADERS),
    **{
        f"another local {field}": Case("A4", zip_of([_part(local={field: 1})]), TWO_HEADERS)
        for field in ("needed", "flags", "method", "crc", "compressed", "size", "name_length", "extra_length")
    },
    "needs a newer zip": Case("A4", zip_of([_part(central={"needed": 45})]), NO_HEADER),
    "a name with a NUL": Case("A4", zip_of([_part(b"oci-layout\0.txt")]), NO_HEADER),
    "a name with a newline": Case("A4", zip_of([_part(b"oci\nlayout")]), NO_HEADER),
    "a name in UTF-8": Case("A4", zip_of([_part("ä".encode())]), NO_HEADER),
    "a name in CP437": Case("A4", zip_of([_part(b"\x84")]), NO_HEADER),
    "no index.json": Case("C19", zip_of([B]), "index.json: is missing"),
}
