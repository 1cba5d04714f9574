"""Keys, statements and Sigstore bundles, right ones and wrong ones, made with ``cryptography``."""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundler.runtime.keys import parse_key

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DIGEST = "sha256:" + "ab" * 32
PRIVATE = ec.derive_private_key(0xB18, ec.SECP256R1())
OTHER = ec.derive_private_key(0xBAD, ec.SECP256R1())


def pem_of(private, **options):
    return private.public_key().public_bytes(Encoding.PEM, options.get("form", PublicFormat.SubjectPublicKeyInfo))


def key_of(private, where="release.pub"):
    return parse_key(pem_of(private), where)


def numbers(message, private=PRIVATE):
    """Return r and the smaller s of a signature of *message*."""
    r, s = utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r, min(s, N - s)


def integer(value, size=None):
    """Return the DER of a number, in *size* bytes if that is given."""
    data = value.to_bytes(size or value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(data)]) + data


def sequence(*parts):
    body = b"".join(parts)
    return b"\x30" + bytes([len(body)]) + body


def der(r, s):
    return sequence(integer(r), integer(s))


def statement_of(digest=DIGEST):
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest[7:]}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }


def encoded(data):
    return base64.b64encode(data).decode()


def pae(payload, payload_type="application/vnd.in-toto+json"):
    return b" ".join([b"DSSEv1", b"%d" % len(payload_type), payload_type.encode(), b"%d" % len(payload), payload])


def document_of(statement, *, private=PRIVATE, signature=None, payload_type="application/vnd.in-toto+json"):
    """Return the Sigstore bundle of *statement* (bytes, or what becomes JSON) as a dict."""
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    signature = signature or der(*numbers(pae(payload, payload_type), private))
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "a key"}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": encoded(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": encoded(signature), "keyid": ""}],
        },
    }


def bundle_of(digest=DIGEST, private=PRIVATE):
    return json.dumps(document_of(statement_of(digest), private=private)).encode()
