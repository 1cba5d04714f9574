"""What lies beside an image is checked as strictly as the image, and believed in nothing but what it proves."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric import ec
from support.image_factory import make_image
from support.signature_factory import PRIVATE, bundle_of, document_of, key_of, statement_of

from bundler.images.carriers import index_json, write_carrier
from bundler.runtime.boot import unpack
from bundler.runtime.carriers import open_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.documents import MANIFEST_TYPE, Descriptor
from bundler.runtime.errors import BundleError, ContentError, TrustError
from bundler.runtime.verifying import verify
from bundler.signing.private_keys import PrivateKey
from bundler.signing.signatures import sign

MINE = PrivateKey(public=key_of(PRIVATE), private=PRIVATE)
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return make_image(tmp_path_factory.mktemp("image"), {"site-packages/mod.py": b"value = 42\n"})


@pytest.fixture(scope="module")
def originals(image, tmp_path_factory):
    directory = tmp_path_factory.mktemp("signed")
    decode = lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)  # noqa: E731
    for form, name in (("pyz", "deps.pyz"), ("packed", "packed"), ("tree", "tree")):
        write_carrier(image, directory / name, form=form, force=False, decode=decode, jobs=1)
        sign(directory / name, MINE)
    return directory


def copied(name):
    @pytest.fixture
    def fixture(originals, tmp_path):
        source, target = originals / name, tmp_path / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        return target

    return fixture


packed = copied("packed")
tree = copied("tree")
pyz = copied("deps.pyz")


def store(path, data):
    """Add a blob to a packed directory; return its descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    (path / "blobs" / "sha256" / digest).write_bytes(data)
    return {"mediaType": MANIFEST_TYPE, "digest": f"sha256:{digest}", "size": len(data)}


def edit(path, **changes):
    """Change the manifest of the signature, and what index.json says of it, so that all digests are right again."""
    index = json.loads((path / "index.json").read_bytes())
    entry = index["manifests"][1]
    manifest = json.loads((path / "blobs" / "sha256" / entry["digest"][7:]).read_bytes())
    manifest.update(changes)
    entry.update(store(path, json.dumps(manifest).encode()))
    (path / "index.json").write_text(json.dumps(index))


def add_referrer(path, artifact_type, data, **changes):
    index = json.loads((path / "index.json").read_bytes())
    layer = {**store(path, data), "mediaType": "application/json"}
    config = {**store(path, b"{}"), "mediaType": "application/vnd.oci.empty.v1+json"}
    subject = {key: index["manifests"][0][key] for key in ("mediaType", "digest", "size")}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": artifact_type,
        "config": config,
        "layers": [layer],
        "subject": subject,
        **changes,
    }
    index["manifests"].append({**store(path, json.dumps(manifest).encode()), "artifactType": artifact_type})
    (path / "index.json").write_text(json.dumps(index))


DIGEST = "sha256:" + "7" * 64
EMPTY = {"mediaType": "x", "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(), "size": 2}
BAD_REFERRERS = {
    "of another image": ({"subject": {**EMPTY, "digest": DIGEST}}, "refers to another image; got sha256:777"),
    "of no image": ({"subject": None}, "subject: is not an object"),
    "of another type": ({"artifactType": "application/spdx+json"}, "is of another type than index.json says"),
    "with two layers": ({"layers": [{**EMPTY, "mediaType": BUNDLE_TYPE}] * 2}, "does not hold one signature"),
    "without a layer": ({"layers": []}, "does not hold one signature"),
    "with a layer of another type": ({"layers": [EMPTY]}, "does not hold one signature"),
    "with a large layer": (
        {"layers": [{**EMPTY, "mediaType": BUNDLE_TYPE, "size": 65537}]},
        "does not hold one signature",
    ),
    "with a layer that is missing": (
        {"layers": [{**EMPTY, "mediaType": BUNDLE_TYPE, "digest": DIGEST}]},
        "blobs/sha256/7777.*: is missing",
    ),
    "with a layer of another size": (
        {"layers": [{**EMPTY, "mediaType": BUNDLE_TYPE, "size": 3}]},
        "has the wrong size; got 2 bytes, want 3",
    ),
    "with a layer from elsewhere": ({"layers": [{**EMPTY, "urls": ["https://x"]}]}, "urls: is refused"),
    "that is no manifest": ({"mediaType": "text/plain"}, "is not an OCI image manifest"),
    "of another schema": ({"schemaVersion": 1}, "is not an OCI image manifest"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_REFERRERS.values(), ids=BAD_REFERRERS)
def test_b16_a_referrer_is_refused(packed, changes, message):
    edit(packed, **changes)
    with pytest.raises(ContentError, match=message):
        verify(str(packed), Demands(keys=(MINE.public,)))


def entries(**changes):
    image = {"mediaType": MANIFEST_TYPE, "digest": DIGEST, "size": 7}
    return {"image": image, "signature": {**image, "artifactType": BUNDLE_TYPE}, **changes}


BAD_INDEXES = {
    "no image": (["signature"], "does not name exactly one image, first; got 0"),
    "two images": (["image", "image"], "does not name exactly one image, first; got 2"),
    "the image behind": (["signature", "image"], "does not name exactly one image, first; got 1"),
    "nothing": ([], "does not name exactly one image, first; got 0"),
    "too many referrers": (["image"] + ["signature"] * 33, "lists too many referrers; got 33, want 32"),
    "an index in the index": (["image", "nested"], r"manifests\[1\]: is not an image manifest"),
    "a type that is no text": (["image", "number"], r"manifests\[1\].artifactType: has the wrong type"),
    "no digest": (["image", "nameless"], r"manifests\[1\].digest: is not a digest"),
    "a huge manifest": (["image", "huge"], r"manifests\[1\]: is not an image manifest"),
}


@pytest.mark.parametrize(("names", "message"), BAD_INDEXES.values(), ids=BAD_INDEXES)
def test_b16_an_index_is_refused(packed, names, message):
    known = entries()
    known["nested"] = {**known["signature"], "mediaType": "application/vnd.oci.image.index.v1+json"}
    known["number"] = {**known["signature"], "artifactType": 7}
    known["nameless"] = {**known["signature"], "digest": "latest"}
    known["huge"] = {**known["signature"], "size": 5 << 20}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    index["manifests"] = [known[name] for name in names]
    (packed / "index.json").write_text(json.dumps(index))
    with open_carrier(str(packed)) as carrier, pytest.raises(ContentError, match=message):
        carrier.named_digest()


def test_the_size_of_the_image_in_the_index_must_be_right(packed):
    data = (packed / "index.json").read_text()
    size = json.loads(data)["manifests"][0]["size"]
    (packed / "index.json").write_text(data.replace(f'"size":{size}', f'"size":{size + 1}', 1))
    with pytest.raises(ContentError, match="says another size of the manifest"):
        verify(str(packed))


def test_something_else_that_refers_to_the_image_is_checked_and_left_alone(packed, tmp_path, decode):
    add_referrer(packed, "application/spdx+json", b'{"spdxVersion":"SPDX-2.3"}')
    assert verify(str(packed), Demands(keys=(MINE.public,)), decode=decode).signed_by == MINE.public.fingerprint
    unpack(str(packed), str(tmp_path / "unpacked"), decode=decode)
    assert len(os.listdir(tmp_path / "unpacked/.bundle/signatures")) == 1
    sbom = packed / "blobs/sha256" / hashlib.sha256(b'{"spdxVersion":"SPDX-2.3"}').hexdigest()
    sbom.write_bytes(sbom.read_bytes().replace(b"2.3", b"9.9"))
    with pytest.raises(ContentError, match="is not what its name promises"):
        verify(str(packed), decode=decode)
    sbom.unlink()
    with pytest.raises(ContentError, match="is missing"):
        verify(str(packed), decode=decode)


def test_an_attestation_by_the_same_key_is_no_signature(packed, image, decode):
    statement = {**statement_of(image.digest), "predicateType": "https://slsa.dev/provenance/v1"}
    attestation = json.dumps(document_of(statement)).encode()
    edit(packed, layers=[{**store(packed, attestation), "mediaType": BUNDLE_TYPE}])
    assert verify(str(packed), decode=decode).trust == "self-consistent"
    with pytest.raises(TrustError, match="predicateType: is another; got https://slsa"):
        verify(str(packed), Demands(keys=(MINE.public,)), decode=decode)


@pytest.mark.parametrize(("name", "known"), [("evil.py", False), ("blobs/sha256/" + "7" * 64, False), ("LEFT", True)])
def test_c24_a_packed_directory_with_an_extra_file_is_refused_unless_it_is_an_inert_blob(packed, name, known, decode):
    if name == "LEFT":  # what a bundle sign that was killed leaves
        name = "blobs/sha256/" + hashlib.sha256(b"left").hexdigest()
    (packed / name).write_bytes(b"left")
    if known:
        verify(str(packed), decode=decode)
    else:
        with pytest.raises(ContentError, match="is extra: the bundle has no such file"):
            verify(str(packed), decode=decode)


def signature_of(tree):
    (path,) = (tree / ".bundle/signatures").iterdir()
    return path


def rename_to_digest(path):
    path.rename(path.with_name(hashlib.sha256(path.read_bytes()).hexdigest() + ".json"))


def write(path, data):
    path.chmod(0o644)
    path.write_bytes(data)
    rename_to_digest(path)


def another(n):
    """Return a signature of another bundle."""
    return bundle_of(private=ec.derive_private_key(n + 1, ec.SECP256R1()))


BAD_FILES = {
    "changed": (
        lambda path: (path.chmod(0o644), path.write_bytes(path.read_bytes() + b" ")),
        "is not what was promised",
    ),
    "empty": (lambda path: write(path, b""), "is no signature of this bundle: .* is not strict JSON"),
    "no signature": (lambda path: write(path, b"{}"), "is no signature of this bundle: .*mediaType"),
    "of another bundle": (lambda path: write(path, another(0)), "is no signature of this bundle: .*not the digest"),
    "too large": (lambda path: write(path, b" " * 70000), "has the wrong size; got 70000 bytes"),
    "of another name": (lambda path: path.rename(path.with_name("sig.json")), "is not a digest"),
    "of another suffix": (lambda path: path.rename(path.with_suffix(".py")), "is extra: the bundle has no such file"),
    "a program": (lambda path: (path.parent / "evil.py").write_text("import os"), "evil.py: is .*extra"),
    "a directory": (lambda path: (path.unlink(), path.mkdir()), "is not a regular file"),
    "a fifo": (lambda path: (path.unlink(), os.mkfifo(path)), "is not a regular file"),
    "a symlink": (
        lambda path: (path.rename(path.parents[2] / "away"), path.symlink_to(path.parents[2] / "away")),
        "is a symlink; want a regular file",
    ),
    "set-uid": (lambda path: path.chmod(0o4555), "has a set-id bit"),
    "too many": (
        lambda path: [(path.parent / f"{n:064x}.json").write_bytes(another(n)) for n in range(16)],
        "has too many signatures; got 17, want at most 16",
    ),
    "a file for the directory": (
        lambda path: (shutil.rmtree(path.parent), path.parent.write_text("")),
        ".bundle/signatures: is not a directory",
    ),
    "a symlink for the directory": (
        lambda path: (path.parent.rename(path.parents[2] / "away"), path.parent.symlink_to(path.parents[2] / "away")),
        ".bundle/signatures: is not a directory",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_c24_what_is_no_signature_of_a_tree_is_refused(tree, change, message):
    change(signature_of(tree))
    with pytest.raises(ContentError, match=message):
        verify(str(tree))
    with pytest.raises(BundleError):
        verify(str(tree), Demands(keys=(MINE.public,)))


def test_a_tree_may_lose_its_signatures_and_is_then_unsigned(tree):
    signature_of(tree).unlink()
    assert verify(str(tree)).trust == "self-consistent"
    with pytest.raises(TrustError, match="is not signed"):
        verify(str(tree), Demands(keys=(MINE.public,)))
    (tree / ".bundle/signatures").rmdir()
    assert verify(str(tree)).trust == "self-consistent"


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.chmod(0o644)
    path.write_bytes(data)


def inert(path, at):
    """Tell whether the byte belongs to the annotation that is for cosign only."""
    if path.name != "index.json":
        return False
    data = path.read_bytes()
    start = data.index(b'"annotations"')
    return start <= at <= data.index(b"}", start)


def test_any_flipped_byte_beside_the_image_is_found(packed, originals, decode):
    files = ["index.json", *(f"blobs/sha256/{path.name}" for path in (packed / "blobs/sha256").iterdir())]
    generator = random.Random(3)
    small = [packed / name for name in files if (packed / name).stat().st_size < 2000]
    assert len(small) >= 4
    for path in small:
        original = path.read_bytes()
        everything = range(len(original))
        for at in everything if path.name == "index.json" else generator.sample(everything, min(60, len(original))):
            if inert(path, at):
                continue
            flip(path, at)
            with pytest.raises(BundleError) as caught:
                verify(str(packed), decode=decode)
            assert caught.value.exit_code == 3, f"{path.name} at {at}"
            path.write_bytes(original)


def test_the_index_of_a_bundle_begins_with_its_digest_signed_or_not(packed, image):
    """A start of Python looks for it there, without parsing."""
    image_entry = Descriptor(MANIFEST_TYPE, image.digest, 7)
    start = b'{"manifests":[{"digest":"' + image.digest.encode()
    assert index_json(image_entry).startswith(start)
    assert (packed / "index.json").read_bytes().startswith(start)
