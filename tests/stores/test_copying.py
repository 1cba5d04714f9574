"""Copying between stores, whatever their medium: what travels, what does not, and what a reader sees meanwhile."""

from __future__ import annotations

import pytest
from support.blob_factory import Made, make_image, make_referrer, reader

from bundler.fetching.retries import TransientError
from bundler.reporters import Reporter
from bundler.runtime.errors import BundleError, ContentError, TrustError, UsageError
from bundler.stores.copying import Options, copy, find
from bundler.stores.memory import MemoryStore
from bundler.stores.oci_layouts import LayoutStore
from bundler.stores.store import Store

QUICK = Options(first_pause=0.001)


class Counting(Reporter):
    def __init__(self):
        self.present = self.size = self.moved = 0
        self.warnings = []

    def copying(self, blobs, size, *, present):
        self.size += size
        self.present += present

    def copied(self, digest, size):
        self.moved += size

    def warning(self, text):
        self.warnings.append(text)


class Wrapped(MemoryStore):
    """A store in memory that notes what is done to it, in order, and may fail."""

    def __init__(self):
        super().__init__()
        self.log = []
        self.faults = []

    def _fault(self):
        if self.faults:
            raise self.faults.pop(0)

    def write(self, blob, read):
        self._fault()
        super().write(blob, read)
        self.log.append(blob.digest)

    def read(self, blob, offset=0):
        for chunk in super().read(blob, offset):
            for start in range(0, len(chunk), 1000):
                self._fault()
                yield chunk[start : start + 1000]

    def add_referrer(self, digest, referrer):
        super().add_referrer(digest, referrer)
        self.log.append(f"{referrer.digest} about {digest}")

    def set_name(self, name, manifest, data):
        super().set_name(name, manifest, data)
        self.log.append(name)


@pytest.fixture
def source():
    return Wrapped()


@pytest.fixture
def sink():
    return Wrapped()


def test_everything_arrives_and_the_name_is_last(source, sink):
    made = make_image(5000, 70_000, 3).put(source, "v1")
    signature = make_referrer(made.manifest).put(source)
    source.add_referrer(made.manifest.digest, signature.manifest)
    reporter = Counting()
    done = copy(source, "v1", sink, "stable", options=QUICK, reporter=reporter)
    assert done.digest == made.manifest.digest
    assert (done.blobs, done.size, done.referrers) == (5, made.size, 1)
    assert done.sent == made.size + signature.size == reporter.moved == reporter.size
    assert sink.find("stable").digest == made.manifest.digest
    assert {held.digest for held in sink.held()} == {held.digest for held in source.held()}
    assert [blob.digest for blob in sink.referrers(made.manifest.digest)] == [signature.manifest.digest]
    blobs = {blob.digest for blob in made.blobs}
    assert set(sink.log[:4]) == blobs
    assert sink.log[4] == made.manifest.digest
    assert sink.log[-2:] == [f"{signature.manifest.digest} about {made.manifest.digest}", "stable"]


def test_what_is_there_does_not_travel_again(source, sink):
    made = make_image(5000, 70_000).put(source, "v1")
    copy(source, "v1", sink, "v1", options=QUICK)
    reporter = Counting()
    again = copy(source, "v1", sink, "v2", options=QUICK, reporter=reporter)
    assert (again.sent, again.sent_blobs) == (0, 0)
    assert (reporter.present, reporter.moved) == (made.size, 0)
    changed = Made(*_with_another_layer(made))
    changed.put(source, "v3")
    third = copy(source, "v3", sink, "v3", options=QUICK)
    assert third.sent == 300 + changed.manifest.size
    assert third.sent_blobs == 2


def _with_another_layer(made):
    import json

    from support.blob_factory import blob_of

    from bundler.runtime.documents import MANIFEST_TYPE, to_json
    from bundler.stores.blobs import Blob

    layer, data = blob_of(300, "another")
    manifest = json.loads(made.data)
    manifest["layers"][-1] = layer.to_json()
    last = list(made.blobs)[-1]
    blobs = {blob: data for blob, data in made.blobs.items() if blob != last} | {layer: data}
    text = to_json(manifest)
    return Blob.of(text, MANIFEST_TYPE), text, blobs


def test_another_digest_than_expected_is_refused_and_nothing_travels(source, sink):
    made = make_image(10).put(source, "v1")
    with pytest.raises(TrustError, match="another bundle") as caught:
        copy(source, "v1", sink, "v1", expect="sha256:" + "0" * 64, options=QUICK)
    assert caught.value.exit_code == 4
    assert sink.log == []
    copy(source, "v1", sink, "v1", expect=made.manifest.digest, options=QUICK)
    with pytest.raises(UsageError, match="not a digest"):
        copy(source, "v1", sink, "v1", expect="12", options=QUICK)


def test_a_name_that_is_not_there_is_said_to_be_so_with_those_that_are(source, sink):
    make_image(10).put(source, "v1")
    with pytest.raises(BundleError, match=r"memory:: v2: does not exist\nhint: there are: v1"):
        copy(source, "v2", sink, "v2", options=QUICK)
    assert find(source, "v1").size


def test_a_digest_as_the_new_name_must_be_the_right_one(source, sink):
    made = make_image(10).put(source, "v1")
    with pytest.raises(UsageError, match="another digest"):
        copy(source, "v1", sink, "sha256:" + "0" * 64, options=QUICK)
    copy(source, "v1", sink, made.manifest.digest, options=QUICK)
    assert sink.find(made.manifest.digest) is not None


def test_a_source_that_breaks_now_and_then_is_read_on_from_where_it_broke(source, sink):
    made = make_image(50_000).put(source, "v1")
    source.faults = [TransientError("the connection broke")] * 3
    done = copy(source, "v1", sink, "v1", options=QUICK)
    assert done.sent == made.size
    assert sink.find("v1") is not None


def test_a_sink_that_fails_now_and_then_is_tried_again(source, sink):
    make_image(50_000, 10).put(source, "v1")
    sink.faults = [TransientError("the server says 503")] * 3
    copy(source, "v1", sink, "v1", options=QUICK)
    assert sink.find("v1") is not None


def test_patience_ends_and_no_name_is_set(source, sink):
    make_image(50_000).put(source, "v1")
    sink.faults = [TransientError("the server says 503")] * 100
    with pytest.raises(BundleError, match="the server says 503, after 3 attempts"):
        copy(source, "v1", sink, "v1", options=Options(retries=2, first_pause=0.001))
    assert sink.names() == []


@pytest.mark.parametrize("place", ["manifest", "blob"])
def test_damage_in_the_source_is_found_and_nothing_is_named(place, source, sink):
    made = make_image(50_000).put(source, "v1")
    victim = made.manifest if place == "manifest" else list(made.blobs)[-1]
    data, when = source._blobs[victim.digest]
    source._blobs[victim.digest] = (data[:-1] + bytes([data[-1] ^ 1]), when)
    with pytest.raises(ContentError, match="is not what was promised") as caught:
        copy(source, "v1", sink, "v1", options=QUICK)
    assert caught.value.exit_code == 3
    assert sink.names() == []
    assert sink.has([victim]) == set()


def test_a_referrer_that_is_about_another_image_is_left_out(source, sink):
    made, other = make_image(10, seed=1).put(source, "v1"), make_image(10, seed=2)
    stranger = make_referrer(other.manifest).put(source)
    source.add_referrer(made.manifest.digest, stranger.manifest)
    reporter = Counting()
    copy(source, "v1", sink, "v1", options=QUICK, reporter=reporter)
    assert sink.referrers(made.manifest.digest) == []
    assert "left out" in reporter.warnings[0]


def test_blobs_that_a_gc_takes_away_meanwhile_are_noticed_before_the_name_is_set(source, tmp_path):
    made = make_image(10, 20).put(source, "v1")
    sink = LayoutStore(tmp_path / "store")
    copy(source, "v1", sink, "old", options=QUICK)
    layer = list(made.blobs)[-1]

    class Collected(type(sink)):
        def has(self, blobs: object) -> set[str]:
            found = super().has(blobs)
            self.path(layer.digest).unlink(missing_ok=True)
            return found

    with pytest.raises(BundleError, match="has lost blobs"):
        copy(source, "v1", Collected(tmp_path / "store"), "new", options=QUICK)
    assert "new" not in sink.names()


def test_an_image_index_is_no_bundle(source, sink):
    from bundler.runtime.documents import INDEX_TYPE, to_json
    from bundler.stores.blobs import Blob

    data = to_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []})
    blob = Blob.of(data, INDEX_TYPE)
    source.write(blob, reader(data))
    source.set_name("v1", blob, data)
    with pytest.raises(ContentError, match="is not an image manifest"):
        copy(source, "v1", sink, "v1", options=QUICK)


def test_every_store_is_one():
    from bundler.stores.bundle_files import BundleStore
    from bundler.stores.oci_archives import ArchiveStore

    assert all(issubclass(kind, Store) for kind in (MemoryStore, LayoutStore, ArchiveStore, BundleStore))
