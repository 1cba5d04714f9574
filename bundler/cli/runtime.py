"""``bundle runtime``: the verifier alone, for an image or a score folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundler.images.standalone_verifier import write_verifier, write_wheel
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    import argparse

HELP = "write the verifier alone, for Python 3.7 and newer: a .pyz, a package directory or a wheel"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        required=True,
        help="NAME.pyz, a directory called bundle_runtime or, with --wheel, the directory for the wheel",
    )
    parser.add_argument("--wheel", action="store_true", help="a wheel, which brings the command bundle")
    parser.add_argument("--force", action="store_true", help="replace what is there")


def run(options: argparse.Namespace) -> int:
    """Write the verifier; return the exit code."""
    if options.wheel:
        if not options.output.is_dir():
            raise UsageError(options.output, "is no directory", hint=f"mkdir -p {options.output}")
        print(write_wheel(options.output, force=options.force))
    else:
        size = write_verifier(options.output, force=options.force)
        print(f"{options.output}: {size / 1e3:.0f} kB")
    return 0
