"""A cache that machines share saves them compressing, and whoever writes to it can do no more than waste it."""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
import tarfile

import pytest
import zstandard
from support.commands import bundle
from support.interpreters import python, target_of
from support.wheel_factory import make_wheel, pin_of

from bundler.caching.build_cache import Cache
from bundler.create import create
from bundler.fetching.index_options import IndexOptions
from bundler.fetching.retries import TransientError
from bundler.layers.layer_plans import Settings
from bundler.locks import Lock
from bundler.options import Options
from bundler.reporters import Reporter
from bundler.runtime.documents import FRAMES, MANIFEST_TYPE, ZSTD_LAYER_TYPE, digest_of, to_json
from bundler.runtime.errors import BundleError
from bundler.stores.blobs import Blob
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import copy
from bundler.stores.garbage_collection import collect
from bundler.stores.memory import MemoryStore
from bundler.stores.oci_layouts import LayoutStore

TEXT = b"a secret that is in the source and in the bytecode"


class Hearing(Reporter):
    def __init__(self):
        self.warnings = []

    def warning(self, text):
        self.warnings.append(text)


@pytest.fixture
def locked(tmp_path):
    generator = random.Random(5)
    files = {f"pkg/m{n}.py": b"value = %d\nsecret = '%s'\n" % (n, TEXT) for n in range(3)}
    files |= {"pkg/__init__.py": b"", "pkg/data.bin": generator.randbytes(1_200_000), "pkg/zeros.bin": bytes(300_000)}
    wheels = [make_wheel(tmp_path / "w", "pkg", "1.0", files), make_wheel(tmp_path / "w", "tiny", "1.0")]
    return Lock(target=target_of("3.7"), pins=tuple(map(pin_of, wheels)))


@pytest.fixture
def machine(cache, tmp_path):
    """Return a machine that makes the bundle: a cache of its own, with nothing in it, and the store they share."""
    machines = []

    def make(locked, store, reporter=None, **options):
        root = tmp_path / f"cache-{len(machines)}"
        machines.append(root)
        shutil.copytree(cache.root, root)
        out = tmp_path / f"out-{len(machines)}.pyz"
        settings = Options(
            target=locked.target,
            indexes=lambda: IndexOptions(no_index=True),
            cache=Cache(root),
            settings=Settings(frame_size=1 << 18),
            layer_cache=store,
            **options,
        )
        return create(locked, out, options=settings, reporter=reporter)

    return make


def entries(store):
    """Return the name, the manifest and the tar of each entry, by the files in it."""
    found = {}
    for name in store.names():
        manifest = json.loads(store.document(store.find(name)))
        (layer,) = manifest["layers"]
        blob = Blob(digest=layer["digest"], size=layer["size"], media_type=layer["mediaType"])
        data = b"".join(store.read(blob))
        frames, at = [], 0
        for text in layer["annotations"][FRAMES].split():
            raw, size, _ = text.split(":")
            frames.append(zstandard.ZstdDecompressor().decompress(data[at : at + int(size)]))
            assert len(frames[-1]) == int(raw)
            at += int(size)
        found["pkg" if b"pkg/m1.py" in b"".join(frames) else "tiny"] = (name, manifest, frames)
    return found


def plant(store, name, frames, compress=None):
    """Let *name* lead to a layer of *frames*, as somebody would who may write to the store."""
    compress = compress or zstandard.ZstdCompressor(level=3, write_content_size=True).compress
    packed = [compress(frame) for frame in frames]
    data = b"".join(packed)
    table = " ".join(
        f"{len(frame)}:{len(each)}:{digest_of(each)[7:]}" for frame, each in zip(frames, packed, strict=True)
    )
    layer = {"mediaType": ZSTD_LAYER_TYPE, "digest": digest_of(data), "size": len(data), "annotations": {FRAMES: table}}
    put_entry(store, name, [layer], data)


def put_entry(store, name, layers, data=b""):
    empty = Blob.of(b"{}", "application/vnd.oci.empty.v1+json")
    value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": empty.to_json(), "layers": layers}
    text = to_json(value)
    manifest = Blob.of(text, MANIFEST_TYPE)
    for blob, content in ((Blob.of(data, ZSTD_LAYER_TYPE), data), (empty, b"{}"), (manifest, text)):
        store.write(blob, lambda offset, content=content: iter([content[offset:]]))
    store.set_name(name, manifest, text)


def test_the_second_machine_compresses_nothing_and_makes_the_same_bundle(locked, machine, monkeypatch):
    store = MemoryStore()
    alone, first = machine(locked, None), machine(locked, store)
    assert [layer.from_layer_cache for layer in first.layers] == [False, False]
    assert len(store.names()) == 2

    def compress(**options):
        pytest.fail("something is compressed")

    monkeypatch.setattr(zstandard, "ZstdCompressor", compress)
    hearing = Hearing()
    second = machine(locked, store, hearing, jobs=3)
    assert [layer.from_layer_cache for layer in second.layers] == [True, True]
    assert len(second.layers[0].packed.descriptor.frames) > 3
    assert second.path.read_bytes() == first.path.read_bytes() == alone.path.read_bytes()
    assert (second.bytecode is not None, hearing.warnings) == (True, [])


def test_what_is_cached_here_already_is_given_to_the_others(locked, cache, tmp_path):
    options = Options(target=locked.target, indexes=lambda: IndexOptions(no_index=True), cache=cache)
    create(locked, tmp_path / "a.pyz", options=options)
    store = MemoryStore()
    made = create(locked, tmp_path / "b.pyz", options=Options(**{**fields(options), "layer_cache": store}))
    assert all(layer.cached for layer in made.layers)
    assert len(store.names()) == 2


def fields(options):
    return {name: getattr(options, name) for name in options.__slots__}


def changed_source(frames):
    return [b"".join(frames).replace(TEXT, TEXT[::-1], 1)]


def changed_bytecode(frames):
    head, _, tail = b"".join(frames).rpartition(TEXT)
    assert b".pyc" in head[-1000:]
    return [head + TEXT[::-1] + tail]


def members(frames):
    with tarfile.open(fileobj=io.BytesIO(b"".join(frames))) as tar:
        return [(info, tar.extractfile(info).read() if info.isfile() else b"") for info in tar]


def joined(items):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in items:
            tar.addfile(info, io.BytesIO(data))
    return [out.getvalue()]


def added_file(frames):
    info = tarfile.TarInfo("site-packages/evil.pth")
    info.size = 11
    return joined([*members(frames), (info, b"import evil")])


def other_order(frames):
    return joined(reversed(members(frames)))


def executable(frames):
    items = members(frames)
    for info, _ in items:
        info.mode = 0o777
    return joined(items)


def resized(poisoned, frames):
    """Cut *poisoned* where the right layer is cut, so that nothing but the bytes tells them apart."""
    data = b"".join(poisoned)
    sizes = [len(frame) for frame in frames]
    cut, at = [], 0
    for size in sizes[:-1]:
        cut.append(data[at : at + size])
        at += size
    return [*cut, data[at:] or b"\0"]


@pytest.mark.parametrize("poison", [changed_source, changed_bytecode, added_file, other_order, executable])
def test_a_layer_with_other_bytes_is_not_taken_and_is_replaced(poison, locked, machine):
    store = MemoryStore()
    honest = machine(locked, store)
    name, _, frames = entries(store)["pkg"]
    poisoned = resized(poison(frames), frames)
    assert b"".join(poisoned) != b"".join(frames)
    plant(store, name, poisoned)
    hearing = Hearing()
    victim = machine(locked, store, hearing)
    assert victim.path.read_bytes() == honest.path.read_bytes()
    assert "the layer cache holds other bytes for pkg than this lock gives" in hearing.warnings[0]
    assert {layer.name: layer.from_layer_cache for layer in victim.layers}["pkg"] is False
    assert entries(store)["pkg"][2] == frames  # the next machine finds the right layer
    hearing = Hearing()
    machine(locked, store, hearing)
    assert hearing.warnings == []


def test_another_layer_under_the_right_key_is_not_taken(locked, machine):
    store = MemoryStore()
    honest = machine(locked, store)
    found = entries(store)
    store.set_name(found["pkg"][0], store.find(found["tiny"][0]), b"")
    hearing = Hearing()
    victim = machine(locked, store, hearing)
    assert victim.path.read_bytes() == honest.path.read_bytes()
    assert len(hearing.warnings) == 1


def test_a_layer_of_which_one_frame_is_wrong_is_not_taken_at_all(locked, machine):
    """Whoever has planted one frame may have chosen the bytes of the others as well."""
    store = MemoryStore()
    honest = machine(locked, store)
    name, _, frames = entries(store)["pkg"]
    plant(store, name, [*frames[:-1], frames[-1][:-1] + b"x"])
    assert machine(locked, store, Hearing()).digest == honest.digest


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], [b"another frame"]])
def test_a_layer_with_a_frame_less_or_more_is_not_taken(more, locked, machine):
    store = MemoryStore()
    honest = machine(locked, store)
    name, _, frames = entries(store)["pkg"]
    plant(store, name, [*frames, *more] if more else frames[:-1])
    hearing = Hearing()
    assert machine(locked, store, hearing).digest == honest.digest
    assert len(hearing.warnings) == 1


def padded(frame):
    """Compress *frame* with empty blocks in it, which decode to nothing and may be as many as one likes."""
    data = zstandard.ZstdCompressor(level=3, write_content_size=True).compress(frame)
    flags, width = data[4], (1, 2, 4, 8)[data[4] >> 6]
    start = 5 + (0 if flags & 0x20 else 1) + (width if flags >> 6 or flags & 0x20 else 0)
    return data[:start] + bytes(3) * (len(frame) // 2) + data[start:]


def with_a_skippable_frame(frame):
    data = zstandard.ZstdCompressor(level=3, write_content_size=True).compress(frame)
    return data + b"\x50\x2a\x4d\x18" + (8).to_bytes(4, "little") + b"whatever"


def without_its_size(frame):
    return zstandard.ZstdCompressor(level=3, write_content_size=False).compress(frame)


@pytest.mark.slow
@pytest.mark.parametrize("compress", [padded, with_a_skippable_frame, without_its_size, lambda _: b"junk" * 9])
def test_frames_of_the_right_bytes_that_a_bundle_may_not_have_are_not_taken(compress, locked, machine):
    store = MemoryStore()
    honest = machine(locked, store)
    name, _, frames = entries(store)["pkg"]
    if compress is padded:
        assert zstandard.ZstdDecompressor().decompress(padded(frames[0])) == frames[0]
    plant(store, name, frames, compress)
    victim = machine(locked, store, Hearing())
    assert victim.path.read_bytes() == honest.path.read_bytes()


@pytest.mark.slow
def test_another_compression_of_the_right_bytes_gives_the_same_tree_by_another_digest(locked, machine):
    """It cannot be told from an honest one without compressing; docs/stores.md says so."""
    store = MemoryStore()
    honest = machine(locked, store)
    name, _, frames = entries(store)["pkg"]
    plant(store, name, frames, zstandard.ZstdCompressor(level=1, write_content_size=True).compress)
    hearing = Hearing()
    other = machine(locked, store, hearing)
    assert (other.tree_digest, hearing.warnings) == (honest.tree_digest, [])
    assert other.digest != honest.digest


def huge(size):
    table = f"100:{size}:{'0' * 64}"
    return {"mediaType": ZSTD_LAYER_TYPE, "digest": "sha256:" + "1" * 64, "size": size, "annotations": {FRAMES: table}}


ABSENT = {**huge(50)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "is no entry of a layer cache"),
        ([ABSENT, ABSENT], "is no entry of a layer cache"),
        ([{**ABSENT, "annotations": {FRAMES: "1:2:3"}}], "is not a frame"),
        ([{**ABSENT, "annotations": {}}], "frames"),
        ([{**ABSENT, "size": 1 << 40}], "do not add up"),
        ([{**ABSENT, "urls": ["https://elsewhere"]}], "is refused"),
        ([huge(32 << 20)], "is too large"),
        ([ABSENT], "is missing"),
    ],
)
def test_entries_that_are_none_are_told_and_replaced(layers, message, locked, machine):
    store = MemoryStore()
    honest = machine(locked, store)
    put_entry(store, entries(store)["pkg"][0], layers)
    hearing = Hearing()
    victim = machine(locked, store, hearing)
    assert victim.path.read_bytes() == honest.path.read_bytes()
    assert message in hearing.warnings[0]
    assert "pkg" in entries(store)


@pytest.mark.slow
def test_damage_in_the_store_is_noticed(locked, machine, tmp_path):
    store = LayoutStore(tmp_path / "store")
    honest = machine(locked, store)
    for held in store.held():
        if held.size > 100_000:
            path = store.path(held.digest)
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    hearing = Hearing()
    assert machine(locked, store, hearing).path.read_bytes() == honest.path.read_bytes()
    assert "is not what was promised" in hearing.warnings[0]


@pytest.mark.slow
@pytest.mark.parametrize("failure", [BundleError("store", "access is refused"), TransientError("the server says 503")])
@pytest.mark.parametrize("method", ["find", "read", "write", "set_name"])
def test_a_store_that_does_not_work_is_told_of_once_and_the_bundle_is_made(
    failure, method, locked, machine, monkeypatch
):
    store = MemoryStore()
    monkeypatch.setattr("bundler.fetching.retries.time.sleep", lambda _: None)
    if method == "read":
        machine(locked, store)

    def fail(*arguments):
        raise failure

    monkeypatch.setattr(store, method, fail)
    hearing = Hearing()
    machine(locked, store, hearing)
    assert len([text for text in hearing.warnings if "going on without it" in text]) == 1


@pytest.mark.slow
def test_a_bundle_from_the_cache_boots_and_its_push_to_the_same_store_sends_no_layer(locked, machine, tmp_path):
    store = LayoutStore(tmp_path / "store")
    machine(locked, store)
    made = machine(locked, store)
    answer = subprocess.run(
        [python("3.7"), made.path, "run", "--", "python", "-c", "import pkg.m1; print(pkg.m1.value)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout == "1\n", answer.stderr
    with BundleStore(made.path) as source:
        done = copy(source, "latest", store, "v1")
    assert done.sent_blobs == 4  # config, first and last layer, and the manifest
    collected = collect(store, older_than=0)
    assert (collected.removed, collected.names) == (0, 3)
    assert len(collect(store, older_than=0, forget=["layer-*"]).forgotten) == 2
    assert store.names() == ["v1"]


@pytest.mark.slow
def test_the_command_says_what_came_from_the_cache(tmp_path, cache):
    make_wheel(tmp_path / "wheels", "same", "1.0", {"same.txt": b"text " * 9999})
    shutil.copytree(cache.root, tmp_path / "second")
    options = ("create", "same", "--find-links", "wheels", "--no-index", "--compile", "never")
    first = bundle(*options, "-o", "a.pyz", "--cache-dir", cache.root, "--layer-cache", "store", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    second = bundle(*options, "-o", "b.pyz", "--cache-dir", "second", "--layer-cache", "store", cwd=tmp_path)
    assert "1 from the layer cache, 0 cached here, 0 compressed" in second.stdout
    assert (tmp_path / "a.pyz").read_bytes() == (tmp_path / "b.pyz").read_bytes()
    answer = bundle(*options, "-o", "c.pyz", "--layer-cache", "store:v1", cwd=tmp_path)
    assert (answer.returncode, "names one bundle" in answer.stderr) == (2, True)
