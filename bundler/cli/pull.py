"""``bundle pull``: a bundle in a store → a ``.pyz``, a packed directory or a tree."""

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
    summary,
    transfer_options,
)
from bundler.layers.packing import decode
from bundler.runtime.cli import add_demands, demands_in
from bundler.runtime.errors import UsageError
from bundler.stores.as_file import pull_files
from bundler.stores.file_places import open_files
from bundler.stores.pulling import pull, staging_of

if TYPE_CHECKING:
    import argparse

    from bundler.images.carriers import Format

HELP = "fetch a bundle from a store, and verify it before it gets its name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("url", metavar="URL", help=URL_HELP)
    parser.add_argument("path", metavar="PATH", type=Path, help="the bundle to write")
    parser.add_argument(
        "--format",
        choices=("pyz", "packed", "tree"),
        help="what to write (default: pyz where PATH ends so, else packed)",
    )
    parser.add_argument("--force", action="store_true", help="replace PATH; what it has already does not travel")
    add_transfer(parser)
    add_demands(parser)
    parser.add_argument(
        "--as-file",
        action="store_true",
        help="move a .pyz or a wheelhouse as it is; URL is the file's own, beside which its sha256 lies",
    )


def run(options: argparse.Namespace) -> int:
    """Pull a bundle, or with ``--as-file`` a file; return the exit code."""
    clock = Clock()
    kept = f"what has arrived is kept in {staging_of(options.path)}, and the next pull resumes there"
    form = _form(options)
    demands = demands_in(options, os.environ)
    try:
        if options.as_file:
            return _pull_file(options, clock)
        with progress(quiet=options.quiet or options.json) as reporter, opened(options.url) as (source, name):
            pulled = pull(
                source,
                name,
                options.path,
                form=form,
                decode=decode,
                demands=demands,
                force=options.force,
                options=transfer_options(options),
                reporter=reporter,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept if staging_of(options.path).exists() else "") from None
    copied = pulled.copied
    if options.json:
        facts = {"path": str(options.path), "format": form, "trust": pulled.trust, "signed_by": pulled.signed_by}
        sizes = {"disk_size": pulled.size, **copied_to_json(copied, clock.seconds)}
        print(json.dumps({**facts, **sizes}, indent=2))
        return 0
    print(f"{options.path}: {pulled.trust}: {summary(copied, clock.seconds)}")
    print(f"  digest  {copied.digest}")
    if pulled.signed_by:
        print(f"  signed by {pulled.signed_by}")
    elif pulled.trust != "verified":
        print("  without --expect or --key, this says that it is complete, not who made it")
    path = shlex.quote(str(options.path))
    print(f"next: bundle inspect {path}")
    return 0


def _pull_file(options: argparse.Namespace, clock: Clock) -> int:
    if options.format:
        raise UsageError("--as-file", "takes the file as it is", got=f"--format {options.format}")
    place, name = open_files(options.url, os.environ)
    with progress(quiet=options.quiet or options.json) as reporter:
        moved = pull_files(
            place,
            name,
            options.path,
            decode=decode,
            demands=demands_in(options, os.environ),
            force=options.force,
            reporter=reporter,
        )
    return show_moved(options, str(options.path), moved, clock.seconds)


def _form(options: argparse.Namespace) -> Format:
    form: Format = options.format or ("pyz" if options.path.suffix == ".pyz" else "packed")
    if options.path.suffix == ".pyz" and form != "pyz":
        raise UsageError(options.path, "is the name of a .pyz, which is another format", got=f"--format {form}")
    return form
