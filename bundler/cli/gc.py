"""``bundle gc``: a store without what no reference needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.cli.progress import counted, progress
from bundler.cli.transfers import opened
from bundler.runtime.errors import BundleError, UsageError
from bundler.stores.garbage_collection import DEFAULT_AGE, collect
from bundler.stores.oci_layouts import LayoutStore
from bundler.stores.store import DEFAULT_NAME

if TYPE_CHECKING:
    import argparse

    from bundler.stores.garbage_collection import Collected

HELP = "remove from a store what no name needs and nobody has touched for a while"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("url", metavar="URL", help="a directory, az://…, s3://… or gs://…, without a name")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument(
        "--older-than",
        metavar="HOURS",
        type=float,
        default=DEFAULT_AGE / 3600,
        help="keep what was touched since; longer than any push takes (default: %(default).0f)",
    )
    parser.add_argument(
        "--forget",
        metavar="GLOB",
        action="append",
        default=[],
        help="first remove the names that match and lead to something as old, such as 'layer-*'",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Remove the blobs that nothing needs; return the exit code."""
    with progress(quiet=options.json) as reporter, opened(options.url) as (store, name):
        if name != DEFAULT_NAME:
            raise UsageError(options.url, "names one bundle, and gc is about the whole store", hint=store.where)
        if isinstance(store, LayoutStore) and not store.root.is_dir():
            raise BundleError(store.where, "does not exist")
        if not options.older_than >= 0:
            raise UsageError("--older-than", "is not a number of hours", got=options.older_than)
        done = collect(
            store,
            older_than=options.older_than * 3600,
            forget=options.forget,
            dry_run=options.dry_run,
            reporter=reporter,
        )
    if options.json:
        facts = {field: getattr(done, field) for field in done.__slots__}
        print(json.dumps({"url": store.where, "dry_run": options.dry_run, **facts}, indent=2))
    else:
        _show(done, store.where, dry_run=options.dry_run)
    return 0


def _show(done: Collected, where: str, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for name in done.forgotten:
        print(f"{would}forgotten: {name}")
    print(f"{where}: {counted(done.removed, 'blob')}, {done.freed / 1e6:.1f} MB {would or 'were '}removed")
    print(f"  needed     {counted(done.kept, 'blob')}, {done.kept_size / 1e6:.1f} MB, by {counted(done.names, 'name')}")
    if done.young:
        print(f"  too young  {counted(done.young, 'blob')}, {done.young_size / 1e6:.1f} MB, needed by nothing yet")
