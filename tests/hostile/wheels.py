"""Wheels that must be refused, by rule and variant; ``tests/wheels`` has the plain ones.

A wheel is made by ``make_wheel`` with the arguments that a case gives; all of it is right but the one thing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from support.wheel_factory import record_line

INFO, DATA = "demo-1.0.dist-info", "demo-1.0.data"
SCRIPTS = "[console_scripts]\n"
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"


class Case(NamedTuple):
    """What ``make_wheel`` gets, the rule that refuses it, and a part of the message."""

    rule: str
    options: dict[str, Any]
    says: str


def _files(**files: bytes) -> dict[str, Any]:
    return {"files": {"demo.py": b"x = 1\n", **{f"{INFO}/{name}": data for name, data in files.items()}}}


def _at(path: str, data: bytes = b"") -> dict[str, Any]:
    return {"files": {path: data}}


def _row(old: str, new: str) -> dict[str, Any]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return {"record": change}


def _wheel(tags: bytes) -> dict[str, Any]:
    return _files(WHEEL=b"Wheel-Version: 1.0\n" + tags)


CASES = {
    # A2: what a wheel says about itself.
    "a version that no int() takes": Case(
        "A2", _files(METADATA=b"Name: demo\nVersion: " + b"1" * 5000 + b"\n"), "has METADATA of another"
    ),
    "a name in the body of METADATA": Case(
        "A2", _files(METADATA=b"Metadata-Version: 2.1\n\nName: demo\nVersion: 1.0\n"), "has METADATA of another"
    ),
    "a name behind a carriage return": Case(
        "A2", _files(METADATA=METADATA + b"Summary: x\rName: other\n"), "has METADATA of another"
    ),
    "a second name in another case": Case("A2", _files(METADATA=METADATA + b"NAME: other\n"), "METADATA of another"),
    "a name that is continued": Case(
        "A2", _files(METADATA=b"Name: demo\n other\nVersion: 1.0\n"), "has METADATA of another"
    ),
    "a name that begins with a carriage return": Case(
        "A2", _files(METADATA=b"Name:\r demo\nVersion: 1.0\n"), "has METADATA of another"
    ),
    "METADATA with a BOM": Case("A2", _files(METADATA=b"\xef\xbb\xbfName: demo\nVersion: 1.0\n"), "METADATA"),
    "METADATA in UTF-16": Case("A2", _files(METADATA=METADATA.decode().encode("utf-16")), "not UTF-8"),
    "METADATA that is too large": Case("A2", _files(METADATA=METADATA + b"\n" + bytes(17 << 20)), "too large"),
    "a Kelvin sign for a k": Case("A2", _files(METADATA=b"Name: \xe2\x84\xaademo\nVersion: 1.0\n"), "METADATA"),
    "a requirement that is nested too deeply": Case(
        "A2",
        {"requires": ["a; " + "(" * 4000 + "os_name == 'x'" + ")" * 4000]},
        "too long or too deep",
    ),
    "a requirement that is nested more deeply than anybody needs": Case(
        "A2",
        {"requires": ["a; " + "(" * 33 + "os_name == 'x'" + ")" * 33]},
        "too long or too deep",
    ),
    "a requirement that is too long": Case("A2", {"requires": ["a" * 20_000]}, "too long or too deep"),
    "tags that stand for millions": Case(
        "A2",
        _wheel(b"Tag: " + b"-".join(b".".join(b"t%d" % n for n in range(300)) for _ in range(3)) + b"\n"),
        "has a Tag that is not understood",
    ),
    "a tag with an empty part": Case("A2", _wheel(b"Tag: py3-none-\n"), "has a Tag that is not understood"),
    "a tag that a terminal would obey": Case("A2", _wheel(b"Tag: \x1b[2J-none-any\n"), "\\x1b[2J"),
    "Wheel-Version 1.0, but only nearly": Case("A2", _files(WHEEL=b"Wheel-Version: 1.\xd9\xa0\n"), "Wheel-Version"),
    "an .egg-info's clothes": Case(
        "A2", {"files": {f"sub/{INFO}/METADATA": METADATA, f"{INFO}/METADATA": None}}, f"has no {INFO}/METADATA"
    ),
    # A9: RECORD.
    "RECORD in UTF-16": Case("A9", {"record": lambda text: text.encode("utf-16")}, "cannot be read"),
    "RECORD with a BOM": Case("A9", {"record": lambda text: "\ufeff" + text}, "which is not in the wheel"),
    "a row of another composition": Case(
        "A9",
        {"files": {"\u00e9.py": b""}, "record": lambda text: text.replace("\u00e9", "e\u0301")},
        "which is not in the wheel",
    ),
    "a row of another case": Case("A9", _row("demo.py,", "Demo.py,"), "which is not in the wheel"),
    "a row with a backslash": Case(
        "A9",
        {"files": {"d/a.py": b""}, "record": lambda text: text.replace("d/a", "d\\a")},
        "which is not in the wheel",
    ),
    "a row with a drive": Case("A9", _row("demo.py,", "C:demo.py,"), "which is not in the wheel"),
    "an absolute row": Case("A9", _row("demo.py,", "/demo.py,"), "which is not in the wheel"),
    "a row with a newline in its name": Case("A9", _row("demo.py,", '"demo\n.py",'), "'demo\\n.py'"),
    "a row with a NUL": Case("A9", _row("demo.py,", "demo.py\0,"), ""),
    "a row with a space in front": Case("A9", _row("demo.py,", " demo.py,"), "which is not in the wheel"),
    "two hashes in one row": Case("A9", _row("sha256=", "sha256=AAAA;sha256="), "has a hash that is not"),
    "a hash in upper-case hex": Case("A9", _row("sha256=", "sha256=" + "A" * 64 + "#"), "has a hash that is not"),
    "standard base64": Case("A9", _row("sha256=", "sha256=+/"), "has a hash that is not"),
    "shake": Case("A9", _row("sha256=", "shake_128="), "weak or unknown hash; got shake_128"),
    "md5 that is right": Case("A9", _row("demo.py,sha256=", "demo.py,md5="), "weak or unknown hash; got md5"),
    "a size with a sign": Case("A9", _row(",6\n", ",+6\n"), "has no size"),
    "a size with zeros in front of another": Case("A9", _row(",6\n", ",007\n"), "has another size"),
    "a size of a thousand digits": Case("A9", _row(",6\n", "," + "6" * 1000 + "\n"), "has no size"),
    "a field beyond csv's limit": Case("A9", _row("demo.py,", "d" * 200_000 + ","), "cannot be read"),
    "RECORD in another case": Case(
        "A9", {"files": {"demo.py": b"", f"{INFO}/record": b""}, "record": lambda _: None}, "has no"
    ),
    "a file that only a signature lists": Case(
        "A9",
        {
            "files": {"demo.py": b"", "evil.py": b"", f"{INFO}/RECORD.jws": b"evil.py"},
            "record": lambda text: text.replace(record_line("evil.py", b"") + "\n", ""),
        },
        "does not list evil.py",
    ),
    # A10: where files would go.
    "a scheme of its own": Case("A10", _at(f"{DATA}/stdlib/os.py"), "unknown data scheme"),
    "a scheme in another case": Case("A10", _at(f"{DATA}/Scripts/x"), "unknown data scheme"),
    "a file for a scheme": Case("A10", _at(f"{DATA}/scripts"), "unknown data scheme"),
    ".data in another case": Case("A10", _at("demo-1.0.DATA/scripts/x"), "has a .data directory of another"),
    **{
        f"a script called {name}": Case("A10", _at(f"{DATA}/scripts/{name}"), "program of the interpreter")
        for name in (
            "python",
            "python3",
            "python3.7",
            "PYTHON",
            "pip",
            "pip3",
            "activate",
            "activate.csh",
            "Activate.ps1",
        )
    },
    "an interpreter among the data": Case("A10", _at(f"{DATA}/data/bin/python3.7"), "program of the interpreter"),
    "an interpreter among the data, in another case": Case(
        "A10", _at(f"{DATA}/data/BIN/Python"), "program of the interpreter"
    ),
    "the index among the data": Case("A10", _at(f"{DATA}/data/.bundle/tree.json"), "files that are not its own"),
    "the index, in another case": Case("A10", _at(f"{DATA}/data/.Bundle/tree.json"), "files that are not its own"),
    "modules among the data": Case("A10", _at(f"{DATA}/data/site-packages/os.py"), "files that are not its own"),
    # A5: two files of a wheel at one place.
    "purelib over the root": Case("A5", {"files": {"a.py": b"1", f"{DATA}/purelib/a.py": b"2"}}, "installed twice"),
    "platlib over purelib, in another case": Case(
        "A5", {"files": {f"{DATA}/platlib/A.py": b"1", f"{DATA}/purelib/a.py": b"2"}}, "installed twice"
    ),
    "a script that needs a file as its directory": Case(
        "A5", {"files": {f"{DATA}/scripts/a": b"", f"{DATA}/data/bin/a/b": b""}}, "both a file and a directory"
    ),
    # A11: entry points that would get into a launcher or a file name.
    "a script that deletes a file of the image": Case(
        "A11", {"entry_points": SCRIPTS + ".wh.python = demo:main\n"}, "a name that no script can have"
    ),
    "a script with too long a name": Case(
        "A11", {"entry_points": SCRIPTS + "x" * 300 + " = demo:main\n"}, "a name that no script can have"
    ),
    "a script with a dot behind": Case(
        "A11", {"entry_points": SCRIPTS + "x. = demo:main\n"}, "a name that no script can have"
    ),
    "a script called Python": Case("A11", {"entry_points": SCRIPTS + "PYTHON3 = demo:main\n"}, "like an interpreter"),
    "a script called pythonw": Case("A11", {"entry_points": SCRIPTS + "pythonw = demo:main\n"}, "like an interpreter"),
    "a carriage return": Case("A11", {"entry_points": SCRIPTS + "x = demo:main\rimport evil\n"}, ""),
    "a NUL": Case("A11", {"entry_points": SCRIPTS + "x = demo:main\0\n"}, "does not name an object"),
    "a backslash": Case("A11", {"entry_points": SCRIPTS + "x = demo:main\\\n"}, "does not name an object"),
    "a walrus": Case("A11", {"entry_points": SCRIPTS + "x = demo:(y:=1)\n"}, "does not name an object"),
    "a dunder import": Case(
        "A11", {"entry_points": SCRIPTS + "x = demo:__import__('os')\n"}, "does not name an object"
    ),
    "a relative module": Case("A11", {"entry_points": SCRIPTS + "x = .demo:main\n"}, "does not name an object"),
    "a BOM": Case("A11", {"entry_points": "\ufeff" + SCRIPTS + "x = demo:main\n"}, "cannot be read"),
    # A12: by way of .data, where site would find them just the same.
    "startup code in purelib": Case(
        "A12", _at(f"{DATA}/purelib/x.pth", b"import os; os.system('id')\n"), "would run code at every start"
    ),
    "startup code in platlib": Case("A12", _at(f"{DATA}/platlib/x.pth", b"import\tevil\n"), "would run code"),
    "startup code behind a NUL": Case("A12", _at("x.pth", b"\0\nimport evil\n"), "would run code"),
    "startup code in Latin-1": Case("A12", _at("x.pth", b"\xff\nimport evil\n"), "would run code"),
    "startup code that a terminal would obey": Case("A12", _at("x.pth", b"import \x1b]0;evil\x07\n"), "\\x1b]0;evil"),
    "sitecustomize in purelib": Case("A12", _at(f"{DATA}/purelib/sitecustomize.py"), "that the bundle itself needs"),
    "usercustomize in platlib": Case("A12", _at(f"{DATA}/platlib/usercustomize.py"), "at every start of Python"),
    "the standard library in purelib": Case("A12", _at(f"{DATA}/purelib/hashlib.py"), "standard library; got hashlib"),
    "an extension for it": Case("A12", _at("_hashlib.abi3.so"), "standard library; got _hashlib"),
}
