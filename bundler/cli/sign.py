"""``bundle sign``: a signature of a bundle's digest, kept beside the image."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.runtime.errors import UsageError
from bundler.runtime.keys import VARIABLE, parse_keys, read_keys
from bundler.signing.signatures import accept, payload_of, sign
from bundler.small_files import read_bytes, write_bytes

if TYPE_CHECKING:
    import argparse

    from bundler.runtime.keys import Key
    from bundler.signing.signatures import Signed

HELP = "sign the digest of a bundle with a key file or a vault; the signature travels with the bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="PATH", help="a .pyz, a packed directory or a tree", type=Path)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--key", metavar="FILE", type=Path, help="sign with this private key")
    way.add_argument("--write-payload", metavar="FILE", type=Path, help="write the bytes that a vault is to sign")
    way.add_argument(
        "--signature", metavar="FILE", type=Path, help="take back what the vault returned: DER or r and s, or base64"
    )
    parser.add_argument(
        "--public-key", metavar="PUB", help=f"the key of --signature, which is verified (default: {VARIABLE})"
    )
    parser.add_argument("--expect", metavar="DIGEST", help="sign nothing but this bundle (sha256:…)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Sign the bundle, or write or take what a vault signs; return the exit code."""
    if options.public_key and not options.signature:
        raise UsageError("--public-key", "belongs to --signature", hint="--key has its public half with it")
    if options.write_payload:
        return _write_payload(options)
    if options.key:
        from bundler.signing.private_keys import read_private_key  # noqa: PLC0415 - cryptography is for those who sign

        signed = sign(options.path, read_private_key(options.key, _passphrase), expect=options.expect)
    else:
        signed = accept(options.path, read_bytes(options.signature), _public_key(options), expect=options.expect)
    _show(options, signed)
    return 0


def _write_payload(options: argparse.Namespace) -> int:
    payload = payload_of(options.path, expect=options.expect)
    write_bytes(options.write_payload, payload)
    hashed = hashlib.sha256(payload).digest()
    if options.json:
        print(json.dumps({"payload": str(options.write_payload), "sha256": hashed.hex()}, indent=2))
        return 0
    print(f"{options.write_payload}: {len(payload)} bytes to sign with ECDSA on P-256 and SHA-256")
    print(f"  sha256         {hashed.hex()}")
    print(f"  the same in base64, for a vault that takes a digest: {base64.b64encode(hashed).decode()}")
    print("next:")
    print(f"  bundle sign {options.path} --signature FILE --public-key PUB")
    return 0


def _public_key(options: argparse.Namespace) -> Key:
    named = options.public_key
    keys = read_keys([named]) if named else parse_keys(os.environ[VARIABLE]) if VARIABLE in os.environ else ()
    if len(keys) != 1:
        raise UsageError("--signature", "needs the one public key that verifies it", got=f"{len(keys)} keys", want=1)
    return keys[0]


def _passphrase() -> str | None:
    found = os.environ.get("BUNDLE_KEY_PASSPHRASE")
    return getpass("passphrase: ") if not found and sys.stdin.isatty() else found


def _show(options: argparse.Namespace, signed: Signed) -> None:
    if options.json:
        facts = {"digest": signed.digest, "signed_by": signed.key.fingerprint, "added": signed.added}
        print(json.dumps({"path": str(options.path), **facts}, indent=2))
    else:
        print(f"{options.path}: {'signed' if signed.added else 'was signed already'}: {signed.digest}")
        print(f"  by {signed.key.fingerprint}")
