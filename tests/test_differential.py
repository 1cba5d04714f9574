"""What we accept, independent readers read the same: zips, wheels, tars, frames and documents."""

from __future__ import annotations

import base64
import email.parser
import hashlib
import importlib.metadata
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard
from hostile import documents, zips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile
from packaging.metadata import parse_email
from packaging.utils import canonicalize_name
from packaging.version import Version
from support import independent_readers
from support.image_factory import make_image
from support.interpreters import VERSIONS, python
from support.small_zips import ACCEPTED
from support.wheel_factory import make_wheel, pin_of

from bundler.archives.zip_reader import Archive
from bundler.caching.build_cache import Cache
from bundler.create import lock
from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import index_options
from bundler.options import Options
from bundler.reporters import Reporter
from bundler.runtime.documents import parse_json
from bundler.runtime.errors import BundleError
from bundler.targets import PRESETS
from bundler.wheels.install import chunks_of, files_of
from bundler.wheels.wheel_reader import Wheel

RUNTIME = Path(__file__).parent.parent / "bundler"


def ours(path):
    with Archive.open(path) as archive:
        return {name: b"".join(archive.chunks(member)) for name, member in archive.members.items()}


@pytest.mark.slow
@pytest.mark.parametrize("reader", independent_readers.ZIP_READERS)
@pytest.mark.parametrize(
    "name", [name for name in [*ACCEPTED, *zips.ACCEPTED] if name != "no members"]
)  # 7z calls that an error
def test_every_reader_finds_in_an_accepted_zip_what_we_find(name, reader, tmp_path):
    path = tmp_path / "any.zip"
    path.write_bytes({**ACCEPTED, **zips.ACCEPTED}[name])
    out = tmp_path / "out"
    out.mkdir()
    assert independent_readers.ZIP_READERS[reader](path, out) == ours(path)


CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=3)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted({**ACCEPTED, **zips.ACCEPTED})), CHANGES)
def test_every_reader_finds_in_a_changed_zip_what_we_find_if_we_accept_it(tmp_path_factory, name, changes):
    data = bytearray({**ACCEPTED, **zips.ACCEPTED}[name])
    for at, value in changes:
        data[at % len(data)] = value
    directory = tmp_path_factory.mktemp("zip")
    path = directory / "any.zip"
    path.write_bytes(data)
    try:
        wanted = ours(path)
    except BundleError:
        return
    for reader, read in independent_readers.ZIP_READERS.items():
        out = directory / reader
        out.mkdir()
        if wanted:
            assert read(path, out) == wanted, reader


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_lists_the_names_that_we_list(version, tmp_path):
    """The same zip can have other names for another zipfile: not one that we accept."""
    wanted = {}
    for number, data in enumerate([*ACCEPTED.values(), *zips.ACCEPTED.values()]):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        wanted[path.name] = sorted(ours(path))
    code = (
        "import json, os, sys, zipfile; os.chdir(sys.argv[1]);"
        "print(json.dumps({p: sorted(n for n in zipfile.ZipFile(p).namelist() if n[-1] != '/') for p in os.listdir()}))"
    )
    found = subprocess.run([python(version), "-I", "-c", code, tmp_path], capture_output=True, check=True)
    assert json.loads(found.stdout) == wanted


def read_wheel(path, pin):
    with Wheel.open(path, pin, warn=lambda _: None) as wheel:
        contents = {entry.path: b"".join(wheel.chunks(entry)) for entry in wheel.entries}
        tree = {file.path: b"".join(chunks_of(wheel, file)) for file in files_of(wheel)}
        return wheel.dist_info, wheel.requires, wheel.entry_points, contents, tree


def compare_with_others(path, filename, found, directory):
    """Compare with `installer`, `packaging`, `email` and `importlib.metadata` what we have read."""
    dist_info, requires, entry_points, contents, tree = found
    with WheelFile.open(path) as source:
        assert source.dist_info_dir == dist_info
        theirs = {}
        for (name, hashed, size), stream, _ in source.get_contents():
            theirs[name] = stream.read()
            if hashed:
                algorithm, _, digest = hashed.partition("=")
                digest = base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4))
                assert hashlib.new(algorithm, theirs[name]).digest() == digest
                assert not size or int(size) == len(theirs[name])
        unlisted = {f"{dist_info}/{name}" for name in ("RECORD", "RECORD.jws", "RECORD.p7s")}
        assert {name: data for name, data in theirs.items() if name not in unlisted} == contents
        schemes = {name: str(directory / name) for name in ("purelib", "platlib", "headers", "scripts", "data")}
        schemes["platlib"] = schemes["purelib"]
        install(source, SchemeDictionaryDestination(schemes, "/usr/bin/python3", "posix"), {})
    installed = independent_readers.files_below(directory / "purelib")
    ignored = {f"{dist_info}/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")}
    # Not what we write anew, or leave out: shipped bytecode.
    wanted = {
        name: data
        for name, data in installed.items()
        if name not in ignored and not name.endswith(".pyc") and name not in unlisted
    }
    placed = {
        name.removeprefix("site-packages/"): data for name, data in tree.items() if name.startswith("site-packages/")
    }
    assert {name: data for name, data in placed.items() if name not in ignored} == wanted
    metadata = contents[f"{dist_info}/METADATA"]
    raw, _ = parse_email(metadata)
    name, _, rest = filename.partition("-")
    assert canonicalize_name(raw["name"]) == canonicalize_name(name)
    assert Version(raw["version"]) == Version(rest.partition("-")[0])
    message = email.parser.BytesParser().parsebytes(metadata)
    assert tuple(" ".join(line.split()) for line in message.get_all("Requires-Dist", [])) == requires
    read = importlib.metadata.PathDistribution(directory / "purelib" / dist_info)
    found_points = {(each.group, each.name, each.value) for each in read.entry_points}
    assert {(g, n, v) for g, group in entry_points.items() for n, v in group.items()} == found_points
    scripts = {file.name for file in (directory / "scripts").glob("*")}
    data_scripts = {file.name for file in (directory / "data" / "bin").glob("*")}
    assert {name.removeprefix("bin/") for name in tree if name.startswith("bin/")} == scripts | data_scripts


def test_others_read_and_install_a_wheel_as_we_do(tmp_path):
    files = {
        "demo/__init__.py": b"",
        'demo/d\u00e4ta, "more".txt': b"1",
        "demo-1.0.data/purelib/pure.py": b"",
        "demo-1.0.data/platlib/plat.so": b"\x7fELF",
        "demo-1.0.data/data/share/x": b"",
        "demo-1.0.data/scripts/run": b"#!/bin/sh\n",
    }
    points = "[console_scripts]\ndemo = demo:main\n[a.plugin]\nx = demo:y [extra]\n"
    path = make_wheel(tmp_path, files=files, entry_points=points, requires=["attrs>=1 ; python_version<'3.8'"])
    compare_with_others(path, path.name, read_wheel(path, pin_of(path)), tmp_path / "installed")


@pytest.fixture(scope="module")
def real_wheels(builder_cache):
    """Wheels as they are published: pin and path."""
    listed = Path(__file__).parent.parent / "fixtures" / "requirements" / "small.txt"
    options = Options(target=PRESETS["azureml-py37"], cache=Cache(builder_cache), compile="never")
    with options.cache.in_use():
        locked = lock(["setuptools", "ruamel.yaml", "coverage"], requirement_files=[listed], options=options)
        yield list(
            fetch(locked.pins, cache=options.cache, indexes=index_options(), jobs=2, offline=False, reporter=Reporter())
        )


@pytest.mark.network
def test_others_read_and_install_real_wheels_as_we_do(real_wheels, tmp_path):
    for pin, path in real_wheels:
        link = tmp_path / pin.filename
        link.symlink_to(path)
        found = read_wheel(path, pin)
        compare_with_others(link, pin.filename, found, tmp_path / pin.name)
        with Archive.open(path) as archive:
            assert independent_readers.by_zipfile(path, tmp_path).keys() == archive.members.keys()


@pytest.mark.network
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=st.integers(0, 99), changes=CHANGES, where=st.sampled_from(["anywhere", "directory", "headers"]))
def test_others_read_a_changed_real_wheel_as_we_do_if_we_accept_it(
    real_wheels, tmp_path_factory, choice, changes, where
):
    small = [pair for pair in real_wheels if pair[1].stat().st_size < 400_000]
    pin, path = small[choice % len(small)]
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\5\6") - 3000 if where == "directory" else 0
    for at, value in changes:
        if where == "headers":
            data[[n for n in range(0, len(data) - 4, 1) if data[n : n + 2] == b"PK"][at % 8] + at % 46] = value
        else:
            data[(start + at % (len(data) - start)) % len(data)] = value
    changed = tmp_path_factory.mktemp("wheel") / pin.filename
    changed.write_bytes(data)
    try:
        _, _, _, contents, _ = read_wheel(changed, pin)
    except BundleError:
        return
    theirs = independent_readers.by_zipfile(changed, changed.parent)
    assert {name: theirs[name] for name in contents} == contents
    assert all(name.endswith(("RECORD", "RECORD.jws", "RECORD.p7s")) for name in theirs.keys() - contents.keys())


FILES = {
    "site-packages/a.py": b"a = 1\n",
    "site-packages/empty.py": b"",
    "site-packages/" + "long/" * 30 + "name.txt": b"long",
    "site-packages/d\u00e4ta/\u6570 \u0434.bin": bytes(range(256)) * 700,
    "site-packages/" + "\u00e9" * 60 + ".py": b"more than 100 bytes",
    "site-packages/a b,'c\".txt": b"quotes",
    "site-packages/-rf": b"an option",
    "site-packages/block.bin": bytes(512),
    "bin/tool": b"#!/bin/sh\n",
}


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """An image of one layer: it, the blob's path, and the tar as the zstd program decodes it."""
    directory = tmp_path_factory.mktemp("image")
    image = make_image(directory, FILES, frame_size=1 << 16)
    blob = image.blobs[image.manifest.layers[1].digest]
    return image, blob, independent_readers.run("zstd", "-d", "-c", blob)


@pytest.mark.slow
def test_the_zstd_program_decodes_a_layer_as_we_do(layer):
    image, blob, tar = layer
    assert "sha256:" + hashlib.sha256(tar).hexdigest() == image.tree.layers[0].diff_id
    data, at, raw = Path(blob).read_bytes(), 0, 0
    for frame in image.manifest.layers[1].frames:
        one = data[at : at + frame.size]
        decoded = independent_readers.run("zstd", "-d", "-c", stdin=one)
        assert decoded == tar[raw : raw + frame.raw] == zstandard.ZstdDecompressor().decompress(one)
        at, raw = at + frame.size, raw + frame.raw
    for file in image.tree.layers[0].files:
        assert hashlib.sha256(tar[file.offset : file.offset + file.size]).hexdigest() == file.sha256


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["tar", "bsdtar", "7z"])
def test_other_programs_unpack_a_layer_as_we_do(layer, reader, tmp_path):
    _, _, tar = layer
    path, out = tmp_path / "layer.tar", tmp_path / "out"
    path.write_bytes(tar)
    out.mkdir()
    if reader == "7z":
        independent_readers.run("7z", "x", "-y", "-ttar", f"-o{out}", path)
    else:
        independent_readers.run(reader, "-x", "-p", "-f", path, "-C", out)
        assert (out / "bin/tool").stat().st_mode & 0o777 == 0o755
        assert (out / "site-packages/a.py").stat().st_mode & 0o777 == 0o644
    assert independent_readers.files_below(out) == FILES


@pytest.mark.slow
def test_tarfile_and_gzip_read_the_layers_as_we_do(layer):
    image, _, tar = layer
    with tarfile.open(fileobj=io.BytesIO(tar)) as theirs:
        found = {member.name: member.offset_data for member in theirs if member.isreg()}
    assert found == {file.path: file.offset for file in image.tree.layers[0].files}
    read = {}
    for descriptor in (image.manifest.layers[0], image.manifest.layers[-1]):
        unzipped = independent_readers.run("gzip", "-d", "-c", stdin=image.blobs[descriptor.digest])
        with tarfile.open(fileobj=io.BytesIO(unzipped)) as theirs:
            read.update((member.name, theirs.extractfile(member).read()) for member in theirs if member.isreg())
    assert read.pop(".bundle/tree.json") == image.tree.to_bytes()
    assert read == image.documents


GOOD_JSON = [b'{"a":[1,-2,null,true,"\xc3\xa4\\n\\u00e4"]}', b" 12 ", b'"\\\\ud800"', b"-0", b"[[[[]]]]", b'{"":{}}']


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_accepts_and_refuses_the_same_documents(version):
    code = """
import base64, json, sys
sys.path.insert(0, sys.argv[1])
from runtime.documents import parse_json
from runtime.errors import ContentError
found = []
for text in json.load(sys.stdin):
    try:
        found.append(parse_json(base64.b64decode(text), "document"))
    except ContentError as error:
        found.append([error.rule])
print(json.dumps(found))
"""
    inputs = json.dumps([base64.b64encode(data).decode() for data in [*documents.JSON.values(), *GOOD_JSON]])
    answer = subprocess.run(
        [python(version), "-I", "-c", code, RUNTIME], input=inputs, capture_output=True, text=True, check=True
    )
    found = json.loads(answer.stdout)
    assert found[: len(documents.JSON)] == [["B15"]] * len(documents.JSON)
    assert found[len(documents.JSON) :] == [parse_json(data, "document") for data in GOOD_JSON]
    assert found[len(documents.JSON) :] == [json.loads(data) for data in GOOD_JSON]
