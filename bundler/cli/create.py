"""``bundle create``: requirements or a lock → a bundle."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.cli.options import add_cache, add_indexes, add_requirements, add_target, create_options
from bundler.cli.progress import counted, progress
from bundler.create import create, lock
from bundler.locks import Lock
from bundler.outputs import read_text
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from bundler.carriers import Format
    from bundler.create import Bundle

NAME = "create"
HELP = "make a bundle for a target: resolve, fetch, install, compress, hash"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_requirements(parser)
    parser.add_argument("--lock", metavar="FILE", type=Path, help="take the pins of this pylock.toml instead")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the bundle to write")
    parser.add_argument(
        "--format", choices=("pyz", "packed", "tree"), help="one file, a few files, or unpacked (default: pyz)"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    add_target(parser)
    group = parser.add_argument_group("contents")
    group.add_argument("--exclude", metavar="GLOB", action="append", default=[], help="leave out files of the tree")
    group.add_argument(
        "--allow",
        metavar="SHA256",
        action="append",
        default=[],
        help="accept the one file or wheel with this sha256 though it breaks a rule, as its error has offered",
    )
    group.add_argument(
        "--compile",
        choices=("auto", "require", "never"),
        default="auto",
        help="add .pyc files (auto: if the target's Python is at hand)",
    )
    group.add_argument("--target-python", metavar="PATH", type=Path, help="the interpreter that compiles them")
    group.add_argument("--level", metavar="N", type=_level, default=7, help="zstd level, 1 to 19 (default: 7)")
    group.add_argument(
        "--jobs", metavar="N", type=_jobs, default=0, help="how much to do at once (default: one per processor)"
    )
    add_indexes(parser)
    add_cache(parser)


def _level(text: str) -> int:
    level = int(text)
    if not 1 <= level <= 19:  # noqa: PLR2004 - beyond, zstd needs more memory than it saves
        raise ValueError
    return level


def _jobs(text: str) -> int:
    jobs = int(text)
    if jobs < 1:
        raise ValueError
    return jobs


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    form: Format = options.format or "pyz"
    if options.output.suffix == ".pyz" and form != "pyz":
        raise UsageError(options.output, "is the name of a .pyz, which is another format", got=f"--format {form}")
    if options.lock and (options.requirements or options.requirement or options.constraint):
        raise UsageError("--lock", "takes the place of requirements", hint="give either a lock or requirements")
    settings = create_options(options)
    with progress(quiet=options.quiet or options.json) as reporter:
        if options.lock:
            locked = Lock.from_toml(read_text(options.lock), options.lock, settings.target)
        else:
            locked = lock(
                options.requirements,
                requirement_files=options.requirement,
                constraint_files=options.constraint,
                options=settings,
                reporter=reporter,
            )
        bundle = create(locked, options.output, form=form, options=settings, force=options.force, reporter=reporter)
    if options.json:
        print(json.dumps(to_json(bundle), indent=2))
    else:
        _show(bundle)
    return 0


def to_json(bundle: Bundle) -> dict[str, Any]:
    """Return what ``--json`` prints. Sizes are in bytes."""
    return {
        "path": str(bundle.path),
        "format": bundle.form,
        "size": bundle.size,
        "digest": bundle.digest,
        "tree_digest": bundle.tree_digest,
        "target": bundle.lock.target.to_json(),
        "bytecode": bundle.bytecode,
        "tree_size": bundle.tree_size,
        "files": bundle.files,
        "packages": [
            {"name": pin.name, "version": str(pin.version), "wheel": pin.filename} for pin in bundle.lock.pins
        ],
        "layers": [
            {
                "name": layer.name,
                "digest": layer.packed.descriptor.digest,
                "size": layer.packed.descriptor.size,
                "tar_size": layer.packed.size,
                "cached": layer.cached,
            }
            for layer in bundle.layers
        ],
        "seconds": dict(bundle.seconds),
    }


def _show(bundle: Bundle) -> None:
    path = shlex.quote(str(bundle.path))
    compiled = f"compiled by CPython {bundle.bytecode}" if bundle.bytecode else "no .pyc: imports will take longer"
    print(f"{bundle.path}: {bundle.size / 1e6:.1f} MB, {counted(len(bundle.lock.pins), 'package')}, {compiled}")
    print(f"  target       {bundle.lock.target}")
    print(f"  tree         {bundle.files} files, {bundle.tree_size / 1e6:.1f} MB")
    print(f"  digest       {bundle.digest}")
    print(f"  tree digest  {bundle.tree_digest}")
    python = "python{}.{}".format(*bundle.lock.target.python_minor)
    print("next, where it is to run:")
    if bundle.form == "tree":
        print(f"  bundle verify {path} --expect {bundle.digest}")
    else:
        print(f"  {python} {path} verify --expect {bundle.digest}")
        print(f"  {python} {path} run --expect {bundle.digest} -- python your_program.py")
