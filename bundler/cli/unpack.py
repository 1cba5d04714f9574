"""``bundle unpack``: an artifact → its tree in a new directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bundler.layers.packing import decode
from bundler.runtime.boot import unpack
from bundler.runtime.cli import add_demands, demands_in

if TYPE_CHECKING:
    import argparse

HELP = "verify a bundle and write its tree to a new directory, for its target or not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="PATH", help="a .pyz or a packed directory")
    parser.add_argument("directory", metavar="DIR", help="the directory to make")
    add_demands(parser)
    parser.add_argument("--force", action="store_true", help="replace a tree that is there")


def run(options: argparse.Namespace) -> int:
    """Verify a bundle and write its tree; return the exit code."""
    demands = demands_in(options, os.environ)
    image = unpack(options.path, options.directory, demands, decode=decode, force=options.force)
    print(f"{options.directory}: {len(image.tree.files) + 1} files, {image.digest}")
    return 0
