"""From a store to an artifact: right and complete under its name, or not there; and never the same bytes twice."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.breaking import BreaksReading
from support.bundle_factory import contents_of, make_bundle

from bundler.caching.file_locks import lock_file
from bundler.layers.packing import decode
from bundler.reporters import Reporter
from bundler.runtime.demands import Demands
from bundler.runtime.documents import ZSTD_LAYER_TYPE
from bundler.runtime.errors import BundleError, ContentError, Faults, TrustError
from bundler.runtime.verifying import verify
from bundler.stores.blobs import Blob
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import Options, copy
from bundler.stores.memory import MemoryStore
from bundler.stores.oci_layouts import LayoutStore
from bundler.stores.pulling import pull, staging_of

QUICK = Options(first_pause=0.001, retries=2)
SIZES = (3 << 20, 200_000, 1000)


class Breaking(BreaksReading, MemoryStore):
    """A store that breaks, once it has given *left* bytes of blobs."""


@pytest.fixture
def digest(tmp_path):
    return make_bundle(tmp_path / "made.pyz", *SIZES)


@pytest.fixture
def store(tmp_path, digest):
    store = Breaking()
    with BundleStore(tmp_path / "made.pyz") as source:
        copy(source, "latest", store, "v1")
    return store


def pulled(store, out, name="v1", form="pyz", **options):
    return pull(store, name, out, form=form, decode=decode, options=QUICK, **options)


def left_behind(directory):
    return sorted(path.name for path in directory.iterdir() if "made" not in path.name)


def test_what_was_pushed_comes_back_byte_for_byte(store, digest, tmp_path):
    done = pulled(store, tmp_path / "out.pyz", demands=Demands(digest))
    assert (tmp_path / "out.pyz").read_bytes() == (tmp_path / "made.pyz").read_bytes()
    assert (done.trust, done.copied.digest) == ("verified", digest)
    assert done.size == (tmp_path / "out.pyz").stat().st_size
    assert left_behind(tmp_path) == ["out.pyz"]


def test_a_packed_directory_comes_back_from_what_was_a_pyz(store, digest, tmp_path):
    make_bundle(tmp_path / "made-packed", *SIZES, form="packed")
    pulled(store, tmp_path / "out", form="packed")
    assert contents_of(tmp_path / "out") == contents_of(tmp_path / "made-packed")
    assert left_behind(tmp_path) == ["out"]


def test_a_tree_is_written_and_verifies(store, digest, tmp_path):
    pulled(store, tmp_path / "tree", form="tree")
    assert verify(str(tmp_path / "tree"), Demands(digest)).trust == "verified"
    assert left_behind(tmp_path) == ["tree"]


def test_without_a_digest_it_is_only_self_consistent(store, digest, tmp_path):
    assert pulled(store, tmp_path / "a.pyz").trust == "self-consistent"
    assert pulled(store, tmp_path / "b.pyz", name=digest).trust == "verified"


def test_another_digest_leaves_nothing(store, tmp_path):
    with pytest.raises(TrustError) as caught:
        pulled(store, tmp_path / "out.pyz", demands=Demands("sha256:" + "0" * 64))
    assert caught.value.exit_code == 4
    assert left_behind(tmp_path) == []


def test_what_is_there_stays_unless_it_is_to_be_replaced(store, tmp_path):
    (tmp_path / "out.pyz").write_bytes(b"mine")
    with pytest.raises(BundleError, match="exists already"):
        pulled(store, tmp_path / "out.pyz")
    assert (tmp_path / "out.pyz").read_bytes() == b"mine"
    pulled(store, tmp_path / "out.pyz", force=True)
    assert (tmp_path / "out.pyz").read_bytes() == (tmp_path / "made.pyz").read_bytes()


def test_a_pull_that_broke_goes_on_where_it_broke(store, digest, tmp_path):
    whole = pulled(store, tmp_path / "whole.pyz").copied.sent
    store.left = 2 << 20  # in the middle of the large layer
    with pytest.raises(BundleError, match="the connection broke"):
        pulled(store, tmp_path / "out.pyz")
    assert not (tmp_path / "out.pyz").exists()
    store.left = sys.maxsize
    again = pulled(store, tmp_path / "out.pyz", demands=Demands(digest))
    assert again.copied.sent <= whole - (1 << 20)
    assert (tmp_path / "out.pyz").read_bytes() == (tmp_path / "made.pyz").read_bytes()
    assert left_behind(tmp_path) == ["out.pyz", "whole.pyz"]


def test_an_interrupt_leaves_nothing_under_the_final_name_and_the_old_artifact_there(store, tmp_path):
    class Interrupting(Reporter):
        def copying(self, blobs, size, *, present):
            raise KeyboardInterrupt

    make_bundle(tmp_path / "made-old.pyz", 5000, seed=1)
    (tmp_path / "made-old.pyz").rename(tmp_path / "out.pyz")
    before = (tmp_path / "out.pyz").read_bytes()
    for name, force in (("out.pyz", True), ("new.pyz", False)):
        with pytest.raises(KeyboardInterrupt):
            pulled(store, tmp_path / name, force=force, reporter=Interrupting())
    assert (tmp_path / "out.pyz").read_bytes() == before
    assert not (tmp_path / "new.pyz").exists()


@pytest.mark.parametrize("form", ["pyz", "packed"])
def test_what_the_old_artifact_has_does_not_travel(form, tmp_path):
    old, new = tmp_path / "made-old", tmp_path / "made-new.pyz"
    out = tmp_path / ("out.pyz" if form == "pyz" else "out")
    make_bundle(out, 3 << 20, 1000, form=form, scratch=old)
    make_bundle(new, 3 << 20, 2000)
    store = MemoryStore()
    with BundleStore(new) as source:
        copy(source, "latest", store, "v2")
    done = pulled(store, out, name="v2", form=form, force=True)
    assert done.copied.adopted >= 1
    assert done.copied.sent < 300_000
    verify(str(out), Demands(done.copied.digest), decode=decode)


def test_damage_in_the_old_artifact_is_noticed_and_that_blob_travels(store, digest, tmp_path):
    data = bytearray((tmp_path / "made.pyz").read_bytes())
    data[len(data) // 2] ^= 1  # in the large layer
    (tmp_path / "out.pyz").write_bytes(data)
    done = pulled(store, tmp_path / "out.pyz", force=True, demands=Demands(digest))
    assert done.copied.sent > 3 << 20
    assert (tmp_path / "out.pyz").read_bytes() == (tmp_path / "made.pyz").read_bytes()


def test_an_image_that_is_no_bundle_gets_no_name(tmp_path):
    from support.blob_factory import make_image

    store = MemoryStore()
    make_image(1000).put(store, "v1")
    with pytest.raises(ContentError):
        pulled(store, tmp_path / "out.pyz")
    assert left_behind(tmp_path) == []


def test_a_bundle_whose_index_says_other_files_than_its_layers_hold_gets_no_name(tmp_path):
    """Every blob is what its digest says, and yet the bundle is wrong: only full verification sees it."""
    import dataclasses

    from support.image_factory import make_image, make_layer

    from bundler.images.carriers import write_carrier
    from bundler.images.oci_image import assemble

    layer = make_layer(tmp_path / "made-layers", "x", {"site-packages/x.py": b"x = 1\n"})
    file = layer.packed.files[0]._replace(sha256="0" * 64)
    lying = dataclasses.replace(layer, packed=dataclasses.replace(layer.packed, files=(file,)))
    right = make_image(tmp_path / "made-image")
    image = assemble((lying,), target=right.tree.target, libc_version="2.17", bytecode=None, documents=right.documents)
    write_carrier(image, tmp_path / "made.pyz", form="pyz", force=True, decode=decode, jobs=1)
    store = MemoryStore()
    with BundleStore(tmp_path / "made.pyz") as source:
        copy(source, "latest", store, "v1")
    for form, name in (("pyz", "out.pyz"), ("packed", "out"), ("tree", "tree")):
        with pytest.raises((ContentError, Faults)):
            pulled(store, tmp_path / name, form=form, demands=Demands(image.digest))
    assert left_behind(tmp_path) == []


def test_two_pulls_to_one_path_do_not_disturb_each_other(store, tmp_path):
    import os

    staging = staging_of(tmp_path / "out.pyz")
    staging.mkdir()
    lock = lock_file(staging, create=False)
    with pytest.raises(BundleError, match="another process"):
        pulled(store, tmp_path / "out.pyz")
    os.close(lock)
    pulled(store, tmp_path / "out.pyz")


def test_leftovers_of_another_bundle_do_no_harm(store, digest, tmp_path):
    leftovers = LayoutStore(staging_of(tmp_path / "out.pyz"))
    blob = Blob.of(b"old", ZSTD_LAYER_TYPE)
    leftovers.write(blob, lambda offset: iter([b"old"[offset:]]))
    leftovers.set_name("latest", blob, b"old")
    pulled(store, tmp_path / "out.pyz", demands=Demands(digest))
    assert left_behind(tmp_path) == ["out.pyz"]


def test_the_pulled_pyz_runs_with_nothing_installed(store, digest, tmp_path):
    pulled(store, tmp_path / "out.pyz")
    answer = subprocess.run(
        [sys.executable, "-I", tmp_path / "out.pyz", "verify", "--expect", digest],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
