"""``bundle pull``: a bundle in a store → a ``.pyz``, a packed directory or a tree."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cli.progress import progress
from bundler.cli.transfers import URL_HELP, Clock, add_transfer, copied_to_json, opened, summary, transfer_options
from bundler.create import decode
from bundler.pulling import pull, staging_of
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from bundler.carriers import Format

NAME = "pull"
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


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    clock = Clock()
    form = _form(options)
    kept = f"what has arrived is kept in {staging_of(options.path)}, and the next pull goes on there"
    try:
        with progress(quiet=options.quiet or options.json) as reporter, opened(options.url) as (source, name):
            pulled = pull(
                source,
                name,
                options.path,
                form=form,
                decode=decode,
                expect=options.expect,
                force=options.force,
                options=transfer_options(options),
                reporter=reporter,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept if staging_of(options.path).exists() else "") from None
    copied = pulled.copied
    if options.json:
        facts = {"path": str(options.path), "format": form, "trust": pulled.trust, "disk_size": pulled.size}
        print(json.dumps({**facts, **copied_to_json(copied, clock.seconds)}, indent=2))
        return 0
    print(f"{options.path}: {pulled.trust}: {summary(copied, clock.seconds)}")
    print(f"  digest  {copied.digest}")
    if pulled.trust != "verified":
        print("  without --expect, this says that it is complete, not who made it")
    path = shlex.quote(str(options.path))
    print(f"next: bundle inspect {path}")
    return 0


def _form(options: argparse.Namespace) -> Format:
    form: Format = options.format or ("pyz" if options.path.suffix == ".pyz" else "packed")
    if options.path.suffix == ".pyz" and form != "pyz":
        raise UsageError(options.path, "is the name of a .pyz, which is another format", got=f"--format {form}")
    return form
