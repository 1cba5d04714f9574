"""``bundle cache``: what the builder keeps between runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.cli.options import add_cache, cache_of

if TYPE_CHECKING:
    import argparse

HELP = "show or trim what the builder keeps between runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("action", choices=("info", "prune", "clear"), help="what to do")
    parser.add_argument(
        "--max-age", metavar="DAYS", type=float, default=30, help="prune: keep what was used since (default: 30)"
    )
    parser.add_argument(
        "--max-size", metavar="MB", type=float, help="prune: keep at most this much, the latest used first"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_cache(parser)


def run(options: argparse.Namespace) -> int:
    """Show, prune or clear the cache; return the exit code."""
    cache = cache_of(options)
    if options.action == "info":
        usage = cache.info()
        if options.json:
            facts = {kind: {"count": item.count, "size": item.size} for kind, item in usage.items()}
            print(json.dumps({"path": str(cache.root), **facts}, indent=2))
            return 0
        print(cache.root)
        for kind, item in usage.items():
            print(f"  {kind:<9} {item.count:>6}  {item.size / 1e6:>10.1f} MB")
        return 0
    if options.action == "clear":
        removed = cache.clear()
    else:
        size = None if options.max_size is None else int(options.max_size * 1e6)
        removed = cache.prune(max_age=options.max_age * 86400, max_bytes=size)
    freed = sum(item.size for item in removed.values())
    print(json.dumps({"freed": freed}) if options.json else f"{cache.root}: freed {freed / 1e6:.1f} MB")
    return 0
