"""PEM → public keys on the curve P-256, which decide whose signatures count (rule B18).

* A key is a SubjectPublicKeyInfo with an uncompressed point that lies on the curve, in PEM, with nothing around it.
* Keys come from the user: a path, several paths separated as in ``PATH``, or PEM itself; several of them, so that an
  old and a new one count while keys are changed. A key that cannot be used is an error, never left out.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import re
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from . import p256
from .errors import UsageError

VARIABLE = "BUNDLE_PUBLIC_KEY"

# SubjectPublicKeyInfo of an uncompressed point: everything before its coordinates.
_SPKI = binascii.unhexlify("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_COMPRESSED = (_SPKI[2:23] + b"\x03\x22\x00\x02", _SPKI[2:23] + b"\x03\x22\x00\x03")
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----(?:\r?\n)*")
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_LARGEST_FILE = 64 << 10


class Key(NamedTuple):
    """A public key: where it was read, the sha256 of its SPKI as ``sha256:…``, its point."""

    where: str
    fingerprint: str
    x: int
    y: int

    def to_spki(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo, in DER."""
        return _SPKI + self.x.to_bytes(32, "big") + self.y.to_bytes(32, "big")


def parse_key(pem: bytes, where: str) -> Key:
    """Return the one public key that *pem* is, with nothing before or after it."""
    keys = _parse_pem(pem, where)
    if len(keys) != 1:
        raise UsageError(where, "holds several public keys", got=len(keys), want=1, rule="B18")
    return keys[0]


def parse_keys(text: str, where: str = VARIABLE) -> Tuple[Key, ...]:
    """Return the public keys that *text* is, in PEM, or that lie in the files it names, separated as in ``PATH``."""
    if "-----BEGIN" in text:
        return _unique(_parse_pem(text.encode("utf-8", "replace"), where))
    paths = text.split(os.pathsep)
    if not all(paths):
        raise UsageError(where, "names no public key", got=repr(text), want="PEM, or paths to it", rule="B18")
    return read_keys(paths)


def read_keys(paths: Sequence[str]) -> Tuple[Key, ...]:
    """Return the public keys in the files *paths*; each may hold several."""
    keys: List[Key] = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                keys += _parse_pem(file.read(_LARGEST_FILE + 1), path)
        except OSError as error:
            raise UsageError(path, f"cannot be read: {error.strerror}", want="a public key", rule="B18") from error
    return _unique(keys)


def _parse_pem(pem: bytes, where: str) -> List[Key]:
    keys: List[Key] = []
    at = 0
    while at < len(pem) or not keys:
        match = _PEM.match(pem, at)
        if match is None or len(pem) > _LARGEST_FILE:
            raise _not_pem(pem[at:], where)
        keys.append(_parse_spki(match.group(1), where))
        at = match.end()
    return keys


def _not_pem(pem: bytes, where: str) -> UsageError:
    label = _LABEL.search(pem)
    got = "something else" if label is None else label.group(1).decode()
    if "PRIVATE KEY" in got:
        hint = f"keep it secret; its public half: openssl pkey -in {where} -pubout"
        return UsageError(where, "is a private key", want="a public key", hint=hint, rule="B18")
    return UsageError(
        where,
        "is not a public key in PEM",
        got="other text around it" if got == "PUBLIC KEY" else got,
        want="-----BEGIN PUBLIC KEY----- … and nothing else",
        rule="B18",
    )


def _parse_spki(text: bytes, where: str) -> Key:
    der = from_base64(re.sub(rb"\r?\n", b"", text).decode("ascii"))
    if der is None:
        raise UsageError(where, "is not canonical base64", rule="B18")
    if der[2:].startswith(_COMPRESSED):
        hint = f"openssl ec -pubin -in {where} -conv_form uncompressed -pubout"
        raise UsageError(where, "is a compressed point", want="an uncompressed one", hint=hint, rule="B18")
    if len(der) != len(_SPKI) + 64 or not der.startswith(_SPKI):
        hint = "bundle keygen makes one; so does: openssl ecparam -name prime256v1 -genkey"
        raise UsageError(where, "is not a key on the curve P-256", want="ECDSA P-256", hint=hint, rule="B18")
    x, y = int.from_bytes(der[-64:-32], "big"), int.from_bytes(der[-32:], "big")
    if not p256.is_on_curve(x, y):
        raise UsageError(where, "is not a point on the curve P-256", rule="B18")
    return Key(where, "sha256:" + hashlib.sha256(der).hexdigest(), x, y)


def _unique(keys: Sequence[Key]) -> Tuple[Key, ...]:
    return tuple({key.fingerprint: key for key in reversed(keys)}.values())[::-1]


def from_base64(text: Any) -> Optional[bytes]:  # noqa: ANN401 - what stands in the JSON
    """Return the bytes of *text*; None if it is not the one encoding of any."""
    try:
        data = binascii.a2b_base64(text)
    except (TypeError, ValueError):
        return None
    return data if to_base64(data) == text else None


def to_base64(data: bytes) -> str:
    """Return *data* in base64."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")
