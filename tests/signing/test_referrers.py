"""What is attached changes nothing else in an artifact, and whoever dies in between leaves it whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.bundles_to_sign import MINE, THEIRS, copy
from support.signature_factory import key_of

from bundler.runtime.carriers import open_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError
from bundler.runtime.referrers import MAX_SIGNATURES
from bundler.runtime.verifying import verify
from bundler.signing.private_keys import PrivateKey
from bundler.signing.signatures import sign


def contents(path):
    """Return every file of an artifact with its bytes; the members of a ``.pyz``."""
    if path.is_dir():
        return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    with open_carrier(str(path)) as carrier:
        return {name: carrier.member(name).read(0, carrier.member(name).size) for name in carrier.names()}


def test_everything_else_in_the_artifact_stays_byte_for_byte(artifact):
    before = contents(artifact)
    mode = artifact.stat().st_mode
    sign(artifact, MINE)
    after = contents(artifact)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == (set() if artifact.name == "tree" else {"index.json"})
    added = sorted(len(after[name]) for name in set(after) - set(before))
    assert added[0] == 2 or artifact.name == "tree"
    assert len(added) == (1 if artifact.name == "tree" else 3)
    assert artifact.stat().st_mode == mode


def test_signing_twice_changes_nothing(artifact):
    sign(artifact, MINE)
    before = contents(artifact), artifact.stat().st_mtime_ns
    assert sign(artifact, MINE).added is False
    assert (contents(artifact), artifact.stat().st_mtime_ns) == before


def test_the_same_signatures_in_any_order_give_the_same_bytes(unsigned, tmp_path):
    found = []
    for n, keys in enumerate([(MINE, THEIRS), (THEIRS, MINE)]):
        (tmp_path / str(n)).mkdir()
        path = copy(unsigned / "deps.pyz", tmp_path / str(n))
        for key in keys:
            sign(path, key)
        found.append(path.read_bytes())
    assert found[0] == found[1]


def test_too_many_signatures_are_refused(pyz):
    for n in range(MAX_SIGNATURES):
        private = ec.derive_private_key(n + 1, ec.SECP256R1())
        sign(pyz, PrivateKey(public=key_of(private), private=private))
    with pytest.raises(BundleError, match="has too many signatures; got 16"):
        sign(pyz, MINE)


SIGN = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric import ec
sys.path.insert(0, sys.argv[1])
from support.signature_factory import key_of
from bundler.signing.private_keys import PrivateKey
from bundler.signing.signatures import sign
private = ec.derive_private_key(int(sys.argv[3]), ec.SECP256R1())
sign(Path(sys.argv[2]), PrivateKey(public=key_of(private), private=private))
"""


def test_signatures_made_at_the_same_time_are_all_kept(artifact):
    def run(n):
        command = [sys.executable, "-c", SIGN, Path(__file__).parents[1], artifact, str(n + 1)]
        subprocess.run(command, check=True)

    with ThreadPoolExecutor(6) as executor:
        list(executor.map(run, range(6)))
    with open_carrier(str(artifact)) as carrier:
        assert len(carrier.signatures()) == 6


@pytest.mark.parametrize("step", range(5))
def test_d25_whenever_signing_dies_the_bundle_is_whole_and_can_be_signed(artifact, step, monkeypatch, decode):
    """What is written is renamed into place file by file: die at each of these renames."""
    replace = Path.replace
    renames = []

    def die(self, target):
        if len(renames) == step:
            raise KeyboardInterrupt
        renames.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die)
    try:
        sign(artifact, MINE)
        died = False
    except KeyboardInterrupt:
        died = True
    monkeypatch.undo()
    assert died == (step < (4 if artifact.name == "packed" else 1))
    assert verify(str(artifact), decode=decode)
    assert sorted(os.listdir(artifact.parent)) == [artifact.name]
    sign(artifact, MINE)
    assert verify(str(artifact), Demands(keys=(MINE.public,)), decode=decode)


def test_a_damaged_pyz_is_not_written_anew(pyz, image):
    data = bytearray(pyz.read_bytes())
    with open_carrier(str(pyz)) as carrier:
        layer = carrier.blob(image.manifest.layers[1].digest)
        data[layer.start + layer.size // 2] ^= 1
    pyz.write_bytes(data)
    with pytest.raises(BundleError, match=r"is damaged; got CRC"):
        sign(pyz, MINE)
    assert pyz.read_bytes() == data
    assert os.listdir(pyz.parent) == [pyz.name]


def test_the_layout_has_what_cosign_looks_for_in_it(unsigned, tmp_path, image):
    """The image is annotated in index.json, and a blob is a manifest about it whose layer is a Sigstore bundle."""
    path = copy(unsigned / "packed", tmp_path)
    sign(path, MINE)
    index = json.loads((path / "index.json").read_text())
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    image_entry, referrer_entry = index["manifests"]
    assert image_entry["annotations"] == {"kind": "dev.cosignproject.cosign/image"}
    assert referrer_entry["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    blobs = path / "blobs" / "sha256"
    referrer = json.loads((blobs / referrer_entry["digest"][7:]).read_bytes())
    assert referrer["subject"]["digest"] == image.digest
    assert referrer["annotations"]["dev.sigstore.bundle.predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    assert (blobs / referrer["config"]["digest"][7:]).read_bytes() == b"{}"
    (layer,) = referrer["layers"]
    assert json.loads((blobs / layer["digest"][7:]).read_bytes())["mediaType"] == layer["mediaType"]
