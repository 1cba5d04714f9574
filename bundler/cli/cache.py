"""``bundle cache``: what the builder keeps between runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.cli.options import add_cache, cache_of

if TYPE_CHECKING:
    import argparse

NAME = "cache"
HELP = "show or trim what the builder keeps between runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("action", choices=("info", "prune", "clear"), help="what to do")
    parser.add_argument("--max-age", metavar="DAYS", type=float, default=30, help="prune: keep what was used since (default: 30)")
    parser.add_argument("--max-size", metavar="MB", type=float, help="prune: keep at most this much, the latest used first")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_cache(parser)
