"""``bundle push``: a bundle on disk → a store."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cli.progress import progress
from bundler.cli.transfers import (
    URL_HELP,
    Clock,
    add_transfer,
    copied_to_json,
    opened,
    show_moved,
    shown,
    summary,
    transfer_options,
)
from bundler.layers.packing import decode
from bundler.runtime.errors import UsageError
from bundler.stores.as_file import push_files
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import copy
from bundler.stores.file_places import open_files
from bundler.stores.store import DEFAULT_NAME

if TYPE_CHECKING:
    import argparse

HELP = "store a bundle in a registry, an object store or a directory; only what is missing there travels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="PATH", type=Path, help="a .pyz or a packed directory")
    parser.add_argument("url", metavar="URL", help=URL_HELP)
    add_transfer(parser)
    parser.add_argument("--expect", metavar="DIGEST", help="the digest that the bundle must have (sha256:…)")
    parser.add_argument(
        "--as-file",
        action="store_true",
        help="move a .pyz or a wheelhouse as it is; URL is the file's own, beside which its sha256 lies",
    )


def run(options: argparse.Namespace) -> int:
    """Push a bundle, or with ``--as-file`` a file; return the exit code."""
    clock = Clock()
    if options.as_file:
        return _push_file(options, clock)
    kept = "the blobs that have arrived stay in the store, without a name, and the next push uses them"
    try:
        with progress(quiet=options.quiet or options.json) as reporter, opened(options.url) as (sink, name):
            if Path(sink.where).suffix == ".pyz":
                hint = f"copy the file yourself, or write one from a store: bundle pull URL {shlex.quote(sink.where)}"
                raise UsageError(sink.where, "is the name of a .pyz, not of a store", hint=hint)
            with BundleStore(options.path) as source:
                copied = copy(
                    source,
                    DEFAULT_NAME,
                    sink,
                    name,
                    expect=options.expect,
                    options=transfer_options(options),
                    reporter=reporter,
                )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept) from None
    address = shown(sink, name)
    if options.json:
        print(json.dumps({"url": address, **copied_to_json(copied, clock.seconds)}, indent=2))
        return 0
    print(f"{address}: {summary(copied, clock.seconds)}")
    print(f"  digest  {copied.digest}")
    print("next, where it is to run:")
    print(f"  bundle pull {shlex.quote(address)} deps.pyz --expect {copied.digest}")
    return 0


def _push_file(options: argparse.Namespace, clock: Clock) -> int:
    place, name = open_files(options.url, os.environ)
    with progress(quiet=options.quiet or options.json) as reporter:
        moved = push_files(options.path, place, name, decode=decode, expect=options.expect, reporter=reporter)
    return show_moved(options, f"{place.where}/{name}", moved, clock.seconds)
