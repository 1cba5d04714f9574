"""A private key is written once, for its owner only, and read from what OpenSSL writes, too."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from bundler.runtime.demands import Demands
from bundler.runtime.errors import UsageError
from bundler.runtime.keys import read_keys
from bundler.runtime.verifying import verify
from bundler.signing.private_keys import generate, read_private_key
from bundler.signing.signatures import sign


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


def test_nothing_but_signing_imports_cryptography():
    code = (
        "import sys, bundler.cli, bundler.signing.signatures, bundler.runtime.verifying, bundler.runtime.signatures;"
        "print([name for name in sys.modules if name.startswith('cryptography')])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
