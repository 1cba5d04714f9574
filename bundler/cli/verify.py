"""``bundle verify``: every byte of an artifact against its digests."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from bundler.images.verification import verify
from bundler.layers.packing import decode
from bundler.runtime.cli import add_demands, demands_in

if TYPE_CHECKING:
    import argparse

HELP = "compare every byte of a bundle with its digests, and the digest with the one expected"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="PATH", help="a .pyz, a packed directory or a tree")
    add_demands(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Verify a bundle; return the exit code."""
    demands = demands_in(options, os.environ)
    verdict = verify(options.path, demands, decode=decode)
    if options.json:
        print(json.dumps(verdict.to_json(), indent=2))
    else:
        print(f"{options.path}: {verdict.trust}: {verdict.files} files, {verdict.image.digest}")
        if verdict.signed_by:
            print(f"  signed by {verdict.signed_by}")
        elif demands.expect is None:
            print("  without --expect or --key, this says that it is complete, not who made it")
    return 0
