"""The console script ``bundle``: one module for each command, and the only place that prints or exits.

A command module has ``HELP``, ``add_arguments(parser)`` and ``run(options) -> exit code``; its name is the command's.
Only the requested command is imported, so that ``bundle verify`` does not wait for what ``bundle create`` needs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from bundler.runtime.cli import flush_output, parse, settle_output
from bundler.runtime.errors import BundleError
from bundler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    "create",
    "lock",
    "check",
    "config",
    "verify",
    "unpack",
    "run",
    "inspect",
    "keygen",
    "sign",
    "push",
    "pull",
    "copy",
    "diff",
    "gc",
    "probe",
    "doctor",
    "runtime",
    "decoders",
    "cache",
)
# What is not typed for these, a configuration file says.
CONFIGURED = ("create", "lock", "check")
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``bundle`` with *arguments* (default: those of the process); return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    options = argparse.Namespace()
    try:
        arguments = list(sys.argv[1:] if arguments is None else arguments)
        options = parse(_parser(arguments[:1]), arguments)
        code = int(options.run(options))
        flush_output()
    except BundleError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": str(error), "exit_code": error.exit_code, "rule": error.rule}))
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of the output has closed it
        settle_output()
        return 1
    except OSError as error:  # such as a full disk, where no stage has a better message
        settle_output()
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return BundleError.exit_code
    except KeyboardInterrupt as interrupt:
        print(f"interrupted: {str(interrupt) or 'nothing was left behind'}", file=sys.stderr)
        return INTERRUPTED
    return code


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser(first: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bundle", description="Ship Python dependencies into places with no network.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"bundle {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    if not (first and first[0] in COMMANDS):
        first = () if list(first) == ["--version"] else COMMANDS
    for name in first:
        command = importlib.import_module(f"bundler.cli.{name}")
        subparser = subparsers.add_parser(
            name, help=command.HELP, description=f"{command.HELP[0].upper()}{command.HELP[1:]}.", allow_abbrev=False
        )
        command.add_arguments(subparser)
        run = command.run
        if name in CONFIGURED:
            run = importlib.import_module("bundler.cli.configured").configured(name, subparser, run)
        subparser.set_defaults(run=run)
    return parser
