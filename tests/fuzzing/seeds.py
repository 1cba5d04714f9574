"""What fuzzing begins with: right inputs of every kind, and those that the tests refuse."""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
from pathlib import Path

import zstandard
from support.commands import REQUIREMENTS
from support.image_factory import make_image
from support.lock_factory import Locked, pdm_lock, pipfile_lock, poetry_lock, pylock, pyproject
from support.small_zips import ACCEPTED, REFUSED
from support.wheel_factory import Part, record_line, zip_of

from bundler.archives.tar_writer import END, padding, tar_header
from bundler.images.carriers import write_carrier
from bundler.runtime.documents import to_json
from bundler.runtime.targets import Target

SEPARATOR = b"\xff\x00\xff"
DIGEST = "sha256:" + "0123456789abcdef" * 4
TARGET = Target("cpython", "3.7.16", "cp37m", "x86_64", "glibc", "2.27")
WHEEL_WORDS = (
    b"Name: demo\n",
    b"Version: 1.0\n",
    b"Requires-Dist: ",
    b"Tag: py3-none-any\n",
    b"Wheel-Version: 1.0\n",
    b"demo-1.0.data/scripts/",
    b"demo-1.0.data/data/",
    b"import os\n",
    b".pth",
    b"#!python",
    b"[console_scripts]\n",
    b"\n\n",
    b"\r",
)


def zips() -> list[bytes]:
    """Return zips of every kind that is accepted, and some that are not."""
    return [data for data in [*ACCEPTED.values(), *(data for data, _ in REFUSED.values())] if len(data) < 2000]


def zip_parts() -> list[bytes]:
    return [
        b"\0" * 8 + b"a/b.txt",
        SEPARATOR.join([b"\0\xa4\x81\5\2\0\0\0a/b.txt", b"\0\xed\x41\0\0\0\0\0a/", b"\5\xff\xa1\0\1\0\0\0abcdeu/x"]),
    ]


def wheels() -> list[bytes]:
    """Return METADATA, WHEEL, entry points, a name and contents, joined by the separator."""
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: attrs>=1; python_version < '3.8'\n"
    wheel = b"Wheel-Version: 1.0\nTag: py3-none-any\n"
    points = b"[console_scripts]\ndemo = demo:main\n"
    more = [
        (b"demo.py", b"x = 1\n"),
        (b"demo.pth", b"lib\nimport os\n"),
        (b"demo-1.0.data/scripts/run", b"#!python -u\n"),
        (b"demo-1.0.data/data/share/x", b""),
        (b"demo-1.0.data/purelib/argparse.py", b""),
    ]
    return [SEPARATOR.join([metadata, wheel, points, name, contents]) for name, contents in more]


def entry_points() -> list[bytes]:
    return [
        b"[console_scripts]\ndemo = demo:main\nb = a.b : c.d [x, y]\n[gui_scripts]\nx=a:b\n",
        b"# no\n[a.b]\nx = y\n z\n\n",
        b"[console_scripts]\nx = a:b\n  ; no\n  c\n",
    ]


def records() -> list[bytes]:
    from fuzzing.targets import FILES

    rows = [record_line(path, contents) for path, contents in FILES.items()]
    right = ("\n".join(rows) + "\ndemo-1.0.dist-info/RECORD,,\n").encode()
    return [right, right.replace(b"\n", b"\r\n"), right.replace(b"sha256", b"sha512")]


def documents() -> list[bytes]:
    return [b'{"a":[1,-2,null,true,"\xc3\xa4"],"b":{"c":""}}', b'"\\u00e4\\n"', b"[[[[]]]]", b" 12 "]


@functools.cache
def _image() -> object:
    files = {"site-packages/a.py": b"a = 1\n", "bin/a": b"#!/usr/bin/env python3\n"}
    return make_image(
        Path(tempfile.mkdtemp(prefix="bundler-seeds-")), files, {"site-packages/b.py": b"b" * 9000}, target=TARGET
    )


def manifests() -> list[bytes]:
    image = _image()
    return [image.blobs[image.digest]]


def configs() -> list[bytes]:
    image = _image()
    return [image.blobs[image.manifest.config.digest]]


def indexes() -> list[bytes]:
    whole = json.loads(_image().tree.to_bytes())
    small = {
        **whole,
        "documents": whole["documents"][:1],
        "layers": whole["layers"][:1],
        "launch": {**whole["launch"], "files": []},
    }
    return [to_json(small), _image().tree.to_bytes()]


def targets() -> list[bytes]:
    return [to_json(TARGET.to_json())]


def locks() -> list[bytes]:
    head = 'lock-version = "1.0"\ncreated-by = "someone"\n'
    row = '{ url = "https://example.test/demo-1.0-py3-none-any.whl", size = 7, hashes = { sha256 = "%s" } }' % (
        "ab" * 32
    )
    package = f'[[packages]]\nname = "demo"\nversion = "1.0"\nwheels = [{row}]\n'
    archive = f'[[packages]]\nname = "demo"\narchive = {row}\nmarker = "python_version < \'3.8\'"\n'
    return [(head + package).encode(), (head + archive).encode(), (head + "packages = []\n[tool.bundler]\n").encode()]


def configurations() -> list[bytes]:
    shared = b'target = "azureml-py38"\nrequirements = ["./app", "numpy"]\nfind-links = "shelf"\n'
    named = b'[bundles.train]\nlevel = 3\noffline = true\nrequirement = ["a.txt"]\n[bundles."serve it"]\n'
    wrong = [b"levle = 1", b"level = 99", b"force = true", b"python = 3.7", b'drop = ["a\\u0000b"]', b"bundles = 3"]
    return [shared, shared + named, *wrong]


def conda_files() -> list[bytes]:
    specs = ["python>=3.7,<3.9", "numpy=1.21.6=py37_0", "conda-forge::opencv", "'pandas 1.3.*'", "pip: [six, -r a.txt]"]
    small = "dependencies:\n" + "".join(f"- {spec}\n" for spec in specs)
    return [small.encode(), *(path.read_bytes() for path in sorted((REQUIREMENTS / "conda").glob("*.y*ml")))]


INSTALLED = ("METADATA", "RECORD", "direct_url.json", "WHEEL")


def installed() -> list[bytes]:
    """Return the files of a ``.dist-info``, joined."""
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: six>=1; python_version < '4'\n"
    record = "\n".join([record_line("demo.py", b""), "../../../bin/demo,,", "demo-1.0.dist-info/RECORD,,"]).encode()
    wheel = b"Wheel-Version: 1.0\nTag: py3-none-any\nTag: cp39.cp310-abi3-manylinux_2_17_x86_64\n"
    commit = b'{"url": "https://host/x.git", "subdirectory": "a", "vcs_info": {"vcs": "git", "commit_id": "%s"}}'
    archive = b'{"url": "https://host/x-1.0.tar.gz", "archive_info": {"hash": "sha256=%s"}}'
    return [
        SEPARATOR.join([metadata, record, commit % (b"a" * 40), wheel]),
        SEPARATOR.join([metadata, record, archive % (b"0" * 64), wheel]),
        SEPARATOR.join([metadata, b"", b'{"url": "file:///home/me/x", "dir_info": {"editable": true}}', wheel]),
    ]


def projects() -> list[bytes]:
    """Return the names of projects' files and of other tools' locks, each with a text."""
    hashes = ["sha256:" + "ab" * 32]
    wheel = Path("demo-1.0-py3-none-any.whl")
    packages = [Locked("demo", "1.0", [wheel], ("main", "dev"), "python_version < '3.8'", hashes=hashes)]
    source = '[package.source]\ntype = "git"\nurl = "git@host:a/b"\nresolved_reference = "%s"\n' % ("ab" * 20)
    poetry = '[tool.poetry.dependencies]\npython = "^3.7"\na = "~1.2"\n'
    poetry += 'b = [{git = "https://x.test/b", python = "<3.8"}]\n'
    dependencies, groups = ["a[b]>=1; python_version < '3.8'"], {"dev": ["c @ https://c"]}
    texts = [
        ("pyproject.toml", pyproject(dependencies=dependencies, groups=groups)),
        ("pyproject.toml", poetry),
        ("poetry.lock", poetry_lock(packages)),
        ("poetry.lock", poetry_lock(packages).replace("[metadata]", f"{source}[metadata]")),
        ("poetry.lock", poetry_lock(packages, version="1.1")),
        ("pdm.lock", pdm_lock(packages)),
        ("Pipfile.lock", pipfile_lock(packages)),
        ("pylock.toml", pylock(packages)),
    ]
    return [name.encode() + SEPARATOR + text.encode() for name, text in texts]


def frames() -> list[bytes]:
    """Return frames behind their uncompressed size in three bytes."""
    found = []
    for data, options in (
        (b"the quick brown fox " * 50, {}),
        (bytes(3000), {"write_checksum": True}),
        (b"", {"write_content_size": True}),
        (b"x" * 70_000, {"level": 19}),
    ):
        found.append(len(data).to_bytes(3, "little") + zstandard.ZstdCompressor(**options).compress(data))
    return found


def gzips() -> list[bytes]:
    whole = gzip.compress(b"layer 0 " * 99, mtime=0)
    return [whole, whole * 2, whole[:-8], whole[:3] + b"\x08" + whole[4:10] + b"name\0" + whole[10:]]


def pyzs() -> list[bytes]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "seed.pyz")
        write_carrier(_image(), out, form="pyz", force=False, decode=lambda *_: b"", jobs=1)
        whole = out.read_bytes()
    small = zip_of([Part("index.json", b"{}", method=0), Part("oci-layout", b"x", method=0)])
    return [whole, small]


def tars() -> list[bytes]:
    return [
        SEPARATOR.join([b"\0a.py\0x = 1\n", b"\1bin/run\0#!", b"\0" + b"d/" * 60 + b"long.txt\0contents"]),
        "\0ä/ü.py\0".encode() + b"x" * 3000,
    ]


def tars_written() -> list[bytes]:
    """Return tars as the packer writes them."""
    long = "d/" * 60 + "ü.txt"
    small = tar_header("a", directory=True) + tar_header("a/b", 3, executable=True) + b"abc" + padding(3)
    return [END, small + END, small + tar_header(long, 1) + b"x" + padding(1) + END]


def names() -> list[bytes]:
    return [b"a/b.py", "ä/ß.txt".encode(), b"a/../b", b".wh.x", b"C:/x"]
