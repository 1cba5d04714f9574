"""The command line inside every bundle: ``python3.7 deps.pyz verify``, ``unpack``, ``run``, ``info`` and the like.

It needs nothing but the interpreter. ``bundle verify``, ``unpack`` and ``run`` do the same from a builder's host.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from .errors import BundleError
from .reports import write_report

if TYPE_CHECKING:
    from .demands import Demands


def main(artifact: Optional[str], arguments: Optional[List[str]] = None) -> int:
    """Run the command line; *artifact* is the bundle that PATH means when it is left out. Return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    report: Dict[str, Any] = {}
    options: Optional[argparse.Namespace] = None
    try:
        options = parse(_parser(artifact), arguments)
        code = int(options.action(options, report))
        flush_output()
    except BundleError as error:
        report.update(error=str(error), exit_code=error.exit_code)
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # whoever read the output has seen enough
        settle_output()
        code = 1
    except OSError as error:
        settle_output()
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        code = BundleError.exit_code
    _write_report(options, report)
    return code


def flush_output() -> None:
    """Write what is left of the output, while an error can still be reported."""
    if sys.stdout is not None:  # it is where it was closed before
        sys.stdout.flush()


def settle_output() -> None:
    """Write what is left of the output; where that fails let it go nowhere, or Python fails again when it ends."""
    try:
        flush_output()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def console() -> int:
    """Run the command line of a verifier that was installed without a bundle."""
    return main(None)


def parse(parser: argparse.ArgumentParser, arguments: List[str]) -> argparse.Namespace:
    """Parse *arguments*; what follows ``--`` is the command to run, and argparse never sees it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:end])
    options.command = arguments[end + 1 :]
    return options


def _write_report(options: Optional[argparse.Namespace], report: Dict[str, Any]) -> None:
    path = getattr(options, "report", None) or os.environ.get("BUNDLE_REPORT")
    if path and hasattr(options, "report"):
        write_report(path, report)


def _parser(artifact: Optional[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=os.path.basename(artifact) if artifact else "bundle",
        description=f"Verify, unpack and run {'this bundle' if artifact else 'bundles'}.",
    )
    commands = parser.add_subparsers(metavar="COMMAND")
    parser.set_defaults(action=lambda *_: parser.error("a command is missing"))
    for name, action, text in (
        ("verify", _verify, "compare every byte with the digests"),
        ("unpack", _unpack, "verify, and write the tree to a new directory"),
        ("run", _run, "verify, unpack into the cache if need be, and run a command with the tree mounted"),
        ("info", _info, "show what is inside"),
        ("probe", _probe, "print the target that this interpreter is, as JSON"),
        ("cache", _cache, "show or remove unpacked trees"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.set_defaults(action=action)
        if name == "probe":
            continue
        if name == "cache":
            add_cache_arguments(command)
            continue
        nargs, path = (None, "PATH") if artifact is None else ("?", "[PATH]")
        command.add_argument(
            "path", metavar="PATH", nargs=nargs, default=artifact, help="the bundle (default: this one)"
        )
        if name == "unpack":
            command.add_argument("directory", metavar="DIR", help="the directory to make")
            command.add_argument("--force", action="store_true", help="replace a tree that is there")
        if name == "run":
            options = "[--expect DIGEST] [--key PUB] [--report FILE]"
            command.usage = f"{parser.prog} run {options} {path} -- CMD [ARGUMENT …]"
        if name != "info":
            command.add_argument("--report", metavar="FILE", help="write what was done, and why, as JSON")
        else:
            command.add_argument("--json", action="store_true", help="as JSON")
        add_demands(command)
    return parser


def add_demands(parser: argparse.ArgumentParser) -> None:
    """Declare what may be demanded of a bundle, each with its variable."""
    parser.add_argument("--expect", metavar="DIGEST", help="refuse any other bundle (sha256:…; default: BUNDLE_EXPECT)")
    parser.add_argument(
        "--key",
        metavar="PUB",
        action="append",
        default=[],
        help="demand a signature by this public key, or one of several (default: BUNDLE_PUBLIC_KEY)",
    )
    parser.add_argument(
        "--require-signature",
        action="store_true",
        help="fail if there is no key to demand one by (default: BUNDLE_REQUIRE_SIGNATURE=1)",
    )
    parser.add_argument(
        "--min-serial", metavar="N", help="refuse bundles older than this serial number (default: BUNDLE_MIN_SERIAL)"
    )


def demanding(options: argparse.Namespace, environ: Mapping[str, str]) -> Dict[str, str]:
    """Return *environ* with what *options* demand."""
    from .demands import with_options

    return with_options(
        environ,
        expect=options.expect,
        keys=options.key,
        min_serial=options.min_serial,
        require_signature=options.require_signature,
    )


def demands_in(options: argparse.Namespace, environ: Mapping[str, str]) -> Demands:
    """Return what *options*, else *environ*, demand."""
    from .demands import demands_of
    from .keys import read_keys

    demands = demands_of(demanding(options, environ))
    return demands._replace(keys=read_keys(options.key)) if options.key else demands


def add_cache_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``cache`` takes."""
    parser.add_argument("what", choices=("info", "prune", "clear"), help="what to do; clear removes all not in use")
    parser.add_argument(
        "--max-age", metavar="DAYS", type=float, default=30, help="prune: keep what was used since (default: 30)"
    )
    parser.add_argument(
        "--max-size", metavar="MB", type=float, help="prune: keep at most this much, the latest used first"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def _verify(options: argparse.Namespace, report: Dict[str, Any]) -> int:
    import time

    from .verifying import verify

    started = time.monotonic()
    verdict = verify(options.path, demands_in(options, os.environ))
    report.update(verdict.to_json(), milliseconds=round((time.monotonic() - started) * 1000, 1))
    verdict.image.check_runs_here(options.path)
    print(f"{options.path}: {verdict.trust}: {verdict.files} files, {verdict.image.digest}")
    if verdict.signed_by:
        print(f"  signed by {verdict.signed_by}")
    return 0


def _unpack(options: argparse.Namespace, report: Dict[str, Any]) -> int:
    from .boot import unpack

    demands = demands_in(options, os.environ)
    image = unpack(options.path, options.directory, demands, force=options.force)
    report.update(digest=image.digest, tree=os.path.abspath(options.directory), decision="unpacked")
    print(f"{options.directory}: {len(image.tree.files) + 1} files, {image.digest}")
    return 0


def _run(options: argparse.Namespace, report: Dict[str, Any]) -> int:
    from .boot import open_tree
    from .mounting import command_in
    from .uses import hand_on

    environ = demanding(options, os.environ)
    root = open_tree(options.path, environ=environ, report=report)
    command, env = command_in(root, options.command, environ)
    report.update(command=command)
    _write_report(options, report)
    sys.stdout.flush()
    hand_on()
    try:
        os.execvpe(command[0], command, env)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise BundleError(command[0], f"cannot be run: {error.strerror}") from error


def _cache(options: argparse.Namespace, _: Dict[str, Any]) -> int:
    from .pruning import prune, trees_of

    if options.what == "info":
        trees = trees_of(os.environ)
    elif options.what == "clear":
        trees = prune(os.environ, max_age=0)
    else:
        size = None if options.max_size is None else int(options.max_size * 1e6)
        trees = prune(os.environ, max_age=options.max_age * 86400, max_size=size)
    if options.json:
        print(json.dumps([tree._asdict() for tree in trees]))
        return 0
    for tree in trees:
        state = "in use" if tree.in_use else f"used {tree.age / 86400:.1f} days ago"
        print(f"{tree.path}  {tree.size / 1e6:.1f} MB, {state}")
    if options.what != "info":
        print(f"freed {sum(tree.size for tree in trees) / 1e6:.1f} MB")
    return 0


def _probe(_: argparse.Namespace, __: Dict[str, Any]) -> int:
    from .probe import probe

    print(json.dumps(probe(), indent=2))
    return 0


def _info(options: argparse.Namespace, _: Dict[str, Any]) -> int:
    from .carriers import open_carrier
    from .images import load_image

    demands = demands_in(options, os.environ)
    with open_carrier(options.path) as carrier:
        image = load_image(carrier, demands.expect)
        demands.check(carrier, image.digest, image.config)
    index = image.tree
    if options.json:
        facts = json.loads(index.to_bytes().decode())
        facts.update(digest=image.digest, tree_digest=image.config.tree_digest)
        print(json.dumps({key: facts[key] for key in sorted(facts) if key not in ("layers", "documents")}))
        return 0
    print(f"target       {index.target}")
    print(f"digest       {image.digest}")
    print(f"tree digest  {image.config.tree_digest}")
    if image.config.serial:
        print(f"serial       {image.config.serial}")
    print(f"files        {len(index.files) + 1}, {sum(file.size for file in index.files) / 1e6:.1f} MB")
    for item in index.distributions:
        print(f"  {item.name} {item.version}")
    return 0
