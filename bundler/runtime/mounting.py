"""A bundle → the running interpreter's ``sys.path``, or the environment of another program.

* In this process: ``mount``, one line of a program. What was imported before stays what it is, and is named.
* For another program: ``PYTHONPATH``, where the tree's own ``sitecustomize`` does the rest (see ``startup``).
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Mapping, Optional, Sequence

from .boot import open_tree
from .demands import with_options
from .documents import TREE_PATH
from .errors import UsageError
from .sites import SITE_PACKAGES, add_site_packages
from .startup import discard_compiled


def mount(
    path: str,
    expect: Optional[str] = None,
    *,
    keys: Sequence[str] = (),
    min_serial: Optional[int] = None,
    report: Optional[Dict[str, Any]] = None,
) -> str:
    """Verify the bundle at *path*, unpack it if need be, and put it at the front of ``sys.path``.

    A relative *path* is relative to the file of the caller. *expect* is the digest it must have (default:
    ``BUNDLE_EXPECT``), *keys* are paths of public keys of which one must have signed it (``BUNDLE_PUBLIC_KEY``),
    *min_serial* is the least serial number that it may have (``BUNDLE_MIN_SERIAL``). Return the directory of the tree;
    raise a ``BundleError`` and leave ``sys.path`` as it is if anything is not as it must be. Modules that were imported
    before from elsewhere stay: a warning in the log names them.
    """
    caller = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the documented way to the caller
    if caller:
        path = os.path.join(os.path.dirname(os.path.abspath(caller)), path)
    if _is_in_a_bundle(__file__):
        discard_compiled(sys.modules[__package__].__spec__)
    report = {} if report is None else report
    demanding = keys or min_serial is not None
    environ = with_options(os.environ, keys=keys, min_serial=min_serial) if demanding else os.environ
    root = open_tree(path, expect, environ=environ, report=report)
    elsewhere = add_site_packages(root)
    report.update(already_imported=elsewhere)
    if os.environ.get("BUNDLE_REPORT"):
        from .reports import write_report

        write_report(os.environ["BUNDLE_REPORT"], report)
    if elsewhere:
        import logging

        logging.getLogger(__name__).warning(
            "%s is mounted, but these were imported before and stay: %s. Mount it earlier, or put it on PYTHONPATH",
            path,
            ", ".join(f"{name} ({sys.modules[name].__file__})" for name in elsewhere),
        )
    return root


def _is_in_a_bundle(file: str) -> bool:
    """Tell whether *file* of this package lies in a packed directory or a tree, and not in an installed package."""
    place = os.path.dirname(os.path.dirname(file))
    return any(os.path.exists(os.path.join(place, name)) for name in ("oci-layout", os.path.join("..", TREE_PATH)))


def command_in(root: str, command: List[str], environ: Mapping[str, str]) -> "tuple[List[str], Dict[str, str]]":
    """Return the arguments and the environment that run *command* with the tree at *root* mounted.

    ``python`` means this interpreter; a name in the tree's ``bin/`` means that script; anything else is looked up
    on ``PATH``, where ``bin/`` stands first.
    """
    if not command:
        raise UsageError("run", "there is no command", want="… run -- COMMAND [ARGUMENT …]")
    binaries = os.path.join(root, "bin")
    env = dict(environ)
    env["PATH"] = os.pathsep.join(filter(None, [binaries, environ.get("PATH", os.defpath)]))
    site_packages = os.path.join(root, SITE_PACKAGES)
    env["PYTHONPATH"] = os.pathsep.join([site_packages, *filter(None, [environ.get("PYTHONPATH")])])
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["BUNDLE_TREE"] = root
    name = command[0]
    script = os.path.join(binaries, name)
    pythons = ("python", "python{}".format(sys.version_info[0]), "python{}.{}".format(*sys.version_info[:2]))
    if os.path.basename(name) == name and os.path.isfile(script):
        with open(script, "rb") as file:
            is_python = b"python" in file.readline(256)
        command = [sys.executable, script, *command[1:]] if is_python else [script, *command[1:]]
    elif name in pythons:
        command = [sys.executable, *command[1:]]
    return command, env
