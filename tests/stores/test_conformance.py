"""What every store promises, over every medium: see ``bundler/stores/store.py``."""

from __future__ import annotations

import threading
import time

import pytest
from support.blob_factory import blob_of, make_image, make_referrer, random_bytes, reader

from bundler.runtime.documents import ZSTD_LAYER_TYPE
from bundler.runtime.errors import ContentError
from bundler.stores.blobs import Blob


def content(store, blob, offset=0):
    return b"".join(store.read(blob, offset))


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 3_000_001])
def test_a_blob_comes_back_as_it_was_written(size, medium, store):
    blob, data = blob_of(size)
    assert store.has([blob]) == set()
    store.write(blob, reader(data))
    assert store.has([blob]) == {blob.digest}
    with medium.open() as again:
        assert again.has([blob]) == {blob.digest}
        assert content(again, blob) == data


@pytest.mark.parametrize("offset", [0, 1, 65_536, 99_999, 100_000])
def test_a_blob_is_read_from_any_offset_on(offset, store):
    blob, data = blob_of(100_000)
    store.write(blob, reader(data))
    assert content(store, blob, offset) == data[offset:]


def test_it_tells_of_many_blobs_which_of_them_it_has(store):
    made = [blob_of(100, seed) for seed in range(30)]
    for blob, data in made[::2]:
        store.write(blob, reader(data))
    assert store.has([blob for blob, _ in made]) == {blob.digest for blob, _ in made[::2]}


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(lambda data: data[:-1], id="too short"),
        pytest.param(lambda data: data + b"x", id="too long"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="another last byte"),
        pytest.param(lambda data: bytes([data[0] ^ 1]) + data[1:], id="another first byte"),
        pytest.param(lambda _: b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("size", [1000, 9_000_000])
def test_other_bytes_than_promised_are_refused_and_not_kept(size, spoiled, medium, store):
    blob, data = blob_of(size)
    with pytest.raises(ContentError):
        store.write(blob, reader(spoiled(data)))
    with medium.open() as again:
        assert again.has([blob]) == set()
        with pytest.raises(ContentError, match="missing"):
            content(again, blob)
    store.write(blob, reader(data))
    assert content(store, blob) == data


def test_a_source_that_breaks_leaves_nothing_that_could_be_taken_for_the_blob(medium, store):
    blob, data = blob_of(9_000_000)

    def breaks(offset):
        yield data[offset : offset + 8_500_000]
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="the source is gone"):
        store.write(blob, breaks)
    with medium.open() as again:
        assert again.has([blob]) == set()
        again.write(blob, reader(data))
        assert content(again, blob) == data


def test_writing_a_blob_twice_or_by_several_at_once_is_no_harm(store):
    blob, data = blob_of(2_000_000)
    failures = []

    def write():
        try:
            store.write(blob, reader(data))
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store.write(blob, reader(data))
    assert content(store, blob) == data


def test_a_name_leads_to_its_manifest_and_can_be_moved(medium, store):
    one, two = make_image(100, 200, seed=1).put(store), make_image(300, seed=2).put(store)
    assert store.find("v1.0") is None
    store.set_name("v1.0", one.manifest, one.data)
    store.set_name("latest", one.manifest, one.data)
    store.set_name("v1.0", two.manifest, two.data)
    with medium.open() as again:
        found = again.find("v1.0")
        assert (found.digest, found.size, found.media_type) == (
            two.manifest.digest,
            two.manifest.size,
            two.manifest.media_type,
        )
        assert again.find("latest").digest == one.manifest.digest
        assert again.document(found) == two.data
        assert sorted(again.names()) == ["latest", "v1.0"]


def test_a_manifest_is_found_by_its_digest(store):
    made = make_image(100).put(store)
    other = make_image(200, seed=2)
    assert store.find(made.manifest.digest).digest == made.manifest.digest
    assert store.find(made.manifest.digest).size == made.manifest.size
    assert store.find(other.manifest.digest) is None


def test_a_manifest_can_be_kept_by_its_digest_alone(medium, store):
    made = make_image(100).put(store, name=None)
    store.set_name(made.manifest.digest, made.manifest, made.data)
    with medium.open() as again:
        assert again.find(made.manifest.digest).digest == made.manifest.digest


@pytest.mark.parametrize("name", ["a", "latest", "1.0", "x" * 128, "A-b_c.D"])
def test_names_may_be_what_registries_let_them_be(name, store):
    made = make_image(10).put(store, name)
    assert store.find(name).digest == made.manifest.digest


def test_what_refers_to_a_manifest_is_found(medium, store):
    made, other = make_image(100, seed=1).put(store, "one"), make_image(100, seed=2).put(store, "two")
    signatures = [make_referrer(made.manifest, text).put(store) for text in (b"first", b"second")]
    for signature in [*signatures, signatures[0]]:
        store.add_referrer(made.manifest.digest, signature.manifest)
    with medium.open() as again:
        found = again.referrers(made.manifest.digest)
        assert sorted(blob.digest for blob in found) == sorted(item.manifest.digest for item in signatures)
        assert {blob.artifact_type for blob in found} == {signatures[0].manifest.artifact_type}
        assert again.document(found[0]) in [item.data for item in signatures]
        assert again.referrers(other.manifest.digest) == []
        assert sorted(again.names()) == ["one", "two"]


def test_an_empty_store_has_nothing(store):
    blob, _ = blob_of()
    made = make_image(1)
    assert store.has([blob]) == set()
    assert store.find("latest") is None
    assert store.find(made.manifest.digest) is None
    assert store.names() == []
    assert store.referrers(made.manifest.digest) == []
    with pytest.raises(ContentError, match="missing"):
        content(store, blob)


def test_what_it_holds_is_listed_and_can_be_removed(medium, store):
    if not medium.removes:
        pytest.xfail("registries remove what they want")
    made = make_image(100, 70_000).put(store, "latest")
    sizes = {blob.digest: blob.size for blob in [*made.blobs, made.manifest]}
    assert {held.digest: held.size for held in store.held()} == sizes
    assert all(abs(held.modified - time.time()) < 600 for held in store.held())
    victim = next(iter(made.blobs))
    assert not store.remove(victim.digest, before=time.time() - 3600)
    assert store.remove(victim.digest, before=time.time() + 3600)
    assert not store.remove(victim.digest, before=time.time() + 3600)
    assert {held.digest for held in store.held()} == set(sizes) - {victim.digest}
    assert store.remove_name("latest")
    assert not store.remove_name("latest")
    assert store.find("latest") is None


def test_memory_does_not_grow_with_a_blob(store):
    """A blob of 48 MB passes in chunks: whoever asks for all of it at once would be seen here."""
    size, chunk = 48_000_000, random_bytes(1_000_000)
    import hashlib

    digest = hashlib.sha256(chunk * (size // len(chunk))).hexdigest()
    blob = Blob(digest=f"sha256:{digest}", size=size, media_type=ZSTD_LAYER_TYPE)
    store.write(blob, lambda offset: (chunk for _ in range(offset, size, len(chunk))))
    largest = max(len(part) for part in store.read(blob))
    assert largest <= 16 << 20
