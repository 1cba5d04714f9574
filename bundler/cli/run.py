"""``bundle run``: a command with a bundle mounted, by an interpreter of its target."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import bundler.runtime
from bundler.interpreters import find_interpreter
from bundler.runtime.carriers import open_carrier
from bundler.runtime.cli import add_demands, demanding, demands_in
from bundler.runtime.errors import TargetError
from bundler.runtime.images import load_image

if TYPE_CHECKING:
    import argparse

HELP = "run a command, or a console script of the bundle, with the bundle mounted"

_PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from runtime.cli import main; sys.exit(main(None))"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.usage = f"{parser.prog} [--expect DIGEST] [--key PUB] [--report FILE] PATH -- CMD [ARGUMENT …]"
    parser.add_argument("path", metavar="PATH", help="a .pyz, a packed directory or a tree")
    add_demands(parser)
    parser.add_argument("--report", metavar="FILE", help="write what was done, and why, as JSON")
    parser.add_argument(
        "--target-python", metavar="PATH", type=Path, help="the interpreter (default: found on this host)"
    )


def run(options: argparse.Namespace) -> NoReturn:
    """Hand over to the bundle's runtime in an interpreter of its target."""
    environ = demanding(options, os.environ)
    with open_carrier(options.path) as carrier:
        target = load_image(carrier, demands_in(options, os.environ).expect).tree.target
    python = find_interpreter(target, python=options.target_python, environ=os.environ)
    if python is None:
        raise TargetError(
            options.path,
            "cannot be run: this host has no interpreter of its target",
            want=target,
            hint="name one with --target-python, or run it on the target",
        )
    extra = ["--report", options.report] if options.report else []
    package = str(Path(bundler.runtime.__file__).parent.parent)
    arguments = [str(python.path), "-c", _PROGRAM, package, "run", *extra, options.path, "--", *options.command]
    os.execve(python.path, arguments, environ)  # noqa: S606 - no shell is wanted
