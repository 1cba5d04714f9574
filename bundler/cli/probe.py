"""``bundle probe``: a program of one file that prints the target as JSON, wherever it is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bundler.runtime
from bundler.small_files import write_text

if TYPE_CHECKING:
    import argparse

HELP = "print a program that prints the target as JSON: run it in the container, and pass the result to --target"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = "bundle probe | docker run -i IMAGE python - > target.json; bundle create --target target.json …"
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write the program there (default: standard output)"
    )


def run(options: argparse.Namespace) -> int:
    """Print or write the program; return the exit code."""
    text = Path(bundler.runtime.__file__).with_name("probe.py").read_text(encoding="utf-8")
    if options.output is None:
        print(text, end="")
    else:
        write_text(options.output, text)
    return 0
