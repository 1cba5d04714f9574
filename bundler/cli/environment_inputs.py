"""``--venv PATH``: an environment → the target of its Python, and a lock of what is installed there.

* Nobody has named a target: the environment's Python chooses it. Somebody has: it may not be another minor version.
* What is installed is resolved to exactly these versions, nothing more; or, with ``--as-is``, packed as it lies there.
* What was taken and left out is said, and every file that is not as its distribution says, also with ``--quiet``.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.cli.options import baseline_of
from bundler.create import lock
from bundler.inputs.installed.chosen_wheels import difference
from bundler.inputs.installed.environments import read_environment, some
from bundler.inputs.installed.installed_files import compare_all, foreign_files
from bundler.inputs.installed.installed_requirements import requirement_lines, take
from bundler.inputs.installed.packed_distributions import check_packable, pack
from bundler.locks import Lock
from bundler.pins import Dropped
from bundler.resolving.baseline.bundled_baselines import bundled_baseline
from bundler.resolving.resolver_errors import ResolutionError
from bundler.runtime.errors import BundleError, UsageError, printable
from bundler.targets import DEFAULT_TARGET, find_target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.inputs.installed.environments import Environment
    from bundler.inputs.installed.installed_requirements import Taken
    from bundler.options import Options
    from bundler.reporters import Reporter

_SHOWN = 10
_INSTEAD = "the bundle has what the index has"


def with_environment(options: argparse.Namespace, reporter: Reporter) -> argparse.Namespace:
    """Return *options* with the environment that they name, if any, and with the target of its Python."""
    if options.venv is None:
        if options.as_is:
            raise UsageError("--as-is", "is about an environment", hint="name it: --venv PATH")
        return argparse.Namespace(**vars(options), environment=None)
    _check(options)
    environment = read_environment(options.venv)
    target, python = options.target, options.python
    made = environment.python
    if made is not None:
        chooses = target is None and python is None
        if chooses:
            target, python = made.find_target()
        found = find_target(target, python, options.platform)
        made.check(found, "--python" if options.python else "--target")
        if chooses:
            typed = f"--target {target or DEFAULT_TARGET}" + (f" --python {python}" if python else "")
            reporter.note(f"{made.where}: Python {made.version} → {typed} ({found})")
    return argparse.Namespace(**{**vars(options), "target": target, "python": python, "environment": environment})


def _check(options: argparse.Namespace) -> None:
    if options.requirements or options.requirement or options.constraint:
        hint = "give either an environment or requirements: pip freeze > FILE there, and -r FILE, to add to it"
        raise UsageError("--venv", "takes the place of requirements", hint=hint)
    if getattr(options, "lock", None):
        raise UsageError("--venv", "takes the place of a lock", hint="give either an environment or a lock")
    if options.as_is and (options.baseline or options.skip_provided):
        raise UsageError("--as-is", "resolves nothing", hint="leave --baseline away, and compare later: bundle check")


def lock_environment(asked: argparse.Namespace, options: Options, reporter: Reporter) -> Lock:
    """Return the lock of the environment in *asked*."""
    environment: Environment = asked.environment
    taken = take(environment.projects, options.target)
    for note in environment.notes:
        _warn(reporter, note)
    if not taken.taken:
        raise UsageError(environment.root, "has nothing installed but what installs", hint="install there first")
    _report(environment, taken, reporter)
    compared = compare_all(environment)
    foreign = foreign_files(environment, compared)
    of_taken = [each for each in compared if each.project in taken.taken]
    if asked.as_is:
        drop = set(map(canonicalize_name, asked.drop))
        kept = [project for project in taken.taken if project.name not in drop]
        dropped = [Dropped(name=item.name, version=item.version) for item in taken.taken if item.name in drop]
        check_packable(environment, kept, of_taken, options.target)
        _report_foreign(environment, foreign, "left out", reporter)
        packable = [each for each in of_taken if each.project in kept]
        pins = [pack(each, environment, options.target, options.cache, reporter.warning) for each in packable]
        return Lock(target=options.target, pins=tuple(pins), dropped=tuple(dropped)).without(asked.drop)
    locked = _resolve(asked, environment, taken, options, reporter)
    pins_by_name = {pin.name: pin for pin in locked.pins}
    for each in of_taken:
        pin = pins_by_name.get(each.project.name)
        changes = [each.difference, pin and difference(pin, each, options.cache)]
        for change in filter(None, changes):
            _warn(reporter, f"{environment.root}: {change}: not taken: {_INSTEAD}")
    _report_foreign(environment, foreign, "not taken", reporter)
    return locked


def _resolve(
    asked: argparse.Namespace, environment: Environment, taken: Taken, options: Options, reporter: Reporter
) -> Lock:
    lines, notes = requirement_lines(taken.taken)
    for note in notes:
        reporter.note(f"{environment.root}: {note}")
    baseline = baseline_of(asked, options.target)
    try:
        return lock(
            lines,
            options=options,
            reporter=reporter,
            baseline=baseline,
            skip_provided=asked.skip_provided,
            image=bundled_baseline(options.target) if baseline is None else None,
            drop=asked.drop,
            dependencies=False,
        )
    except BundleError as error:
        if isinstance(error, ResolutionError):
            instead = "or take the files that are installed: --as-is"
            error.hint = f"{error.hint}; {instead}" if error.hint else instead
        raise


def _report(environment: Environment, taken: Taken, reporter: Reporter) -> None:
    said = [f"{len(taken.taken)} taken: {some(map(str, taken.taken), shown=_SHOWN)}"]
    if taken.left_out:
        said.append(f"left out, nothing else there requires it: {', '.join(map(str, taken.left_out))}")
    reporter.note(f"{environment.root}: {'; '.join(said)}")
    if taken.unmet:
        _warn(
            reporter, f"{environment.root}: {some(taken.unmet, shown=_SHOWN)}: install it there if your code needs it"
        )


def _report_foreign(environment: Environment, foreign: Iterable[str], word: str, reporter: Reporter) -> None:
    paths = list(foreign)
    if paths:
        count = f"{len(paths)} files belong" if len(paths) > 1 else "1 file belongs"
        _warn(reporter, f"{environment.site_packages}: {count} to no distribution, {word}: {some(paths)}")


def _warn(reporter: Reporter, text: str) -> None:
    """Warn of what has names of strangers in it, which a terminal must not obey."""
    reporter.warning(printable(text))
