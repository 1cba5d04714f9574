"""What ``bundle diff`` says of two bundles, and that what it says will travel is what travels."""

from __future__ import annotations

import json
import random

import pytest
from support.commands import bundle
from support.interpreters import target_of
from support.wheel_factory import make_wheel, pin_of

from bundler.create import create
from bundler.fetching.index_options import IndexOptions
from bundler.locks import Lock
from bundler.options import Options
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import copy
from bundler.stores.oci_layouts import LayoutStore


@pytest.fixture
def two(tmp_path, cache):
    """Make two bundles: ``beta`` is newer in the second, ``gone`` is gone, ``new`` is new, ``same`` is the same."""
    wheels = tmp_path / "wheels"
    same = make_wheel(wheels, "same", "1.0", {"same.py": b"x = 1\n", "same.bin": random.Random(1).randbytes(1_200_000)})
    old = [same, make_wheel(wheels, "beta", "1.0"), make_wheel(wheels, "gone", "3.0")]
    new = [same, make_wheel(wheels, "beta", "2.0"), make_wheel(wheels, "new", "4.0")]
    digests = []
    for name, made in (("a.pyz", old), ("b.pyz", new)):
        locked = Lock(target=target_of("3.7"), pins=tuple(sorted(map(pin_of, made), key=lambda pin: pin.name)))
        options = Options(
            target=locked.target, indexes=lambda: IndexOptions(no_index=True), cache=cache, compile="never"
        )
        digests.append(create(locked, tmp_path / name, options=options).digest)
    return digests


def told(*arguments, cwd):
    answer = bundle("diff", *arguments, "--json", cwd=cwd)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_packages_added_removed_and_changed_are_told(two, tmp_path):
    answer = bundle("diff", "a.pyz", "b.pyz", cwd=tmp_path)
    assert answer.returncode == 0
    rows = [line.split()[:5] for line in answer.stdout.splitlines()[2:6]]
    assert rows == [
        ["changed", "beta", "1.0", "→", "2.0"],
        ["added", "new", "4.0", "0.0", "MB"],
        ["removed", "gone", "3.0", "0.0", "MB"],
        ["1", "package", "unchanged"],
    ]
    said = told("a.pyz", "b.pyz", cwd=tmp_path)
    assert [said["a"]["digest"], said["b"]["digest"], said["same"]] == [*two, False]
    assert [(item["old"]["version"], item["new"]["version"]) for item in said["changed"]] == [("1.0", "2.0")]
    assert [item["name"] for item in said["added"] + said["removed"]] == ["new", "gone"]


def test_the_bytes_that_are_said_to_travel_are_those_that_do(two, tmp_path):
    said = told("a.pyz", "b.pyz", cwd=tmp_path)
    store = LayoutStore(tmp_path / "store")
    for name in ("a", "b"):
        with BundleStore(tmp_path / f"{name}.pyz") as source:
            done = copy(source, "latest", store, name)
    assert (done.sent, done.sent_blobs) == (said["missing"], len(said["missing_blobs"]))
    assert (done.size, done.blobs) == (said["size"], said["blobs"])
    assert 0 < said["missing"] < said["size"] - 1_200_000


def test_bundles_are_compared_wherever_they_are(two, tmp_path):
    for name in ("a", "b"):
        bundle("push", f"{name}.pyz", f"store:{name}", cwd=tmp_path)
    bundle("unpack", "a.pyz", "tree", cwd=tmp_path)
    bundle("pull", "store:b", "packed", cwd=tmp_path)
    expected = {**told("a.pyz", "b.pyz", cwd=tmp_path), "a": None, "b": None}
    for old, new in (("store:a", "store:b"), ("tree", "packed"), (f"store@{two[0]}", "b.pyz")):
        assert {**told(old, new, cwd=tmp_path), "a": None, "b": None} == expected


def test_the_same_bundle_is_said_to_be_the_same(two, tmp_path):
    bundle("push", "a.pyz", "store", cwd=tmp_path)
    said = told("a.pyz", "store", cwd=tmp_path)
    assert (said["same"], said["missing"], said["unchanged"]) == (True, 0, 3)
    assert "the same bundle" in bundle("diff", "a.pyz", "store", cwd=tmp_path).stdout


def test_another_wheel_of_the_same_version_and_another_target_are_differences(tmp_path, cache):
    for name, code, version in (("a", b"x = 1\n", "3.7"), ("b", b"x = 2\n", "3.11")):
        wheel = make_wheel(tmp_path / name, "same", "1.0", {"same.py": code})
        locked = Lock(target=target_of(version), pins=(pin_of(wheel),))
        options = Options(
            target=locked.target, indexes=lambda: IndexOptions(no_index=True), cache=cache, compile="never"
        )
        create(locked, tmp_path / f"{name}.pyz", options=options)
    text = bundle("diff", "a.pyz", "b.pyz", cwd=tmp_path).stdout
    assert "1.0 → 1.0 (another wheel)" in text
    assert "target: cpython 3.7" in text


def test_compression_alone_is_said_to_be_no_other_tree(tmp_path, cache):
    wheel = make_wheel(tmp_path / "wheels", "same", "1.0", {"same.txt": b"text " * 9999})
    wheelhouse = ("--find-links", tmp_path / "wheels", "--no-index", "--offline", "--cache-dir", cache.root)
    for level in "19":
        answer = bundle(
            "create", "same", "--compile", "never", "--level", level, "-o", f"{level}.pyz", *wheelhouse, cwd=tmp_path
        )
        assert answer.returncode == 0, (answer.stderr, wheel)
    assert "only the compression differs" in bundle("diff", "1.pyz", "9.pyz", cwd=tmp_path).stdout


def test_what_is_no_bundle_is_said_to_be_none(two, tmp_path):
    answer = bundle("diff", "a.pyz", "nowhere", cwd=tmp_path)
    assert (answer.returncode, "does not exist" in answer.stderr) == (1, True)
    (tmp_path / "text.txt").write_text("text")
    assert bundle("diff", "a.pyz", "text.txt", cwd=tmp_path).returncode == 3
