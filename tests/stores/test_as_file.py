"""``--as-file``: a .pyz or a wheelhouse as it is, complete and right or not there."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from support import google_server
from support.breaking import BreaksReading
from support.bundle_factory import contents_of, make_bundle
from support.commands import bundle
from support.wheel_factory import make_wheel

from bundler.layers.packing import decode
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, ContentError, TrustError
from bundler.stores.as_file import pull_files, push_files
from bundler.stores.file_places import DirectoryFiles, open_files


class Breaking(BreaksReading, DirectoryFiles):
    """A place that breaks, once it has given *left* bytes."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("bundler.fetching.retries.time.sleep", lambda _: None)
    return Breaking(tmp_path / "place")


@pytest.fixture
def google(tmp_path):
    with google_server.serving(google_server.Google()) as server:
        environ = {"STORAGE_EMULATOR_HOST": server.url}
        yield open_files("gs://bucket/some/prefix/deps.pyz", environ)[0]


@pytest.fixture
def digest(tmp_path):
    return make_bundle(tmp_path / "deps.pyz", 2 << 20, 1000)


@pytest.fixture
def wheelhouse(tmp_path, cache):
    make_wheel(tmp_path / "wheels", "one", "1.0")
    make_wheel(tmp_path / "wheels", "two", "2.0", requires=["one"])
    answer = bundle(
        *("create", "two", "--find-links", "wheels", "--no-index", "--cache-dir", cache.root, "--json"),
        *("--format", "wheelhouse", "-o", "house"),
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["digest"]


@pytest.mark.parametrize("kind", ["place", "google"])
@pytest.mark.parametrize("what", ["digest", "wheelhouse"])
def test_what_was_pushed_comes_back_byte_for_byte(kind, what, request, tmp_path):
    place, expect = request.getfixturevalue(kind), request.getfixturevalue(what)
    path = tmp_path / ("deps.pyz" if what == "digest" else "house")
    pushed = push_files(path, place, path.name, decode=decode, expect=expect)
    assert (pushed.digest, pushed.trust, pushed.sent) == (expect, "verified", pushed.size)
    assert push_files(path, place, path.name, decode=decode).sent == 0
    pulled = pull_files(place, path.name, tmp_path / "out", decode=decode, demands=Demands(expect))
    assert contents_of(tmp_path / "out") == contents_of(path)
    assert (pulled.files, pulled.sent) == (pushed.files, pushed.size)
    assert pull_files(place, path.name, tmp_path / "out", decode=decode, force=True).trust == "self-consistent"
    assert not list(tmp_path.glob(".*pull"))


def test_the_side_file_is_what_sha256sum_reads(digest, wheelhouse, place, tmp_path):
    for name in ("deps.pyz", "house"):
        push_files(tmp_path / name, place, name, decode=decode)
        answer = subprocess.run(
            ["sha256sum", "--check", "--strict", f"{name}.sha256"], cwd=place.root, capture_output=True, check=False
        )
        assert answer.returncode == 0, answer.stdout


def test_a_download_that_broke_goes_on_where_it_broke(digest, place, tmp_path):
    size = push_files(tmp_path / "deps.pyz", place, "deps.pyz", decode=decode).size
    place.left = 1_500_000
    with pytest.raises(BundleError, match="the connection broke"):
        pull_files(place, "deps.pyz", tmp_path / "out.pyz", decode=decode)
    assert not (tmp_path / "out.pyz").exists()
    place.left = sys.maxsize
    again = pull_files(place, "deps.pyz", tmp_path / "out.pyz", decode=decode, demands=Demands(digest))
    assert again.sent < size - 1_000_000
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "deps.pyz")


def test_an_upload_that_broke_is_not_there_and_the_next_completes_it(digest, place, tmp_path, monkeypatch):
    write = DirectoryFiles.write

    def fail(self, name, chunks):
        if name.endswith(".sha256"):
            raise KeyboardInterrupt
        write(self, name, chunks)

    monkeypatch.setattr(Breaking, "write", fail)
    with pytest.raises(KeyboardInterrupt):
        push_files(tmp_path / "deps.pyz", place, "deps.pyz", decode=decode)
    with pytest.raises(BundleError, match="does not exist, or is not complete"):
        pull_files(place, "deps.pyz", tmp_path / "out.pyz", decode=decode)
    monkeypatch.undo()
    push_files(tmp_path / "deps.pyz", place, "deps.pyz", decode=decode)
    pulled = pull_files(place, "deps.pyz", tmp_path / "out.pyz", decode=decode, demands=Demands(digest))
    assert pulled.trust == "verified"


def test_another_file_under_the_name_stays(digest, place, tmp_path):
    push_files(tmp_path / "deps.pyz", place, "deps.pyz", decode=decode)
    before = contents_of(place.root)
    make_bundle(tmp_path / "other.pyz", 100)
    with pytest.raises(BundleError, match="exists already, with other contents"):
        push_files(tmp_path / "other.pyz", place, "deps.pyz", decode=decode)
    assert contents_of(place.root) == before


def test_another_digest_than_expected_gets_no_name(digest, wheelhouse, place, tmp_path):
    for name in ("deps.pyz", "house"):
        with pytest.raises(TrustError):
            push_files(tmp_path / name, place, name, decode=decode, expect="sha256:" + "0" * 64)
        push_files(tmp_path / name, place, name, decode=decode)
        with pytest.raises(TrustError):
            pull_files(place, name, tmp_path / "out", decode=decode, demands=Demands("sha256:" + "0" * 64))
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / ".out.pull").exists()


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_damage_is_found_and_what_is_damaged_gets_no_name(digest, wheelhouse, place, tmp_path):
    for name in ("deps.pyz", "house"):
        push_files(tmp_path / name, place, name, decode=decode)
    flip(place.root / "deps.pyz")
    flip(place.root / "house" / "wheels" / "one-1.0-py3-none-any.whl")
    for name in ("deps.pyz", "house"):
        with pytest.raises(ContentError, match="is not what was promised"):
            pull_files(place, name, tmp_path / "out", decode=decode)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk\n",
        "{hex}  other.pyz\n",
        "{hex} house/requirements.txt\n",
        "{hex}  house/../../evil\n",
        "{hex}  house//etc/passwd\n",
        "{hex}  house/a\\b\n",
        "{hex}  house\n{hex}  house/requirements.txt\n",
        "{hex}  house/requirements.txt\n{hex}  house/requirements.txt\n",
    ],
)
@pytest.mark.slow
def test_side_files_that_lie_are_refused(text, wheelhouse, place, tmp_path):
    push_files(tmp_path / "house", place, "house", decode=decode)
    (place.root / "house.sha256").write_text(text.format(hex="a" * 64))
    with pytest.raises(ContentError, match="is no side file"):
        pull_files(place, "house", tmp_path / "out", decode=decode)
    assert not (tmp_path / ".out.pull").exists()


@pytest.mark.parametrize("change", ["added", "gone"])
def test_a_wheelhouse_must_have_the_wheels_that_it_names(change, wheelhouse, place, tmp_path):
    wheel = tmp_path / "house" / "wheels" / "one-1.0-py3-none-any.whl"
    if change == "added":
        wheel.with_name("evil-1.0-py3-none-any.whl").write_bytes(b"evil")
    else:
        wheel.unlink()
    with pytest.raises(ContentError, match=r"is not what requirements.txt names"):
        push_files(tmp_path / "house", place, "house", decode=decode)


def test_the_commands_do_both(digest, tmp_path):
    answer = bundle("push", "deps.pyz", "share/v1.pyz", "--as-file", "--expect", digest, cwd=tmp_path)
    assert re.match(r"share/v1.pyz: verified: [\d.]+ MB in 1 file, of which [\d.]+ MB travelled", answer.stdout), answer
    answer = bundle("pull", f"file://{tmp_path}/share/v1.pyz", "out.pyz", "--as-file", "--json", cwd=tmp_path)
    assert json.loads(answer.stdout)["digest"] == digest
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "deps.pyz")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["push", "deps.pyz", "oci://host/team/deps:v1", "--as-file"], 2, "names no place that keeps plain files"),
        (["push", "deps.pyz", "s3://bucket", "--as-file"], 2, "names no file"),
        (["push", "deps.pyz", "share/", "--as-file"], 2, "names no file"),
        (["push", "packed", "share/packed", "--as-file"], 2, "is neither a file nor a wheelhouse"),
        (["push", "text.txt", "share/text.txt", "--as-file"], 3, "is not a complete bundle"),
        (["pull", "share/none.pyz", "out.pyz", "--as-file"], 1, "does not exist, or is not complete"),
        (["pull", "share/v1.pyz", "deps.pyz", "--as-file"], 1, "exists already"),
        (
            ["pull", "share/v1.pyz", "x", "--as-file", "--format", "tree"],
            2,
            "takes the file as it is",
        ),
        (["pull", "share/v1.pyz", "packed", "--as-file", "--force"], 1, "is no wheelhouse, and stays"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_done_is_said(arguments, code, message, digest, tmp_path):
    bundle("push", "deps.pyz", "share/v1.pyz", "--as-file", cwd=tmp_path)
    make_bundle(tmp_path / "packed", 100, form="packed")
    (tmp_path / "text.txt").write_text("text")
    answer = bundle(*arguments, cwd=tmp_path)
    assert (answer.returncode, message in answer.stderr) == (code, True), answer.stderr
    assert (tmp_path / "packed" / "__main__.py").exists()
