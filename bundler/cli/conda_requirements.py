"""``-r environment.yml``: options → the same options, with a requirements file in its place, and its Python's target.

* What was mapped and what was left out is said, a line for each, also with ``--quiet``.
* The requirements files lie in a temporary directory. Errors name the conda file and its line all the same.
* Nobody has named a target: the file's Python chooses it. Somebody has: the file's Python may not be another one.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.resolving.conda.environment_files import CondaFile, is_conda_file, read_conda_file
from bundler.resolving.resolver_errors import ResolutionError, SeveralUnavailable
from bundler.runtime.errors import BundleError
from bundler.targets import DEFAULT_TARGET, find_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.reporters import Reporter


@contextlib.contextmanager
def without_conda_files(options: argparse.Namespace, reporter: Reporter) -> Iterator[argparse.Namespace]:
    """Give *options* with a requirements file in place of each conda environment file, as long as the block lasts."""
    files = {path: read_conda_file(path) for path in options.requirement if is_conda_file(path)}
    if not files:
        yield options
        return
    target, python = _target(options, files, reporter)
    for path, file in files.items():
        _report(path, file, reporter)
    with tempfile.TemporaryDirectory(prefix="bundle-conda-") as directory:
        written = {
            path: _write(Path(directory, str(number)), path, file) for number, (path, file) in enumerate(files.items())
        }
        requirement = [written.get(path, path) for path in options.requirement]
        replaced = {**vars(options), "requirement": requirement, "target": target, "python": python}
        try:
            yield argparse.Namespace(**replaced)
        except BundleError as error:
            for path, name in written.items():
                _explain(error, path, name, files[path])
            raise


def _explain(error: BundleError, path: Path, name: Path, file: CondaFile) -> None:
    """Let *error* speak of the *file* at *path* instead of the requirements file *name*."""
    if isinstance(error, SeveralUnavailable):
        for each in error.errors:
            _explain(each, path, name, file)
        return
    error.where = error.where.replace(str(name), str(path)).replace(name.name, path.name)
    error.what = error.what.replace(str(name), str(path)).replace(name.name, path.name)
    projects = error.projects if isinstance(error, ResolutionError) else ()
    for item in file.mapped:
        if not item.by_table and canonicalize_name(Requirement(item.requirement).name) in projects:
            hint = f"{item.spec} is a conda package of {path}: remove it there if it is no Python package of this name"
            error.hint = f"{hint}; {error.hint}" if error.hint else hint


def _write(directory: Path, path: Path, file: CondaFile) -> Path:
    """Write the requirements of *file*, which was read from *path*, into *directory*."""
    directory.mkdir()
    # Not its own name: uv refuses to read what is called environment.yml.
    name = directory / f"{path.name}.txt"
    name.write_text(file.requirements(), encoding="utf-8")
    return name


def _target(
    options: argparse.Namespace, files: Mapping[Path, CondaFile], reporter: Reporter
) -> tuple[str | None, str | None]:
    """Return what ``--target`` and ``--python`` say, or what the first of *files* with a Python makes of them."""
    target, python = options.target, options.python
    wanted = [file.python for file in files.values() if file.python is not None]
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
    return target, python


def _report(path: Path, file: CondaFile, reporter: Reporter) -> None:
    """Say what has become of each package of *file*."""
    renamed = [f"{item.spec} → {item.requirement}" for item in file.mapped if item.by_table]
    same = [item.requirement for item in file.mapped if not item.by_table]
    mapped = [", ".join(renamed)] if renamed else []
    mapped += [f"by their own names: {', '.join(same)}"] if same else []
    if mapped:
        reporter.note(f"{path}: taken from PyPI: {'; '.join(mapped)}")
    reasons = dict.fromkeys(item.reason for item in file.left_out)
    left_out = [
        f"{', '.join(item.name for item in file.left_out if item.reason == reason)} ({reason})" for reason in reasons
    ]
    if left_out:
        reporter.note(f"{path}: left out: {'; '.join(left_out)}")
    for note in file.notes:
        reporter.warning(f"{path}: {note}")
