"""A bundle and a private key → a signature beside its image; ``runtime/signatures.py`` says what one is.

* What is signed is the digest, computed from the artifact here, in an in-toto statement, through DSSE's encoding.
* A key may stay in a vault: ``payload_of`` gives the bytes to sign, ``accept`` takes the signature back, in any of the
  forms that vaults return. It is verified before it is attached.
* A signature is deterministic (RFC 6979) and has the smaller s, so that signing twice gives the same artifact; a key
  that has signed already signs nothing again.
* Nothing here needs ``cryptography``: ``private_keys.py`` does.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from bundler.caching.file_locks import locked
from bundler.runtime import p256
from bundler.runtime.carriers import open_carrier
from bundler.runtime.documents import to_json
from bundler.runtime.errors import ContentError, TrustError
from bundler.runtime.images import load_image
from bundler.runtime.keys import to_base64
from bundler.runtime.signatures import (
    BUNDLE_TYPE,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    from_der,
    pre_authentication_encoding,
    to_der,
    verify_signature,
)
from bundler.signing.referrers import attach

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.runtime.carriers import Carrier
    from bundler.runtime.keys import Key
    from bundler.signing.private_keys import PrivateKey

_VAULT = re.compile(r"vault:v[0-9]+:", re.ASCII)
_RAW_SIZE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What was signed, and by whom; *added* is false where the key had signed it before."""

    digest: str
    key: Key
    added: bool


def statement(digest: str) -> bytes:
    """Return the in-toto statement about *digest*, as ``cosign sign`` writes it."""
    subject = {"digest": {"sha256": digest.removeprefix("sha256:")}}
    return to_json({"_type": STATEMENT_TYPE, "subject": [subject], "predicateType": PREDICATE_TYPE, "predicate": {}})


def sigstore_bundle(digest: str, der: bytes, key: Key) -> bytes:
    """Return the Sigstore bundle of *der*, the signature of *digest* by *key*."""
    # What sigstore's own tools write as the hint of a key: base64 of the sha256 of its SPKI.
    hint = to_base64(sha256(key.to_spki()).digest())
    return to_json(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}},
            "dsseEnvelope": {
                "payload": to_base64(statement(digest)),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": to_base64(der)}],
            },
        }
    )


def sign(path: Path, key: PrivateKey, *, expect: str | None = None) -> Signed:
    """Sign the bundle at *path*, which must be *expect* if that is given."""
    with _open_locked(path) as carrier:
        digest = load_image(carrier, expect).digest
        if _has_signed(carrier, digest, key.public):
            return Signed(digest=digest, key=key.public, added=False)
        return _attach(carrier, digest, key.sign(pre_authentication_encoding(statement(digest))), key.public)


def payload_of(path: Path, *, expect: str | None = None) -> bytes:
    """Return the bytes whose signature ``accept`` takes."""
    with open_carrier(str(path)) as carrier:
        return pre_authentication_encoding(statement(load_image(carrier, expect).digest))


def accept(path: Path, signature: bytes, key: Key, *, expect: str | None = None) -> Signed:
    """Attach *signature*, made elsewhere, to the bundle at *path*; raise ``TrustError`` if it is not by *key*.

    It may be DER or r and s of 32 bytes each, binary or in base64 or base64url, also as HashiCorp's vault prints it.
    """
    with _open_locked(path) as carrier:
        digest = load_image(carrier, expect).digest
        hashed = sha256(pre_authentication_encoding(statement(digest))).digest()
        for r, s in read_signature(signature):
            if p256.verify(key.x, key.y, hashed, r, s):
                if _has_signed(carrier, digest, key):
                    return Signed(digest=digest, key=key, added=False)
                return _attach(carrier, digest, (r, s), key)
        raise TrustError(
            "signature",
            "is not one of this bundle by this key",
            want=f"a signature of the file of --write-payload, by {key.fingerprint} ({key.where})",
            hint="sign the file, or its sha256 where the vault takes a digest, with ECDSA on P-256 and SHA-256",
            rule="B18",
        )


def read_signature(data: bytes) -> list[tuple[int, int]]:
    """Return every pair (r, s) that *data* may stand for; none if it is no signature."""
    candidates = [data]
    with contextlib.suppress(UnicodeDecodeError, binascii.Error):
        text = _VAULT.sub("", "".join(data.decode("ascii").split()), count=1)
        text = text.rstrip("=").replace("-", "+").replace("_", "/")
        candidates.append(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    found = []
    for each in candidates:
        if len(each) == _RAW_SIZE:
            found.append((int.from_bytes(each[:32]), int.from_bytes(each[32:])))
        with contextlib.suppress(ContentError):
            found.append(from_der(each, "signature", malleable=True))
    return found


@contextlib.contextmanager
def _open_locked(path: Path) -> Iterator[Carrier]:
    """Lock the artifact at *path* against other signers, and open it."""
    with locked(path.absolute().parent, create=False), open_carrier(str(path)) as carrier:
        yield carrier


def _has_signed(carrier: Carrier, digest: str, key: Key) -> bool:
    for where, data in carrier.signatures():
        with contextlib.suppress(ContentError, TrustError):
            verify_signature(data, digest, [key], where)
            return True
    return False


def _attach(carrier: Carrier, digest: str, signature: tuple[int, int], key: Key) -> Signed:
    r, s = signature
    data = sigstore_bundle(digest, to_der(r, min(s, p256.N - s)), key)  # of the two valid values of s, the accepted one
    verify_signature(data, digest, [key], "signature")  # our own reader has to accept it
    attach(carrier, data)
    return Signed(digest=digest, key=key, added=True)
