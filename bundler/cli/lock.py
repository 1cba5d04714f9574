"""``bundle lock``: requirements → ``pylock.toml``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cli.conda_requirements import without_conda_files
from bundler.cli.options import (
    add_baseline,
    add_build,
    add_cache,
    add_drop,
    add_indexes,
    add_requirements,
    add_target,
    baseline_of,
    create_options,
)
from bundler.cli.progress import counted, progress
from bundler.create import lock
from bundler.resolving.cuda_wheels import cuda_warning
from bundler.resolving.dropped_requirements import missed_in_lock
from bundler.resolving.resolver_errors import ResolutionError
from bundler.small_files import write_text
from bundler.targets import DEFAULT_TARGET

if TYPE_CHECKING:
    import argparse

    from bundler.create import Options
    from bundler.locks import Lock
    from bundler.reporters import Reporter

HELP = "resolve requirements for a target and write down every wheel with its hash"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_requirements(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="pylock.toml to write (default: standard output)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    add_drop(parser)
    add_target(parser)
    add_baseline(parser)
    add_build(parser)
    add_indexes(parser)
    add_cache(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    with progress(quiet=options.quiet) as reporter, without_conda_files(options, reporter) as asked:
        settings = create_options(asked)
        locked = lock_asked(asked, settings, reporter)
        for warning in missed_in_lock(locked, indexes=settings.indexes, cache=settings.cache, offline=settings.offline):
            reporter.warning(warning)
        if cuda := cuda_warning(locked.pins):
            reporter.warning(cuda)
    if options.output is None:
        sys.stdout.write(locked.to_toml())
        return 0
    write_text(options.output, locked.to_toml(relative_to=options.output.absolute().parent))
    if not options.quiet:
        print(f"{options.output}: {counted(len(locked.pins), 'wheel')} for {locked.target}", file=sys.stderr)
        if locked.provided:
            print(f"  left to the image: {', '.join(map(str, locked.provided))}", file=sys.stderr)
        if locked.dropped:
            print(f"  dropped: {', '.join(map(str, locked.dropped))}", file=sys.stderr)
    return 0


def lock_asked(asked: argparse.Namespace, options: Options, reporter: Reporter) -> Lock:
    """Resolve what the options of ``lock`` or ``create`` ask for; an error says so if nobody has named the target."""
    try:
        return lock(
            asked.requirements,
            requirement_files=asked.requirement,
            constraint_files=asked.constraint,
            options=options,
            reporter=reporter,
            baseline=baseline_of(asked),
            skip_provided=asked.skip_provided,
            drop=asked.drop,
        )
    except ResolutionError as error:
        if (asked.target, asked.python, asked.platform) == (None, None, None):
            said = f"nobody has named the target, so it is {DEFAULT_TARGET}: --target or --python name another"
            error.hint = f"{error.hint}; {said}" if error.hint else said
        raise
