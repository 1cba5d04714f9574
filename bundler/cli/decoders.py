"""``bundle decoders``: the zstd decoders that bundles carry, for a builder with no network."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cli.options import add_cache, add_indexes, cache_of, indexes_of
from bundler.cli.progress import counted, progress
from bundler.images.decoder_wheels import decoder_wheels, fetch_decoders, wheel_for
from bundler.targets import PRESETS, find_target

if TYPE_CHECKING:
    import argparse

HELP = "fetch the zstd decoders that bundles carry, for builders with no network: create --find-links DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="where the wheels go; made if it is not there")
    parser.add_argument(
        "--target",
        metavar="NAME|FILE",
        action="append",
        default=[],
        help=f"only for this target: {', '.join(PRESETS)} or a JSON file (default: for all there are, some 220 MB)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    add_indexes(parser)
    add_cache(parser)


def run(options: argparse.Namespace) -> int:
    """Fetch the decoders; return the exit code."""
    wheels = decoder_wheels()
    if options.target:
        needed = [wheel_for(find_target(name, None, None)) for name in options.target]
        wheels = list(dict.fromkeys(wheel for wheel in needed if wheel is not None))
    with progress(quiet=options.quiet) as reporter:
        size = fetch_decoders(
            wheels,
            options.directory,
            cache=cache_of(options),
            indexes=indexes_of(options)(),
            offline=options.offline,
            reporter=reporter,
        )
    print(f"{options.directory}: {counted(len(wheels), 'wheel')} with a zstd decoder, {size / 1e6:.1f} MB")
    print("next, where there is no network:")
    print(f"  bundle create … --find-links {shlex.quote(str(options.directory))}")
    return 0
