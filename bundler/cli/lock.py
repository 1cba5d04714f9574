"""``bundle lock``: requirements → ``pylock.toml``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cli.environment_inputs import lock_environment, with_environment
from bundler.cli.input_files import requirement_files_of
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
from bundler.resolving.baseline.bundled_baselines import bundled_baseline
from bundler.resolving.cuda_wheels import cuda_warning
from bundler.resolving.dropped_requirements import missed_in_lock
from bundler.resolving.resolver_errors import ResolutionError
from bundler.small_files import write_text
from bundler.targets import DEFAULT_TARGET

if TYPE_CHECKING:
    import argparse

    from bundler.locks import Lock
    from bundler.options import Options
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
    with progress(quiet=options.quiet) as reporter, requirement_files_of(options, reporter) as asked:
        asked = with_environment(asked, reporter)  # noqa: PLW2901 - the same, and more
        settings = create_options(asked)
        locked = lock_asked(asked, settings, reporter)
        if cuda := cuda_warning(locked.pins):
            reporter.warning(cuda)
        for warning in missed_in_lock(locked, indexes=settings.indexes, cache=settings.cache, offline=settings.offline):
            reporter.warning(warning)
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
    if asked.environment is not None:
        return lock_environment(asked, options, reporter)
    baseline = baseline_of(asked, options.target)
    for note in baseline.notes if baseline else ():
        reporter.note(note)
    try:
        if asked.other_locks.inputs:
            for warning in asked.other_locks.warnings(options.indexes()):
                reporter.warning(warning)
        locked = lock(
            asked.requirements,
            requirement_files=asked.requirement,
            constraint_files=asked.constraint,
            options=options,
            reporter=reporter,
            baseline=baseline,
            skip_provided=asked.skip_provided,
            image=bundled_baseline(options.target) if baseline is None else None,
            drop=asked.drop,
        )
        if warning := asked.other_locks.check(locked):
            reporter.warning(warning)
    except ResolutionError as error:
        if (asked.target, asked.python, asked.platform) == (None, None, None):
            said = f"nobody has named the target, so it is {DEFAULT_TARGET}"
            more = "" if "--target" in (error.hint or "") else ": --target or --python name another"
            error.hint = f"{error.hint}; {said}{more}" if error.hint else f"{said}{more}"
        raise
    return locked
