"""A lock → a wheelhouse: wheels and a ``requirements.txt`` that the image's own pip installs with no network.

* Every wheel passes the same rules as for a bundle, and arrives byte for byte.
* It is the slow way: pip unpacks and compiles at every start of a container, and verifies the wheels, not the files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.fetching.fetch import fetch
from bundler.reporters import Reporter
from bundler.runtime.errors import BundleError, UsageError
from bundler.runtime.places import Staging
from bundler.source_builders import build_missing
from bundler.wheels.allowances import Allowances
from bundler.wheels.backports import without_backports
from bundler.wheels.install import chunks_of, files_of
from bundler.wheels.startup_code import check_startup_code
from bundler.wheels.wheel_reader import Wheel
from bundler.wheels.wheelhouse_layout import REQUIREMENTS, WHEELS, is_wheelhouse, requirements_text

if TYPE_CHECKING:
    from bundler.locks import Lock
    from bundler.options import Options
    from bundler.pins import Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheelhouse:
    """A wheelhouse that was created; *size* is in bytes, *digest* that of its ``requirements.txt``."""

    path: Path
    size: int
    digest: str
    lock: Lock


def create_wheelhouse(
    locked: Lock, out: Path, *, options: Options, force: bool = False, reporter: Reporter | None = None
) -> Wheelhouse:
    """Create the wheelhouse of *locked* at *out*, which appears complete or not at all."""
    if locked.dropped:
        names = ", ".join(map(str, locked.dropped))
        hint = "make a bundle of it: nothing is resolved there any more"
        raise UsageError("wheelhouse", "leaves out what pip would ask for where it is installed", got=names, hint=hint)
    reporter = reporter or Reporter()
    replace = _must_replace(out, force=force)
    size = 0
    try:
        with options.cache.in_use(), Staging(str(out.absolute())) as staging:
            Path(staging.path, WHEELS).mkdir()
            build_missing(locked.pins, options, reporter)
            for pin, path in fetch(
                locked.pins,
                cache=options.cache,
                indexes=options.indexes(),
                jobs=options.jobs or os.cpu_count() or 1,
                offline=options.offline,
                reporter=reporter,
            ):
                _check(pin, path, options, reporter)
                shutil.copyfile(path, Path(staging.path, WHEELS, pin.filename))
                size += path.stat().st_size
            text = requirements_text(locked)
            Path(staging.path, REQUIREMENTS).write_text(text, encoding="utf-8")
            staging.publish(replace=replace)
    except OSError as error:
        raise BundleError(out, f"cannot be written: {error.strerror}", hint="nothing was left behind") from error
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return Wheelhouse(path=out, size=size + len(text.encode()), digest=digest, lock=locked)


def _must_replace(out: Path, *, force: bool) -> bool:
    parent = out.absolute().parent
    if not parent.is_dir():
        raise BundleError(out, "cannot be written: its directory does not exist", hint=f"mkdir -p {parent}")
    if not os.path.lexists(out):
        return False
    if not force:
        raise BundleError(out, "exists already", hint="replace it with --force, or choose another name")
    if not is_wheelhouse(out):
        raise BundleError(out, "is no wheelhouse, and stays", hint="remove it yourself, or choose another name")
    return True


def _check(pin: Pin, path: Path, options: Options, reporter: Reporter) -> None:
    allowances = Allowances(options.settings.allow)
    with Wheel.open(path, pin, warn=reporter.warning, allowances=allowances) as wheel:
        # A backport travels with its wheel all the same: pip puts it where it is never imported.
        files, _ = without_backports(wheel.name, files_of(wheel, exclude=options.settings.exclude), options.target)
        for file in files:
            check_startup_code(
                wheel.filename, file, chunks_of(wheel, file), target=options.target, allowances=allowances
            )
