"""``bundle keygen``, ``sign`` and ``verify`` as a user types them."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from support.commands import bundle
from support.interpreters import python

from bundler.runtime.keys import parse_key


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
