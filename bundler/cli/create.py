"""``bundle create``: requirements or a lock → a bundle."""

from __future__ import annotations

import contextlib
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.azureml.settings import deployment_of, keep_in_upload, settings_text
from bundler.cli.environment_inputs import with_environment
from bundler.cli.input_files import requirement_files_of
from bundler.cli.lock import lock_asked
from bundler.cli.options import (
    add_baseline,
    add_build,
    add_cache,
    add_drop,
    add_indexes,
    add_requirements,
    add_target,
    create_options,
)
from bundler.cli.progress import counted, progress
from bundler.cli.transfers import opened
from bundler.create import Bundle, create
from bundler.images.carriers import check_output
from bundler.locks import Lock
from bundler.resolving.cuda_wheels import cuda_warning
from bundler.runtime.documents import MAX_SERIAL
from bundler.runtime.errors import UsageError
from bundler.small_files import read_text
from bundler.stores.store import DEFAULT_NAME
from bundler.wheelhouses import Wheelhouse, create_wheelhouse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bundler.azureml.settings import Form
    from bundler.layers.packing import BuiltLayer
    from bundler.stores.store import Store

HELP = "make a bundle for a target: resolve, fetch, install, compress, hash"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_requirements(parser)
    parser.add_argument("--lock", metavar="FILE", type=Path, help="take the pins of this pylock.toml instead")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the bundle to write")
    parser.add_argument(
        "--format",
        choices=("pyz", "packed", "tree", "wheelhouse"),
        default="pyz",
        help="one file, a few files, unpacked, or wheels for the target's own pip (default: pyz)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("--azureml", action="store_true", help="print the settings of an Azure ML deployment as well")
    parser.add_argument(
        "--score-dir", metavar="DIR", type=Path, help="where the entry script lies, for --azureml (default: beside OUT)"
    )
    add_target(parser)
    add_baseline(parser)
    add_build(parser)
    group = parser.add_argument_group("contents")
    add_drop(group)
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
    group.add_argument(
        "--serial", metavar="N", type=_serial, default=0, help="number the bundle: --min-serial refuses older ones"
    )
    group.add_argument("--level", metavar="N", type=_level, default=9, help="zstd level, 1 to 19 (default: 9)")
    group.add_argument(
        "--jobs", metavar="N", type=_jobs, default=0, help="how much to do at once (default: one per processor)"
    )
    add_indexes(parser)
    add_cache(parser)
    parser.add_argument(
        "--layer-cache",
        metavar="URL",
        help="a store (see bundle push) for compressed layers, shared with other machines; none of it is trusted",
    )


def _serial(text: str) -> int:
    serial = int(text)
    if not 1 <= serial <= MAX_SERIAL:
        raise ValueError
    return serial


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
    _check(options)
    form: Form = options.format
    made: Bundle | Wheelhouse
    with (
        progress(quiet=options.quiet or options.json) as reporter,
        requirement_files_of(options, reporter) as asked,
        _layer_cache(options) as layer_cache,
    ):
        asked = with_environment(asked, reporter)  # noqa: PLW2901 - the same, and more
        settings = replace(create_options(asked), layer_cache=layer_cache)
        if asked.lock:
            locked = Lock.from_toml(read_text(asked.lock), asked.lock, settings.target).without(options.drop)
        else:
            locked = lock_asked(asked, settings, reporter)
        if cuda := cuda_warning(locked.pins):
            reporter.warning(cuda)
        if form == "wheelhouse":
            made = create_wheelhouse(locked, options.output, options=settings, force=options.force, reporter=reporter)
        else:
            made = create(locked, options.output, form=form, options=settings, force=options.force, reporter=reporter)
    ignore_file = keep_in_upload(options.output)
    deployment = deployment_of(options.output, form, made.digest, options.score_dir) if options.azureml else None
    if options.json:
        facts = {**to_json(made), "amlignore": str(ignore_file) if ignore_file else None}
        if deployment is not None:
            facts["environment_variables"] = deployment.variables
        print(json.dumps(facts, indent=2))
    else:
        _show(made) if isinstance(made, Bundle) else _show_wheelhouse(made)
        if ignore_file is not None:
            print(f"wrote {ignore_file}: an upload to Azure ML would have dropped a part of the bundle")
        if deployment is not None:
            print(settings_text(deployment))
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot work before the index is asked for anything."""
    form: Form = options.format
    if options.output.suffix == ".pyz" and form != "pyz":
        raise UsageError(options.output, "is the name of a .pyz, which is another format", got=f"--format {form}")
    if options.lock and (options.requirements or options.requirement or options.constraint):
        raise UsageError("--lock", "takes the place of requirements", hint="give either a lock or requirements")
    if options.lock and (options.baseline or options.skip_provided):
        raise UsageError(
            "--lock", "is resolved already", hint="give --baseline to bundle lock, or compare later: bundle check"
        )
    if form != "wheelhouse":
        check_output(options.output, form=form, force=options.force)


@contextlib.contextmanager
def _layer_cache(options: argparse.Namespace) -> Iterator[Store | None]:
    """Give the store for layers, if there is to be one."""
    if options.layer_cache is None:
        yield None
        return
    with opened(options.layer_cache) as (store, name):
        if name != DEFAULT_NAME:
            raise UsageError("--layer-cache", "names one bundle, and a cache is a whole store", got=name)
        yield store


def to_json(made: Bundle | Wheelhouse) -> dict[str, Any]:
    """Return what ``--json`` prints. Sizes are in bytes."""
    facts = {
        "path": str(made.path),
        "size": made.size,
        "digest": made.digest,
        "target": made.lock.target.to_json(),
        "packages": [{"name": pin.name, "version": str(pin.version), "wheel": pin.filename} for pin in made.lock.pins],
        "provided": [{"name": item.name, "version": str(item.version)} for item in made.lock.provided],
        "dropped": [{"name": item.name, "version": str(item.version)} for item in made.lock.dropped],
    }
    return {**facts, **_bundle_to_json(made)} if isinstance(made, Bundle) else {**facts, "format": "wheelhouse"}


def _bundle_to_json(bundle: Bundle) -> dict[str, Any]:
    return {
        "format": bundle.form,
        "tree_digest": bundle.tree_digest,
        "bytecode": bundle.bytecode,
        "tree_size": bundle.tree_size,
        "files": bundle.files,
        "layers": [
            {
                "name": layer.name,
                "digest": layer.packed.descriptor.digest,
                "size": layer.packed.descriptor.size,
                "tar_size": layer.packed.size,
                "cached": layer.cached,
                "from_layer_cache": layer.from_layer_cache,
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
    if bundle.lock.provided:
        print(f"  the image's  {', '.join(map(str, bundle.lock.provided))}")
    if bundle.lock.dropped:
        print(f"  dropped      {', '.join(map(str, bundle.lock.dropped))}")
    print(f"  digest       {bundle.digest}")
    print(f"  tree digest  {bundle.tree_digest}")
    if any(layer.from_layer_cache for layer in bundle.layers):
        print(f"  layers       {_origins(bundle.layers)}")
    python = "python{}.{}".format(*bundle.lock.target.python_minor)
    print("next, where it is to run:")
    if bundle.form == "tree":
        print(f"  bundle verify {path} --expect {bundle.digest}")
    else:
        print(f"  {python} {path} verify --expect {bundle.digest}")
        print(f"  {python} {path} run --expect {bundle.digest} -- python your_program.py")


def _origins(layers: Sequence[BuiltLayer]) -> str:
    """Return how many of *layers* came from where."""
    given = sum(layer.from_layer_cache for layer in layers)
    cached = sum(layer.cached for layer in layers)
    return f"{given} from the layer cache, {cached} cached here, {len(layers) - given - cached} compressed"


def _show_wheelhouse(wheelhouse: Wheelhouse) -> None:
    path = shlex.quote(str(wheelhouse.path))
    print(f"{wheelhouse.path}: {wheelhouse.size / 1e6:.1f} MB, {counted(len(wheelhouse.lock.pins), 'wheel')}")
    print(f"  target       {wheelhouse.lock.target}")
    if wheelhouse.lock.provided:
        print(f"  the image's  {', '.join(map(str, wheelhouse.lock.provided))}")
    print(f"  digest       {wheelhouse.digest} (of requirements.txt, which names every wheel by its sha256)")
    print("next, where it is to run (a bundle starts faster, and is verified file by file):")
    print("  python{}.{} -m pip install -r {}".format(*wheelhouse.lock.target.python_minor, f"{path}/requirements.txt"))
