"""One changed byte anywhere in an artifact is found, and what is not found is provably inert."""

from __future__ import annotations

import os
import random
import struct
import subprocess

import pytest
from support.image_factory import make_image
from support.interpreters import python, target_of

from bundler.images.carriers import write_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, ContentError, Faults, TrustError
from bundler.runtime.verifying import verify

CANARY = b"open('canary', 'w').close()\n"
FILES = {
    "site-packages/mod.py": CANARY,
    "site-packages/data.bin": random.Random(7).randbytes(150_000),
    "site-packages/pkg/__init__.py": b"",
    "bin/tool": b"#!/usr/bin/env python3\n" + CANARY,
}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return make_image(
        tmp_path_factory.mktemp("image"), FILES, {"site-packages/b.py": b"b = 1\n"}, target=target_of("3.7")
    )


@pytest.fixture(scope="module", params=["pyz", "packed", "tree"])
def artifact(request, image, tmp_path_factory):
    import zstandard

    out = tmp_path_factory.mktemp("artifact") / ("deps.pyz" if request.param == "pyz" else "deps")
    decode = lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)  # noqa: E731
    write_carrier(image, out, form=request.param, force=False, decode=decode, jobs=1)
    return out


def test_an_untouched_artifact_is_verified(artifact, image, decode):
    assert verify(str(artifact), Demands(image.digest), decode=decode).trust == "verified"
    assert verify(str(artifact), decode=decode).trust == "self-consistent"


def test_b17_another_digest_than_expected_is_refused(artifact):
    with pytest.raises(TrustError) as caught:
        verify(str(artifact), Demands("sha256:" + "0" * 64))
    assert (caught.value.rule, caught.value.exit_code) == ("B17", 4)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x40]))


def inert_bytes_of_zip(data):
    """Return the offsets that no reader uses: versions, times, attributes, and disk numbers of the central headers."""
    inert = set()
    size, start = struct.unpack_from("<2L", data, len(data) - 10)
    at = start
    while at < start + size:
        n = struct.unpack_from("<H", data, at + 28)[0]
        offset = struct.unpack_from("<L", data, at + 42)[0]
        inert |= set(range(at + 4, at + 8)) | set(range(at + 12, at + 16)) | set(range(at + 34, at + 42))
        inert |= {offset + 4, offset + 5, *range(offset + 10, offset + 14)}
        at += 46 + n
    return inert


def code_of_verify(path, image, decode):
    try:
        verify(str(path), Demands(image.digest), decode=decode)
    except BundleError as error:
        return error.exit_code
    return 0


def test_any_flipped_byte_of_a_pyz_is_refused_or_inert(image, tmp_path, decode):
    out = tmp_path / "deps.pyz"
    write_carrier(image, out, form="pyz", force=False, decode=decode, jobs=1)
    data = out.read_bytes()
    inert = inert_bytes_of_zip(data)
    generator = random.Random(1)
    tail = range(len(data) - 2500, len(data))
    for at in {*generator.sample(range(len(data)), 250), *range(120), *generator.sample(tail, 250)}:
        flip(out, at)
        if code_of_verify(out, image, decode) not in (3, 4):
            assert at in inert, f"byte {at} was flipped and nobody noticed"
        flip(out, at)
    assert out.read_bytes() == data


@pytest.mark.parametrize("form", ["packed", "tree"])
def test_any_flipped_byte_of_any_file_of_a_directory_is_refused(form, image, decode, tmp_path):
    copy = tmp_path / "deps"
    write_carrier(image, copy, form=form, force=False, decode=decode, jobs=1)
    generator = random.Random(2)
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        if (path.name.endswith(".py") and "bundle_runtime" in path.parts) or path.name in ("__main__.py", "oci-layout"):
            continue  # the runtime does not vouch for itself: see docs/security.md
        path.chmod(0o644)
        size = path.stat().st_size
        for at in {0, size - 1, *(generator.randrange(size) for _ in range(3))} if size else ():
            flip(path, at)
            with pytest.raises(BundleError) as caught:
                verify(str(copy), Demands(image.digest), decode=decode)
            assert caught.value.exit_code in (3, 4), path
            flip(path, at)


CHANGES = {
    "changed": lambda path: path.write_bytes(path.read_bytes() + b"#"),
    "emptied": lambda path: path.write_bytes(b""),
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name("other")),
    "replaced by a symlink": lambda path: (
        path.rename(path.parent.parent / "away"),
        path.symlink_to(path.parent.parent / "away"),
    ),
    "replaced by a directory": lambda path: (path.unlink(), path.mkdir()),
    "replaced by a fifo": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["manifest", "config", "layer 0", "layer 1", "launch layer", "index.json"])
def test_c19_a_packed_directory_with_a_bad_member_is_refused(image, tmp_path, decode, change, kind):
    out = tmp_path / "deps"
    write_carrier(image, out, form="packed", force=False, decode=decode, jobs=1)
    digest = {
        "manifest": image.digest,
        "config": image.manifest.config.digest,
        "layer 0": image.manifest.layers[0].digest,
        "layer 1": image.manifest.layers[1].digest,
        "launch layer": image.manifest.layers[-1].digest,
    }.get(kind)
    path = out / "blobs" / "sha256" / digest[7:] if digest else out / kind
    CHANGES[change](path)
    before = sorted(tmp_path.rglob("*"))
    answer = subprocess.run(
        [python("3.7"), out, "run", "--expect", image.digest, "--", "python", "-c", "import mod"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert answer.returncode in (3, 4), answer.stderr
    assert path.name in answer.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "path", ["site-packages/mod.py", "site-packages/data.bin", ".bundle/tree.json", ".bundle/pylock.toml"]
)
def test_c24_a_tree_with_a_bad_file_is_refused(image, tmp_path, decode, change, path):
    out = tmp_path / "deps"
    write_carrier(image, out, form="tree", force=False, decode=decode, jobs=1)
    (out / path).chmod(0o644)
    CHANGES[change](out / path)
    with pytest.raises(ContentError) as caught:
        verify(str(out), Demands(image.digest))
    assert path in str(caught.value)


@pytest.mark.parametrize(
    "extra",
    [
        "site-packages/evil.py",
        "site-packages/evil.pth",
        "site-packages/__pycache__/mod.cpython-37.pyc",
        "evil",
        "site-packages/empty/",
    ],
)
def test_c24_a_tree_with_an_extra_file_is_refused(image, tmp_path, decode, extra):
    out = tmp_path / "deps"
    write_carrier(image, out, form="tree", force=False, decode=decode, jobs=1)
    path = out / extra
    if extra.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("import os")
    with pytest.raises(ContentError, match="is extra"):
        verify(str(out), Demands(image.digest))


def test_reports_all_faults_in_one_run(image, tmp_path, decode):
    out = tmp_path / "deps"
    write_carrier(image, out, form="tree", force=False, decode=decode, jobs=1)
    (out / "site-packages/mod.py").unlink()
    (out / "site-packages/extra.py").write_text("")
    (out / "site-packages/pkg/__init__.py").chmod(0o644)
    (out / "site-packages/pkg/__init__.py").write_text("x")
    with pytest.raises(Faults) as caught:
        verify(str(out), Demands(image.digest))
    assert [fault.where for fault in caught.value.faults] == [
        "site-packages/extra.py",
        "site-packages/mod.py",
        "site-packages/pkg/__init__.py",
    ]


def test_lost_mode_bits_are_no_fault_but_set_id_bits_are(image, tmp_path, decode):
    out = tmp_path / "deps"
    write_carrier(image, out, form="tree", force=False, decode=decode, jobs=1)
    (out / "bin/tool").chmod(0o644)
    verify(str(out), Demands(image.digest))
    (out / "bin/tool").chmod(0o4755)
    with pytest.raises(ContentError, match="set-id"):
        verify(str(out), Demands(image.digest))


def test_names_the_file_that_a_damaged_frame_holds(image, tmp_path, decode):
    out = tmp_path / "deps"
    write_carrier(image, out, form="packed", force=False, decode=decode, jobs=1)
    layer = image.manifest.layers[1]
    flip(out / "blobs" / "sha256" / layer.digest[7:], 200)
    with pytest.raises(Faults) as caught:
        verify(str(out), Demands(image.digest), decode=decode)
    assert "bin/tool" in str(caught.value) or "data.bin" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 100, bytes(1000)])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "deps.pyz"
    path.write_bytes(content)
    with pytest.raises(ContentError, match="not a complete bundle"):
        verify(str(path))


def test_a_truncated_pyz_is_refused(image, tmp_path, decode):
    out = tmp_path / "deps.pyz"
    write_carrier(image, out, form="pyz", force=False, decode=decode, jobs=1)
    out.write_bytes(out.read_bytes()[:-1000])
    with pytest.raises(ContentError, match="truncated in transit"):
        verify(str(out))
