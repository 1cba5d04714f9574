"""What is asked for → the same with requirements files only, and the target of the Python that the files ask for.

* A project's file, another tool's lock or a conda file (``bundler.inputs``) is replaced by a requirements file in a
  temporary directory. Errors name the file that was given, and its line, all the same.
* What was decided is said, also with ``--quiet``: what was mapped and left out, which file was taken if none was named.
* Nobody has named a target: the first file that asks for a Python chooses it. Somebody has: each file has to admit it.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.inputs.found_inputs import find_input
from bundler.inputs.kinds import read_input
from bundler.inputs.listings import Chosen
from bundler.inputs.locks.other_locks import OtherLocks
from bundler.locks import TOOL
from bundler.resolving.lines.requirement_files import NO_REQUIRE_HASHES
from bundler.resolving.resolver_errors import ResolutionError, SeveralUnavailable
from bundler.runtime.errors import BundleError, UsageError
from bundler.targets import DEFAULT_TARGET, find_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.inputs.listings import Input, Listing
    from bundler.reporters import Reporter
    from bundler.runtime.targets import Target


@contextlib.contextmanager
def requirement_files_of(options: argparse.Namespace, reporter: Reporter) -> Iterator[argparse.Namespace]:
    """Give *options* with a requirements file in place of each file of another kind, as long as the block lasts.

    They also have ``other_locks``, to which the result has to be held.
    """
    options = _with_found(options, reporter)
    chosen = Chosen.of(options.extra, options.group)
    read = {path: read_input(path, chosen) for path in options.requirement}
    inputs = {path: each for path, each in read.items() if each is not None}
    _check_names(chosen, inputs)
    if not inputs:
        yield argparse.Namespace(**vars(options), other_locks=OtherLocks(inputs=(), alone=False))
        return
    target, python, found = _target(options, inputs, reporter)
    inputs = {path: each.for_target(found) for path, each in inputs.items()}
    for path, each in inputs.items():
        for note in each.notes:
            reporter.note(f"{path}: {note}")
        for warning in each.warnings:
            reporter.warning(f"{path}: {warning}")
    locks = tuple(each for each in inputs.values() if each.is_lock)
    alone = len(locks) == len(read) and not options.requirements
    with tempfile.TemporaryDirectory(prefix="bundle-inputs-") as directory:
        written = [_Written(Path(directory, str(number)), each) for number, each in enumerate(inputs.values())]
        names = dict(zip(inputs, (each.path for each in written), strict=True))
        replaced = {
            **vars(options),
            "requirement": [names.get(path, path) for path in options.requirement],
            "target": target,
            "python": python,
            "other_locks": OtherLocks(inputs=locks, alone=alone),
        }
        try:
            yield argparse.Namespace(**replaced)
        except BundleError as error:
            for file in written:
                file.explain(error)
            raise


class _Written:
    """The requirements file that takes the place of an input, and that of its constraints."""

    def __init__(self, directory: Path, read: Input) -> None:
        self._input = read
        self._origins: dict[Path, Path] = {}
        directory.mkdir()
        text = read.requirements.text()
        if read.constraints is not None:
            text += f"-c {self._write(directory / 'constraints', read.constraints, read.constraints.text())}\n"
        self.path = self._write(directory / "requirements", read.requirements, text)

    def _write(self, directory: Path, listing: Listing, text: str) -> Path:
        directory.mkdir()
        # Not its own name: uv refuses to read what is called environment.yml.
        path = directory / f"{listing.path.name}.txt"
        # Of a lock, ``OtherLocks`` says which packages have no hash; a commit has none.
        path.write_text(f"{text}{NO_REQUIRE_HASHES}\n" if self._input.is_lock else text, encoding="utf-8")
        self._origins[path] = listing.path
        return path

    def explain(self, error: BundleError) -> None:
        """Let *error* speak of the files that were read instead of those that were written."""
        if isinstance(error, SeveralUnavailable):
            for each in error.errors:
                self.explain(each)
            return
        for path, origin in self._origins.items():
            error.where = error.where.replace(str(path), str(origin)).replace(path.name, origin.name)
            error.what = error.what.replace(str(path), str(origin)).replace(path.name, origin.name)
        projects = error.projects if isinstance(error, ResolutionError) else ()
        for hint in filter(None, map(self._input.hints.get, projects)):
            error.hint = f"{hint}; {error.hint}" if error.hint else hint


def _with_found(options: argparse.Namespace, reporter: Reporter) -> argparse.Namespace:
    """Return *options* with the file of this directory that says what is needed, if they name nothing."""
    lock = getattr(options, "lock", None)
    if options.requirements or options.requirement or options.venv or lock:
        return options
    written = [path for path in [options.output] if path is not None]
    found = find_input(Path(), without=written)
    if found is None:
        return options
    resolves = bool(options.constraint or options.baseline or options.skip_provided)
    if "lock" in options and not resolves and found.name == "pylock.toml" and _is_ours(found):
        reporter.note(f"nothing was named: --lock {found}")
        return argparse.Namespace(**{**vars(options), "lock": found})
    reporter.note(f"nothing was named: -r {found}")
    return argparse.Namespace(**{**vars(options), "requirement": [found]})


def _is_ours(path: Path) -> bool:
    """Tell whether the ``pylock.toml`` at *path* was made here: it is for one target, and taken as it is."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("created-by") == TOOL
    except (OSError, ValueError, RecursionError):
        return False


def _check_names(chosen: Chosen, inputs: Mapping[Path, Input]) -> None:
    """Refuse an extra or a group that no file has."""
    for option, names, known in (
        ("--extra", chosen.extras, [each.extras for each in inputs.values()]),
        ("--group", chosen.groups, [each.groups for each in inputs.values()]),
    ):
        there = frozenset().union(*known)
        if missing := sorted(names - there):
            want = ", ".join(sorted(there)) or "a pyproject.toml or a lock that has some"
            raise UsageError(option, "names what no file has", got=", ".join(missing), want=want)


def _target(
    options: argparse.Namespace, inputs: Mapping[Path, Input], reporter: Reporter
) -> tuple[str | None, str | None, Target]:
    """Return what ``--target`` and ``--python`` say, or what the first of *inputs* with a Python makes of them."""
    target, python = options.target, options.python
    wanted = [each.python for each in inputs.values() if each.python is not None]
    named_by = "--python" if python else "--target"
    chooses = bool(wanted) and target is None and python is None
    if chooses:
        target, python = wanted[0].find_target()
        named_by = wanted[0].where
    found = find_target(target, python, options.platform)
    for each in wanted:
        each.check(found, named_by)
    if chooses:
        typed = f"--target {target or DEFAULT_TARGET}" + (f" --python {python}" if python else "")
        reporter.note(f"{named_by}: {wanted[0].text} → {typed} ({found})")
    return target, python, found
