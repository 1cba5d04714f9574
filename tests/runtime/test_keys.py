"""A public key is a point on P-256 in PEM, and nothing else is one (B18); it comes from files or a variable."""

from __future__ import annotations

import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.signature_factory import OTHER, PRIVATE, encoded, key_of, pem_of

from bundler.runtime import p256
from bundler.runtime.errors import UsageError
from bundler.runtime.keys import parse_key, parse_keys

KEY = key_of(PRIVATE)
PEM = pem_of(PRIVATE)
P = p256.P


def without_private_part(private):
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def spki(point):
    prefix = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
    return prefix + point


def pem(data, label="PUBLIC KEY", width=64):
    text = encoded(data)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


POINT = PRIVATE.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
COMPRESSED = PRIVATE.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
SHORT = bytes.fromhex("3017301306072a8648ce3d020106082a8648ce3d030107")
BAD_KEYS = {
    "a private key": (
        PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "is a private key; want a public key",
    ),
    "an old private key": (
        PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "is a private key; want a public key",
    ),
    "a certificate": (pem(b"x" * 90, "CERTIFICATE"), "is not a public key in PEM; got CERTIFICATE"),
    "P-384": (without_private_part(ec.derive_private_key(7, ec.SECP384R1())), "is not a key on the curve P-256"),
    "secp256k1": (without_private_part(ec.derive_private_key(7, ec.SECP256K1())), "is not a key on the curve P-256"),
    "RSA": (without_private_part(rsa.generate_private_key(65537, 2048)), "is not a key on the curve P-256"),
    "Ed25519": (without_private_part(ed25519.Ed25519PrivateKey.generate()), "is not a key on the curve P-256"),
    "a compressed point": (
        pem(b"\x30\x39" + SHORT[2:] + b"\x03\x22\x00" + COMPRESSED),
        "is a compressed point; want an uncompressed one",
    ),
    "a point off the curve": (pem(spki(POINT[:-1] + bytes([POINT[-1] ^ 1]))), "is not a point on the curve P-256"),
    "the origin": (pem(spki(b"\x04" + bytes(64))), "is not a point on the curve P-256"),
    "infinity": (pem(SHORT + bytes.fromhex("03020000")), "is not a key on the curve P-256"),
    "coordinates beyond p": (
        pem(spki(b"\x04" + (P + 5).to_bytes(32, "big") + (P - 1).to_bytes(32, "big"))),
        "is not a point on the curve P-256",
    ),
    "a hybrid point": (pem(spki(b"\x06" + POINT[1:])), "is not a key on the curve P-256"),
    "a byte behind": (pem(spki(POINT) + b"\x00"), "is not a key on the curve P-256"),
    "a byte less": (pem(spki(POINT)[:-1]), "is not a key on the curve P-256"),
    "unused bits": (pem(spki(POINT).replace(b"\x03\x42\x00", b"\x03\x42\x01", 1)), "is not a key on the curve P-256"),
    "text before": (b"key:\n" + PEM, "is not a public key in PEM; got other text around it"),
    "text after": (PEM + b"comment\n", "is not a public key in PEM; got something else"),
    "no end": (PEM[:-20], "is not a public key in PEM"),
    "spaces": (PEM.replace(b"\nMF", b"\n MF"), "is not a public key in PEM"),
    "headers": (PEM.replace(b"\nMF", b"\nProc-Type: 4\n\nMF"), "is not a public key in PEM"),
    "loose bits": (PEM.replace(b"==\n", b"=\n"), "is not canonical base64"),
    "DER": (spki(POINT), "is not a public key in PEM; got something else"),
    "nothing": (b"", "is not a public key in PEM; got something else"),
    "two keys": (PEM * 2, "holds several public keys; got 2, want 1"),
}


@pytest.mark.parametrize(("data", "message"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_b18_a_key_that_is_no_p256_key_is_refused(data, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_key(data, "some.pub")
    assert (caught.value.rule, caught.value.exit_code) == ("B18", 2)


def test_a_key_is_named_by_the_sha256_of_its_spki(tmp_path):
    (tmp_path / "k.pub").write_bytes(PEM)
    command = f"openssl pkey -pubin -in {tmp_path}/k.pub -outform DER | sha256sum"
    answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert KEY.fingerprint == "sha256:" + answer.stdout.split()[0]


def test_keys_come_from_paths_from_several_in_one_file_or_from_the_variable_itself(tmp_path):
    first, second = tmp_path / "first.pub", tmp_path / "second.pub"
    first.write_bytes(PEM)
    second.write_bytes(pem_of(OTHER).replace(b"\n", b"\r\n"))
    both = [KEY.fingerprint, key_of(OTHER).fingerprint]

    def found(text):
        return [key.fingerprint for key in parse_keys(text)]

    assert found(str(first)) == both[:1]
    assert found(f"{first}{os.pathsep}{second}") == both
    assert found((PEM + b"\n" + pem_of(OTHER)).decode()) == both
    assert found(PEM.decode().rstrip("\n")) == both[:1]
    first.write_bytes(PEM + pem_of(OTHER))
    assert found(str(first)) == both
    assert found(f"{first}{os.pathsep}{second}") == both
