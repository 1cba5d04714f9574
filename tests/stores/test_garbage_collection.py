"""What nothing needs goes, what anything needs stays, whoever pushes meanwhile."""

from __future__ import annotations

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.blob_factory import make_image, make_referrer, reader
from support.bundle_factory import make_bundle
from support.commands import bundle

from bundler.reporters import Reporter
from bundler.runtime.documents import INDEX_TYPE, to_json
from bundler.runtime.errors import BundleError, ContentError
from bundler.stores.blobs import Blob
from bundler.stores.copying import Options, copy
from bundler.stores.garbage_collection import collect
from bundler.stores.memory import MemoryStore
from bundler.stores.oci_layouts import LayoutStore

DAY = 24 * 3600.0


@pytest.fixture(params=["memory", "layout"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else LayoutStore(tmp_path / "store")


def age(store, seconds=2 * DAY):
    """Make everything in *store* as old as that."""
    then = time.time() - seconds
    if isinstance(store, LayoutStore):
        for path in (*(store.root / "blobs/sha256").iterdir(), *(store.root / ".partial").glob("*")):
            os.utime(path, (then, then))
    else:
        store._blobs = {digest: (data, then) for digest, (data, _) in store._blobs.items()}


def digests_in(store):
    return {held.digest for held in store.held()}


def digests_of(*made):
    return {blob.digest for each in made for blob in (*each.blobs, each.manifest)}


def test_what_no_name_needs_goes_and_what_is_shared_stays(store):
    kept, gone = make_image(5000, 100, seed=1).put(store, "v1"), make_image(5000, 200, seed=1).put(store, "v2")
    assert digests_in(store) == digests_of(kept, gone)
    store.remove_name("v2")
    age(store)
    done = collect(store)
    assert digests_in(store) == digests_of(kept)
    assert (done.names, done.kept, done.removed) == (1, 4, 2)
    assert (done.kept_size, done.freed, done.young) == (kept.size, 200 + gone.manifest.size, 0)


def test_what_is_young_stays(store):
    made = make_image(5000).put(store, "v1")
    store.remove_name("v1")
    done = collect(store)
    assert digests_in(store) == digests_of(made)
    assert (done.young, done.young_size, done.removed) == (3, made.size, 0)
    assert collect(store, older_than=0).removed == 3


def test_a_dry_run_says_the_same_and_removes_nothing(store):
    make_image(5000, seed=1).put(store, "v1")
    gone = make_image(5000, seed=2).put(store, "v2")
    make_image(10, seed=3).put(store, "old-1")
    store.remove_name("v2")
    age(store)
    before = digests_in(store), sorted(store.names())
    said = collect(store, forget=["old-*"], dry_run=True)
    assert (digests_in(store), sorted(store.names())) == before
    age(store)
    assert collect(store, forget=["old-*"]) == said
    assert said.forgotten == ("old-1",)
    assert said.freed > gone.size


def test_signatures_of_what_is_needed_stay_and_those_of_what_goes_go(store):
    kept, gone = make_image(10, seed=1).put(store, "v1"), make_image(20, seed=2).put(store, "v2")
    signatures = [make_referrer(made.manifest, f"of {n}".encode()).put(store) for n, made in enumerate((kept, gone))]
    countersignature = make_referrer(signatures[0].manifest, b"again").put(store)
    for subject, referrer in ((kept, signatures[0]), (gone, signatures[1]), (signatures[0], countersignature)):
        store.add_referrer(subject.manifest.digest, referrer.manifest)
    store.remove_name("v2")
    age(store)
    collect(store)
    assert digests_in(store) == digests_of(kept, signatures[0], countersignature)
    assert store.referrers(gone.manifest.digest) == []
    assert [blob.digest for blob in store.referrers(kept.manifest.digest)] == [signatures[0].manifest.digest]


def test_an_image_that_is_kept_by_its_digest_stays(store):
    made = make_image(10).put(store)
    store.set_name(made.manifest.digest, made.manifest, made.data)
    age(store)
    assert collect(store).removed == 0


def test_an_index_of_images_keeps_its_images(store):
    made = make_image(10).put(store)
    data = to_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [made.manifest.to_json()]})
    index = Blob.of(data, INDEX_TYPE)
    store.write(index, reader(data))
    store.set_name("multi", index, data)
    age(store)
    assert collect(store).removed == 0


def test_a_manifest_that_is_damaged_ends_it_before_anything_is_removed(tmp_path):
    store = LayoutStore(tmp_path / "store")
    made, gone = make_image(10, seed=1).put(store, "v1"), make_image(20, seed=2).put(store)
    path = store.path(made.manifest.digest)
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    age(store)
    with pytest.raises(ContentError):
        collect(store)
    assert digests_of(gone) <= digests_in(store)


def test_a_name_that_leads_nowhere_is_told_and_does_no_harm(tmp_path):
    class Hearing(Reporter):
        def warning(self, text):
            self.text = text

    store = LayoutStore(tmp_path / "store")
    broken, fine = make_image(10, seed=1).put(store, "v1"), make_image(20, seed=2).put(store, "v2")
    store.path(broken.manifest.digest).unlink()
    age(store)
    hearing = Hearing()
    collect(store, reporter=hearing)
    assert digests_in(store) == digests_of(fine)
    assert f"v1 leads to {broken.manifest.digest}, which is missing" in hearing.text


def test_names_are_forgotten_only_when_what_they_lead_to_is_old(store):
    make_image(10, seed=1).put(store, "layer-a")
    make_image(20, seed=2).put(store, "v1")
    age(store)
    make_image(30, seed=3).put(store, "layer-b")
    done = collect(store, forget=["layer-*"])
    assert done.forgotten == ("layer-a",)
    assert sorted(store.names()) == ["layer-b", "v1"]


def test_parts_that_nobody_goes_on_with_are_removed(tmp_path):
    store = LayoutStore(tmp_path / "store")
    make_image(10).put(store, "v1")
    partial = store.root / ".partial"
    (partial / ("a" * 64)).write_bytes(b"old")
    age(store)
    (partial / ("b" * 64)).write_bytes(b"new")
    collect(store)
    assert [path.name for path in partial.iterdir()] == ["b" * 64]


def test_a_blob_touched_between_the_look_and_the_removal_is_put_back(tmp_path, monkeypatch):
    store = LayoutStore(tmp_path / "store")
    made = make_image(10).put(store)
    age(store)
    blob = next(iter(made.blobs))
    rename = type(tmp_path).rename

    def touching(self, target):
        if self.name == blob.hex:
            os.utime(self)  # another process finds it just now
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", touching)
    assert store.remove(blob.digest, before=time.time() - DAY) is False
    assert store.has([blob]) == {blob.digest}


def test_pushes_at_the_same_time_lose_nothing(tmp_path):
    """Pushes that count on old blobs that nothing needs, while collections run: every name leads to all of it."""
    made = [make_image(20_000, 300, 50 + n, seed=n % 2) for n in range(4)]
    source = MemoryStore()
    for n, each in enumerate(made):
        each.put(source, f"v{n}")
    root = tmp_path / "store"

    def push(n):
        while True:
            try:
                return copy(source, f"v{n}", LayoutStore(root), f"v{n}", options=Options(jobs=2))
            except BundleError as error:
                if "has lost blobs" not in str(error):  # that one says: push again
                    raise

    def gather():
        return sum(collect(LayoutStore(root), older_than=3600).removed for _ in range(4))

    removed = 0
    with ThreadPoolExecutor(6) as executor:
        for _ in range(25):
            for n in range(4):
                push(n)
                LayoutStore(root).remove_name(f"v{n}")
            age(LayoutStore(root))
            working = [executor.submit(gather) for _ in range(2)] + [executor.submit(push, n) for n in range(3)]
            results = [future.result() for future in working]
            removed += sum(results[:2])
            store = LayoutStore(root)
            for n in range(3):
                assert store.find(f"v{n}").digest == made[n].manifest.digest
                blobs = [*made[n].blobs, made[n].manifest]
                assert store.has(blobs) == {blob.digest for blob in blobs}
    assert removed > 25


@pytest.mark.slow
def test_processes_that_push_while_others_collect_lose_nothing(tmp_path):
    digests = [make_bundle(tmp_path / f"{n}.pyz", 5 << 20, 1000 + n) for n in range(3)]
    for _ in range(5):
        for n in range(3):
            assert bundle("push", f"{n}.pyz", f"store:v{n}", cwd=tmp_path).returncode == 0
            LayoutStore(tmp_path / "store").remove_name(f"v{n}")
        age(LayoutStore(tmp_path / "store"))
        with ThreadPoolExecutor(5) as executor:
            gathering = [executor.submit(bundle, "gc", "store", cwd=tmp_path) for _ in range(2)]
            pushing = [executor.submit(bundle, "push", f"{n}.pyz", f"store:v{n}", cwd=tmp_path) for n in range(3)]
        assert all(future.result().returncode == 0 for future in gathering)
        for n in range(3):
            answer = pushing[n].result()
            assert answer.returncode == 0 or "Push again" in answer.stderr
            if answer.returncode == 0:
                pulled = bundle("pull", f"store:v{n}", "out.pyz", "--force", "--expect", digests[n], cwd=tmp_path)
                assert pulled.returncode == 0, pulled.stderr


def test_the_command_says_what_it_did(tmp_path):
    digest = make_bundle(tmp_path / "a.pyz", 300_000)
    make_bundle(tmp_path / "b.pyz", 400_000, seed=2)
    for name in "ab":
        assert bundle("push", f"{name}.pyz", f"store:{name}", cwd=tmp_path).returncode == 0
    LayoutStore(tmp_path / "store").remove_name("b")
    answer = bundle("gc", "store", cwd=tmp_path)
    assert "0 blobs, 0.0 MB were removed" in answer.stdout
    assert re.search(r"too young  4 blobs, 0\.[45] MB", answer.stdout)
    said = json.loads(bundle("gc", "store", "--older-than", "0", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert (said["removed"], said["dry_run"], said["names"]) == (4, True, 1)
    answer = bundle("gc", "store", "--older-than", "0", cwd=tmp_path)
    assert re.search(r": 4 blobs, 0\.[45] MB were removed", answer.stdout)
    assert bundle("pull", "store:a", "out.pyz", "--expect", digest, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "does not exist"),
        (["store:v1"], 2, "names one bundle"),
        (["a.pyz"], 2, "is a bundle, not a store"),
        (["store", "--older-than", "-1"], 2, "is not a number of hours"),
    ],
)
def test_what_cannot_be_collected_is_said(arguments, code, message, tmp_path):
    make_bundle(tmp_path / "a.pyz", 10)
    assert bundle("push", "a.pyz", "store", cwd=tmp_path).returncode == 0
    answer = bundle("gc", *arguments, cwd=tmp_path)
    assert (answer.returncode, message in answer.stderr) == (code, True), answer.stderr
