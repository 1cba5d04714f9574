"""A PEM file ↔ a private key on the curve P-256, and bytes → their signature. The only user of ``cryptography``.

* A key is written once: PKCS#8, for its owner only, never over a file that is there.
* A signature is deterministic (RFC 6979) where OpenSSL can do that, and has the smaller s: see ``runtime/p256.py``.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bundler.runtime.errors import BundleError, UsageError
from bundler.runtime.keys import parse_key
from bundler.small_files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundler.runtime.keys import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """A private key; *public* is its public half."""

    public: Key
    private: ec.EllipticCurvePrivateKey

    def sign(self, message: bytes) -> tuple[int, int]:
        """Return the numbers r and s of the ECDSA signature of *message* with SHA-256."""
        try:
            der = self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:  # OpenSSL before 3.2: as good a signature, but not deterministic
            der = self.private.sign(message, ec.ECDSA(hashes.SHA256()))
        return utils.decode_dss_signature(der)


def generate(prefix: Path, passphrase: str | None = None) -> Key:
    """Write a new private key to ``prefix.key``, for its owner only, and its public key to ``prefix.pub``.

    Raise ``UsageError``, and write nothing, if one of them exists.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public = _public_pem(private)
    written: list[Path] = []
    path = prefix
    try:
        for suffix, data, mode in ((".key", pem, 0o600), (".pub", public, 0o644)):
            path = prefix.with_name(prefix.name + suffix)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            written.append(path)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
    except OSError as error:
        for each in written:
            with contextlib.suppress(OSError):
                each.unlink()
        if isinstance(error, FileExistsError):
            raise UsageError(path, "exists already, and stays", hint="choose another name with -o") from None
        raise BundleError(path, f"cannot be written: {error.strerror}") from error
    return parse_key(public, str(path))


def read_private_key(path: Path, passphrase: Callable[[], str | None]) -> PrivateKey:
    """Return the private key in the PEM file *path*; *passphrase* is asked for only if it is encrypted."""
    pem = read_bytes(path)
    password: bytes | None = None
    if b"ENCRYPTED" in pem:
        text = passphrase()
        if not text:
            raise UsageError(path, "is encrypted, and there is no passphrase", hint="set BUNDLE_KEY_PASSPHRASE")
        password = text.encode()
    try:
        private = load_pem_private_key(pem, password)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        what = "cannot be opened with this passphrase" if password else "is not a private key in PEM"
        raise UsageError(path, what, want="the file NAME.key of bundle keygen", rule="B18") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise UsageError(path, "is not a key on the curve P-256", hint="bundle keygen makes one", rule="B18")
    return PrivateKey(public=parse_key(_public_pem(private), str(path)), private=private)


def _public_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
