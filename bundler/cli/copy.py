"""``bundle copy``: a bundle in one store → another store, without touching this host's disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.cli.progress import progress
from bundler.cli.transfers import (
    URL_HELP,
    Clock,
    add_transfer,
    copied_to_json,
    opened,
    shown,
    summary,
    transfer_options,
)
from bundler.stores.copying import copy
from bundler.stores.store import DEFAULT_NAME

if TYPE_CHECKING:
    import argparse

HELP = "copy a bundle from one store to another; only what is missing there travels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("source", metavar="URL", help=URL_HELP)
    parser.add_argument("sink", metavar="URL", help="where to; without a name, it keeps the one it has")
    add_transfer(parser)
    parser.add_argument("--expect", metavar="DIGEST", help="the digest that the bundle must have (sha256:…)")


def run(options: argparse.Namespace) -> int:
    """Copy a bundle from store to store; return the exit code."""
    clock = Clock()
    kept = "the blobs that have arrived stay in the store, without a name, and the next copy uses them"
    try:
        with (
            progress(quiet=options.quiet or options.json) as reporter,
            opened(options.source) as (source, name),
            opened(options.sink) as (sink, given),
        ):
            named = given != DEFAULT_NAME or options.sink.endswith(f":{DEFAULT_NAME}")
            new_name = given if named else name
            copied = copy(
                source,
                name,
                sink,
                new_name,
                expect=options.expect,
                options=transfer_options(options),
                reporter=reporter,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept) from None
    address = shown(sink, new_name)
    if options.json:
        print(json.dumps({"url": address, **copied_to_json(copied, clock.seconds)}, indent=2))
    else:
        print(f"{address}: {summary(copied, clock.seconds)}")
        print(f"  digest  {copied.digest}")
    return 0
