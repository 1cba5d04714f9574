"""A signature goes beside the image of an artifact, which stays what it is; vaults sign as files do."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import ROOT, bundle
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from image_factory import make_image
from interpreters import python, target_of
from signature_factory import PRIVATE, N, bundle_of, key_of, pem_of

from bundler.carriers import write_carrier
from bundler.private_keys import PrivateKey, generate, read_private_key
from bundler.runtime.boot import unpack
from bundler.runtime.carriers import open_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, TrustError, UsageError
from bundler.runtime.keys import parse_key, read_keys
from bundler.runtime.referrers import MAX_SIGNATURES
from bundler.runtime.verifying import verify
from bundler.signing import accept, payload_of, read_signature, sign

FORMS = {"pyz": "deps.pyz", "packed": "packed", "tree": "tree"}
OTHER = ec.derive_private_key(0xBAD, ec.SECP256R1())
MINE = PrivateKey(public=key_of(PRIVATE), private=PRIVATE)
THEIRS = PrivateKey(public=key_of(OTHER, "other.pub"), private=OTHER)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    files = {"site-packages/mod.py": b"value = 42\n", "site-packages/data.bin": bytes(range(256)) * 300}
    return make_image(tmp_path_factory.mktemp("image"), files, target=target_of("3.7"))


@pytest.fixture(scope="module")
def unsigned(image, tmp_path_factory):
    import zstandard

    directory = tmp_path_factory.mktemp("unsigned")
    decode = lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)  # noqa: E731
    for form, name in FORMS.items():
        write_carrier(image, directory / name, form=form, force=False, decode=decode, jobs=1)
    return directory


@pytest.fixture(params=FORMS)
def artifact(request, unsigned, tmp_path):
    return copy(unsigned / FORMS[request.param], tmp_path)


@pytest.fixture
def pyz(unsigned, tmp_path):
    return copy(unsigned / FORMS["pyz"], tmp_path)


def copy(source, directory):
    target = directory / source.name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    return target


def contents(path):
    """Return every file of an artifact with its bytes; the members of a ``.pyz``."""
    if path.is_dir():
        return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    with open_carrier(str(path)) as carrier:
        return {name: carrier.member(name).read(0, carrier.member(name).size) for name in carrier.names()}


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
    from bundler.referrers import attach

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
from signature_factory import key_of
from bundler.private_keys import PrivateKey
from bundler.signing import sign
private = ec.derive_private_key(int(sys.argv[3]), ec.SECP256R1())
sign(Path(sys.argv[2]), PrivateKey(public=key_of(private), private=private))
"""


def test_signatures_made_at_the_same_time_are_all_kept(artifact):
    def run(n):
        command = [sys.executable, "-c", SIGN, Path(__file__).parent, artifact, str(n + 1)]
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


# Keys


def test_a_new_key_is_for_its_owner_only_and_openssl_can_read_it(tmp_path):
    old = os.umask(0)
    try:
        key = generate(tmp_path / "release")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "release.key").stat().st_mode) == 0o600
    command = ["openssl", "pkey", "-in", tmp_path / "release.key", "-pubout"]
    answer = subprocess.run(command, capture_output=True, check=True)
    assert answer.stdout == (tmp_path / "release.pub").read_bytes()
    assert read_private_key(tmp_path / "release.key", lambda: None).public.fingerprint == key.fingerprint


@pytest.mark.parametrize("there", ["release.key", "release.pub"])
def test_a_key_that_is_there_stays(tmp_path, there):
    (tmp_path / there).write_text("precious")
    with pytest.raises(UsageError, match="exists already, and stays"):
        generate(tmp_path / "release")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {there: "precious"}


def test_an_encrypted_key_needs_its_passphrase(tmp_path):
    key = generate(tmp_path / "release", "swordfish")
    path = tmp_path / "release.key"
    assert b"ENCRYPTED" in path.read_bytes()
    assert read_private_key(path, lambda: "swordfish").public.fingerprint == key.fingerprint
    with pytest.raises(UsageError, match="cannot be opened with this passphrase"):
        read_private_key(path, lambda: "marlin")
    with pytest.raises(UsageError, match="is encrypted, and there is no passphrase"):
        read_private_key(path, lambda: None)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("openssl ecparam -name secp384r1 -genkey -noout", "is not a key on the curve P-256"),
        ("openssl genpkey -algorithm ed25519", "is not a key on the curve P-256"),
        ("openssl ecparam -name prime256v1 -genkey -noout | openssl pkey -pubout", "is not a private key in PEM"),
        ("echo hello", "is not a private key in PEM"),
    ],
)
def test_b18_a_private_key_that_is_no_p256_key_is_refused(command, message, tmp_path):
    subprocess.run(f"{command} > {tmp_path}/some.key", shell=True, check=True)
    with pytest.raises(UsageError, match=message):
        read_private_key(tmp_path / "some.key", lambda: None)


def test_a_key_that_openssl_has_made_signs_too(pyz, tmp_path, decode):
    subprocess.run(
        f"openssl ecparam -name prime256v1 -genkey -noout -out {tmp_path}/o.key &&"
        f" openssl pkey -in {tmp_path}/o.key -pubout -out {tmp_path}/o.pub",
        shell=True,
        check=True,
    )
    sign(pyz, read_private_key(tmp_path / "o.key", lambda: None))
    assert verify(str(pyz), Demands(keys=read_keys([str(tmp_path / "o.pub")])), decode=decode).trust == "verified"


# Commands


@pytest.fixture
def keys(tmp_path):
    for name in ("release", "other"):
        assert bundle("keygen", "-o", tmp_path / name).returncode == 0
    return tmp_path


def test_keygen_sign_and_verify_as_typed(artifact, keys, image):
    answer = bundle("sign", artifact, "--key", keys / "release.key", "--expect", image.digest)
    assert answer.returncode == 0, answer.stderr
    fingerprint = parse_key((keys / "release.pub").read_bytes(), "").fingerprint
    assert answer.stdout == f"{artifact}: signed: {image.digest}\n  by {fingerprint}\n"
    assert "was signed already" in bundle("sign", artifact, "--key", keys / "release.key").stdout
    facts = json.loads(bundle("verify", artifact, "--key", keys / "release.pub", "--json").stdout)
    assert (facts["trust"], facts["signed_by"]) == ("verified", fingerprint)
    assert f"  signed by {fingerprint}\n" in bundle("verify", artifact, "--key", keys / "release.pub").stdout
    refused = bundle("verify", artifact, "--key", keys / "other.pub")
    assert refused.returncode == 4
    assert "is by another key; got a signature that says it is by " + fingerprint in refused.stderr
    assert bundle("verify", artifact, "--key", keys / "other.pub", "--key", keys / "release.pub").returncode == 0
    assert "self-consistent" in bundle("verify", artifact).stdout


def test_37_verifies_with_a_key_and_nothing_installed(artifact, keys, unsigned):
    bundle("sign", artifact, "--key", keys / "release.key")
    program = unsigned / "deps.pyz"  # a verifier that comes from elsewhere
    command = [python("3.7"), "-I", program, "verify", artifact]

    def run(*arguments, **environ):
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, env={**os.environ, **environ}
        )

    report = keys / "report.json"
    answer = run("--key", keys / "release.pub", "--report", report)
    assert answer.returncode == 0, answer.stderr
    assert ": verified: " in answer.stdout
    assert json.loads(report.read_text())["signed_by"].startswith("sha256:")
    assert run("--require-signature", BUNDLE_PUBLIC_KEY=str(keys / "release.pub")).returncode == 0
    assert run(BUNDLE_PUBLIC_KEY=(keys / "release.pub").read_text()).returncode == 0
    assert run("--key", keys / "other.pub").returncode == 4
    assert run(BUNDLE_PUBLIC_KEY=str(keys / "other.pub")).returncode == 4
    refused = run("--require-signature")
    assert (refused.returncode, "needs a public key" in refused.stderr) == (2, True)
    assert run(BUNDLE_PUBLIC_KEY="").returncode == 2


def test_openssl_in_the_place_of_a_vault(pyz, keys):
    payload, signature = keys / "payload", keys / "signature"
    answer = bundle("sign", pyz, "--write-payload", payload)
    assert answer.returncode == 0, answer.stderr
    hashed = subprocess.run(["sha256sum", payload], capture_output=True, text=True, check=True).stdout.split()[0]
    assert hashed in answer.stdout
    command = ["openssl", "dgst", "-sha256", "-sign", keys / "release.key", "-out", signature, payload]
    subprocess.run(command, check=True)
    assert bundle("sign", pyz, "--signature", signature).returncode == 2  # by whom?
    refused = bundle("sign", pyz, "--signature", signature, "--public-key", keys / "other.pub")
    assert (refused.returncode, "is not one of this bundle by this key" in refused.stderr) == (4, True)
    taken = bundle("sign", pyz, "--signature", signature, "--public-key", keys / "release.pub")
    assert (taken.returncode, ": signed: " in taken.stdout) == (0, True), taken.stderr
    assert bundle("verify", pyz, "--key", keys / "release.pub").returncode == 0


def test_an_encrypted_key_signs_with_the_passphrase_of_the_environment(pyz, tmp_path):
    environ = {**os.environ, "BUNDLE_KEY_PASSPHRASE": "swordfish"}
    assert "encrypted" in bundle("keygen", "-o", tmp_path / "safe", env=environ).stdout
    refused = bundle("sign", pyz, "--key", tmp_path / "safe.key", stdin=subprocess.DEVNULL)
    assert (refused.returncode, "set BUNDLE_KEY_PASSPHRASE" in refused.stderr) == (2, True)
    assert bundle("sign", pyz, "--key", tmp_path / "safe.key", env=environ).returncode == 0


def test_nothing_but_signing_imports_cryptography():
    code = (
        "import sys, bundler.cli, bundler.signing, bundler.runtime.verifying, bundler.runtime.signatures;"
        "print([name for name in sys.modules if name.startswith('cryptography')])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


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
