"""``bundle keygen``: a new pair of keys."""

from __future__ import annotations

import os
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    import argparse

HELP = "make a private key that signs bundles, and the public key that verifies them (ECDSA P-256)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "-o", "--output", metavar="NAME", type=Path, default=Path("bundle"), help="write NAME.key and NAME.pub"
    )
    parser.add_argument("--passphrase", action="store_true", help="ask for a passphrase (or set BUNDLE_KEY_PASSPHRASE)")


def run(options: argparse.Namespace) -> int:
    """Write a new private key and its public key; return the exit code."""
    from bundler.signing.private_keys import generate  # noqa: PLC0415 - cryptography is for those who sign

    passphrase = os.environ.get("BUNDLE_KEY_PASSPHRASE")
    if not passphrase and options.passphrase:
        passphrase = getpass("new passphrase: ")
        if not passphrase or getpass("once more: ") != passphrase:
            raise UsageError("passphrase", "is empty, or was not typed the same twice")
    key = generate(options.output, passphrase)
    secret = f"{options.output}.key"
    print(f"{secret}: private key, {'encrypted' if passphrase else 'not encrypted: whoever can read it can sign'}")
    print(f"{key.where}: public key {key.fingerprint}")
    print("next:")
    print(f"  bundle sign PATH --key {secret}")
    print(f"  bundle verify PATH --key {key.where}")
    return 0
