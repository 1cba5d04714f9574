"""Public keys, signatures and a digest → the key that signed the digest, or why none did (rule B18).

* A signature is a Sigstore bundle v0.3: a DSSE envelope around an in-toto statement, whose one subject is the digest
  of the image and whose type is what ``cosign sign`` writes; an attestation about the same image is no signature.
* ECDSA on P-256 with SHA-256, always. Keys come from outside; the file chooses neither key nor algorithm. What it
  says of its key, and entries of transparency logs, are not looked at.
* Everything has exactly one encoding: canonical base64, minimal DER, 0 < r < n, 0 < s ≤ n/2 (of the two values of s
  that verify, signers write the smaller one). A key is an uncompressed point that lies on the curve.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import Any, List, NamedTuple, Sequence, Tuple

from . import p256
from .documents import Fields, parse_json
from .errors import ContentError, TrustError, UsageError
from .keys import Key, from_base64

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://sigstore.dev/cosign/sign/v1"
MAX_SIGNATURE = 64 << 10
_LONGEST_DER = 72


class Signature(NamedTuple):
    """A signature that says the right thing; nobody has verified it yet. *payload* is its statement."""

    payload: bytes
    r: int
    s: int
    claimed: str


def pre_authentication_encoding(payload: bytes) -> bytes:
    """Return the bytes that are signed for *payload*, a statement, as DSSE defines them."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def parse_signature(data: bytes, digest: str, where: str) -> Signature:
    """Return the signature that *data*, a Sigstore bundle, holds; raise ``ContentError`` if it is none of *digest*."""
    fields = Fields(parse_json(data, where, MAX_SIGNATURE), where)
    fields.only("mediaType", "verificationMaterial", "dsseEnvelope")
    _demand(fields, "mediaType", BUNDLE_TYPE)
    material = Fields(fields.value.get("verificationMaterial"), fields.at("verificationMaterial"))
    material.only("publicKey", "tlogEntries", "timestampVerificationData")
    key = Fields(material.value.get("publicKey"), material.at("publicKey"))
    key.only("hint")
    envelope = Fields(fields.value.get("dsseEnvelope"), fields.at("dsseEnvelope"))
    envelope.only("payload", "payloadType", "signatures")
    _demand(envelope, "payloadType", PAYLOAD_TYPE)
    signatures = envelope.items("signatures")
    if len(signatures) != 1:
        raise _refusal(envelope.at("signatures"), "are not exactly one", got=len(signatures), want=1)
    signatures[0].only("sig", "keyid")
    r, s = from_der(_bytes_at(signatures[0], "sig"), signatures[0].at("sig"))
    payload = _bytes_at(envelope, "payload")
    _check_statement(payload, digest, envelope.at("payload"))
    claimed = from_base64(key.value.get("hint"))
    fingerprint = "sha256:" + binascii.hexlify(claimed).decode() if claimed and len(claimed) == 32 else ""  # noqa: PLR2004
    return Signature(payload, r, s, fingerprint)


def _check_statement(payload: bytes, digest: str, where: str) -> None:
    fields = Fields(parse_json(payload, where, MAX_SIGNATURE), where)
    fields.only("_type", "subject", "predicateType", "predicate")
    _demand(fields, "_type", STATEMENT_TYPE)
    _demand(fields, "predicateType", PREDICATE_TYPE)
    subjects = fields.items("subject")
    if len(subjects) != 1:
        raise _refusal(fields.at("subject"), "is not exactly one", got=len(subjects), want=1)
    subjects[0].only("digest", "name", "annotations")
    found = subjects[0].get("digest", dict)
    if found != {"sha256": digest[7:]}:
        got = "sha256:{}".format(found["sha256"]) if set(found) == {"sha256"} else ", ".join(sorted(found)[:9])
        raise _refusal(subjects[0].at("digest"), "is not the digest of this bundle", got=got[:80], want=digest)


def _demand(fields: Fields, key: str, want: str) -> None:
    found = fields.get(key, str)
    if found != want:
        raise _refusal(fields.at(key), "is another", got=found[:80], want=want)


def _refusal(where: str, what: str, *, got: object = None, want: object = None) -> ContentError:
    return ContentError(where, what, got=got, want=want, rule="B18")


def _bytes_at(fields: Fields, key: str) -> bytes:
    data = from_base64(fields.get(key, str))
    if not data:
        raise _refusal(fields.at(key), "is not canonical base64")
    return data


def from_der(der: bytes, where: str, *, malleable: bool = False) -> Tuple[int, int]:
    """Return r and s of an ECDSA signature; refuse all but its one encoding. If *malleable*, s may be the larger."""
    size = der[3] if 8 <= len(der) <= _LONGEST_DER else 0  # noqa: PLR2004 - two numbers need eight bytes
    r = int.from_bytes(der[4 : 4 + size], "big")
    s = int.from_bytes(der[6 + size :], "big")
    if len(der) > _LONGEST_DER or to_der(r, s) != der:
        raise _refusal(where, "is not minimal DER of two positive numbers")
    if not (0 < r < p256.N and 0 < s < p256.N):
        raise _refusal(where, "has r or s out of range", want="0 < r, s < n")
    if s > p256.HALF_N and not malleable:
        raise _refusal(where, "is malleable", got="s > n/2", want="the smaller s, as bundle sign writes it")
    return r, s


def to_der(r: int, s: int) -> bytes:
    """Return the DER encoding of an ECDSA signature."""
    body = b""
    for number in (r, s):
        data = number.to_bytes(number.bit_length() // 8 + 1, "big")
        body += b"\x02" + bytes([len(data)]) + data
    return b"\x30" + bytes([len(body)]) + body


def verify_signature(data: bytes, digest: str, keys: Sequence[Key], where: str) -> Key:
    """Return the one of *keys* that made *data*, a Sigstore bundle, for *digest*.

    Raise ``ContentError`` if it is no signature of *digest*, and ``TrustError`` if it is by another key.
    """
    if not keys:
        raise UsageError(where, "cannot be verified without a public key", rule="B18")
    signature = parse_signature(data, digest, where)
    hashed = hashlib.sha256(pre_authentication_encoding(signature.payload)).digest()
    for key in keys:
        if p256.verify(key.x, key.y, hashed, signature.r, signature.s):
            return key
    got = f"a signature that says it is by {signature.claimed}" if signature.claimed else None
    forged = signature.claimed in [key.fingerprint for key in keys]
    raise TrustError(where, "is not a signature by that key" if forged else "is by another key", got=got, rule="B18")


class NotSignedError(TrustError):
    """No signature is valid; *reasons* says of each why not."""

    def __init__(self, where: str, digest: str, keys: Sequence[Key], reasons: Sequence[str]) -> None:
        """Say which signature of *digest* was wanted."""
        super().__init__(
            where,
            "has no valid signature" if reasons else "is not signed",
            want=f"a signature of {digest} by " + " or ".join(f"{key.fingerprint} ({key.where})" for key in keys),
            hint="sign it with bundle sign, or trust the key of whoever has signed it",
            rule="B18",
        )
        self.reasons = reasons

    def __str__(self) -> str:
        return "\n".join([self.fault, *(f"  {reason}" for reason in self.reasons), f"hint: {self.hint}"])


def find_signature(
    signatures: Sequence[Tuple[str, bytes]], digest: str, keys: Sequence[Key], where: str = "bundle"
) -> Key:
    """Return the first of *keys* by which one of *signatures* (where, Sigstore bundle) is valid for *digest*.

    Raise ``NotSignedError``, a ``TrustError``, if there is none.
    """
    reasons: List[str] = []
    for at, data in signatures:
        try:
            return verify_signature(data, digest, keys, at)
        except (ContentError, TrustError) as error:
            reasons.append(error.fault)
    raise NotSignedError(where, digest, keys, reasons)


def trusted_by(carrier: Any, digest: str, keys: Sequence[Key]) -> Key:  # noqa: ANN401 - a Carrier, not imported
    """Return the one of *keys* that signed *digest*, the digest of the bundle in *carrier*; raise ``TrustError``."""
    if not keys:
        raise UsageError(carrier.path, "cannot be verified without a public key", rule="B18")
    return find_signature(carrier.signatures(), digest, keys, carrier.path)
