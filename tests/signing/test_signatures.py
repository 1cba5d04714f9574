"""A signature goes beside the image of an artifact, which stays what it is; vaults sign as files do."""

from __future__ import annotations

import base64
import json
import os
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from support.bundles_to_sign import MINE, THEIRS, copy
from support.commands import ROOT
from support.image_factory import make_image
from support.interpreters import python, target_of
from support.signature_factory import OTHER, PRIVATE, N, bundle_of, pem_of

from bundler.images.carriers import write_carrier
from bundler.runtime.boot import unpack
from bundler.runtime.carriers import open_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, TrustError
from bundler.runtime.verifying import verify
from bundler.signing.signatures import accept, payload_of, read_signature, sign


def test_what_was_signed_is_verified_with_the_key_and_has_the_same_digest(artifact, image, decode):
    signed = sign(artifact, MINE)
    assert (signed.digest, signed.key, signed.added) == (image.digest, MINE.public, True)
    verdict = verify(str(artifact), Demands(keys=(MINE.public,)), decode=decode)
    assert (verdict.trust, verdict.signed_by) == ("verified", MINE.public.fingerprint)
    assert verdict.image.digest == image.digest
    assert verify(str(artifact), decode=decode).to_json()["signed_by"] is None


def test_b18_an_unsigned_bundle_and_one_signed_by_another_are_refused(artifact, decode):
    with pytest.raises(TrustError, match="is not signed; want a signature of sha256:"):
        verify(str(artifact), Demands(keys=(MINE.public,)), decode=decode)
    sign(artifact, THEIRS)
    with pytest.raises(TrustError, match="is by another key") as caught:
        verify(str(artifact), Demands(keys=(MINE.public,)), decode=decode)
    assert (caught.value.rule, caught.value.exit_code) == ("B18", 4)


def test_b18_the_signature_of_another_bundle_is_refused(artifact, image, tmp_path, decode):
    other = make_image(tmp_path / "other-image", {"site-packages/other.py": b""}, target=target_of("3.7"))
    out = tmp_path / "elsewhere"
    write_carrier(other, out, form="packed", force=False, decode=decode, jobs=1)
    sign(out, MINE)
    with open_carrier(str(out)) as carrier:
        (_, signature) = carrier.signatures()[0]
    from bundler.signing.referrers import attach

    with open_carrier(str(artifact)) as carrier:
        attach(carrier, signature)
    with pytest.raises(BundleError, match="is not the digest of this bundle"):
        verify(str(artifact), Demands(keys=(MINE.public,)), decode=decode)


def test_a_digest_that_was_expected_must_be_there_as_well(artifact, image, decode):
    sign(artifact, MINE)
    assert verify(str(artifact), Demands(image.digest, (MINE.public,)), decode=decode).trust == "verified"
    with pytest.raises(TrustError, match="is another bundle than expected"):
        verify(str(artifact), Demands("sha256:" + "0" * 64, (MINE.public,)), decode=decode)
    with pytest.raises(TrustError, match="is another bundle than expected"):
        sign(artifact, THEIRS, expect="sha256:" + "0" * 64)


def test_keys_are_changed_by_signing_with_the_new_one_too(artifact, decode):
    sign(artifact, MINE)
    sign(artifact, THEIRS)
    for trusted in ([MINE.public], [THEIRS.public], [THEIRS.public, MINE.public]):
        verdict = verify(str(artifact), Demands(keys=tuple(trusted)), decode=decode)
        assert verdict.signed_by in [key.fingerprint for key in trusted]


def test_unpacking_takes_the_signatures_along(unsigned, tmp_path, decode):
    for name in ("deps.pyz", "packed"):
        path = copy(unsigned / name, tmp_path)
        sign(path, MINE)
        unpack(str(path), str(tmp_path / f"{name}-tree"), decode=decode)
        assert verify(str(tmp_path / f"{name}-tree"), Demands(keys=(MINE.public,))).signed_by == MINE.public.fingerprint


def test_a_signed_bundle_still_runs_on_37(artifact, image):
    if artifact.name != "tree":
        sign(artifact, MINE)
        (artifact.parent / "release.pub").write_bytes(pem_of(PRIVATE))
        code = "import mod; print(mod.value)"
        run = [python("3.7"), artifact, "run", "--expect", image.digest, "--", "python", "-c", code]
        answer = subprocess.run(run, capture_output=True, text=True, check=False)
        assert answer.stdout == "42\n", answer.stderr


# Vaults


def raw(private, message):
    return utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))


def both(r, s):
    """Return the signature with either value of s."""
    return [(r, s), (r, N - s)]


FORMS_OF_VAULTS = {
    "DER": lambda der, _: der,
    "DER in base64, as AWS and Google print it": lambda der, _: base64.b64encode(der) + b"\n",
    "r and s": lambda _, pair: pair,
    "r and s in base64url without padding, as Azure Key Vault returns it": lambda _, pair: base64.urlsafe_b64encode(
        pair
    ).rstrip(b"="),
    "HashiCorp Vault": lambda der, _: b"vault:v12:" + base64.b64encode(der) + b"\n",
    "DER in base64, in lines": lambda der, _: base64.encodebytes(der),
}


@pytest.mark.parametrize("form", FORMS_OF_VAULTS)
def test_the_signature_of_a_vault_is_taken_in_any_form_and_with_either_s(form, unsigned, tmp_path, decode):
    path = copy(unsigned / "packed", tmp_path)
    for n, (r, s) in enumerate(both(*raw(PRIVATE, payload_of(path)))):
        der, pair = utils.encode_dss_signature(r, s), r.to_bytes(32) + s.to_bytes(32)
        assert accept(path, FORMS_OF_VAULTS[form](der, pair), MINE.public).added is (n == 0)
        assert verify(str(path), Demands(keys=(MINE.public,)), decode=decode).trust == "verified"


def test_what_a_vault_returned_for_another_key_or_payload_is_not_attached(pyz):
    before = pyz.read_bytes()
    der = PRIVATE.sign(payload_of(pyz), ec.ECDSA(hashes.SHA256()))
    wrong = PRIVATE.sign(payload_of(pyz) + b" ", ec.ECDSA(hashes.SHA256()))
    for signature, key in ((der, THEIRS.public), (wrong, MINE.public), (b"", MINE.public), (b"\xff" * 70, MINE.public)):
        with pytest.raises(TrustError, match="is not one of this bundle by this key") as caught:
            accept(pyz, signature, key)
        assert caught.value.rule == "B18"
    assert pyz.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"MEUC", b"vault:v1:", b"{}", bytes(63), bytes(65), b"\xff\xfe", "é".encode()])
def test_what_is_no_signature_stands_for_none(data):
    assert read_signature(data) == []


# The field's own tools


def test_openssl_verifies_by_hand_what_is_in_the_artifact(unsigned, tmp_path):
    path = copy(unsigned / "tree", tmp_path)
    sign(path, MINE)
    (signature,) = path.glob(".bundle/signatures/*.json")
    envelope = json.loads(signature.read_text())["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    (tmp_path / "message").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "release.pub").write_bytes(pem_of(PRIVATE))
    command = ["openssl", "dgst", "-sha256", "-verify", "release.pub", "-signature", "sig", "message"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.stdout == "Verified OK\n"


SIGSTORE = """
const fs = require("fs"), crypto = require("crypto");
const { bundleFromJSON } = require("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");
const nothing = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
for (const [key, file] of JSON.parse(process.argv[2])) {
  const find = () => ({ publicKey: crypto.createPublicKey(fs.readFileSync(key)), validFor: () => true });
  const verifier = new Verifier(toTrustMaterial(nothing, find),
    { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(fs.readFileSync(file)))));
    console.log("verified");
  } catch (error) {
    console.log(error.code || error.name);
  }
}
"""


@pytest.mark.network
@pytest.mark.slow
def test_npms_sigstore_agrees(unsigned, tmp_path):
    modules = ROOT / ".cache" / "node" / "node_modules"
    if not (modules / "@sigstore" / "verify").is_dir():
        pytest.fail("sigstore's verifier is missing; scripts/test --all installs it into .cache/node")
    path = copy(unsigned / "tree", tmp_path)
    sign(path, MINE)
    (signature,) = path.glob(".bundle/signatures/*.json")
    document = json.loads(signature.read_text())
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"sha256", b"sha512")).decode()
    (tmp_path / "changed.json").write_text(json.dumps(document))
    (tmp_path / "cosign-like.json").write_bytes(bundle_of())
    (tmp_path / "mine.pub").write_bytes(pem_of(PRIVATE))
    (tmp_path / "other.pub").write_bytes(pem_of(OTHER))
    (tmp_path / "verify.js").write_text(SIGSTORE)
    cases = [
        ("mine.pub", str(signature), "verified"),
        ("mine.pub", "cosign-like.json", "verified"),
        ("other.pub", str(signature), "SIGNATURE_ERROR"),
        ("mine.pub", "changed.json", "SIGNATURE_ERROR"),
    ]
    answer = subprocess.run(
        ["node", "verify.js", json.dumps([case[:2] for case in cases])],
        cwd=tmp_path,
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == [case[2] for case in cases]
