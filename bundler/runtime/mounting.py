"""A tree → the running interpreter's ``sys.path``, or the environment of another program.

* ``site-packages`` goes to the front. Path lines of the tree's own ``.pth`` files follow it, as ``site`` would do;
  lines that start with ``import`` are not executed.
* Python must not write ``.pyc`` files into a verified tree, so it is told not to.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Mapping, Optional

from .boot import open_tree
from .errors import UsageError
from .indexes import SITE_PACKAGES


def mount(path: str, expect: Optional[str] = None, *, report: Optional[Dict[str, Any]] = None) -> str:
    """Verify the bundle at *path*, unpack it if need be, and put it at the front of ``sys.path``.

    A relative *path* is relative to the file of the caller. *expect* is the digest it must have. Return the
    directory of the tree; raise a ``BundleError`` and change nothing if anything is not as it must be.
    """
    caller = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the documented way to the caller
    if caller:
        path = os.path.join(os.path.dirname(os.path.abspath(caller)), path)
    root = open_tree(path, expect, report=report)
    for entry in reversed(import_paths(root)):
        if entry not in sys.path:
            sys.path.insert(0, entry)
    sys.path_importer_cache.clear()
    sys.dont_write_bytecode = True
    return root


def import_paths(root: str) -> List[str]:
    """Return what of the tree at *root* belongs onto ``sys.path``, first things first."""
    site_packages = os.path.join(root, SITE_PACKAGES)
    paths = [site_packages]
    names = sorted(os.listdir(site_packages)) if os.path.isdir(site_packages) else []
    for name in names:
        if name.endswith(".pth"):
            with open(os.path.join(site_packages, name), encoding="utf-8") as file:
                lines = [line.strip() for line in file]
            for line in lines:
                path = os.path.normpath(os.path.join(site_packages, line))
                inside = path.startswith(site_packages + os.sep)
                if line and not line.startswith(("#", "import ", "import\t")) and inside and os.path.isdir(path):
                    paths.append(path)
    return paths


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
    env["PYTHONPATH"] = os.pathsep.join([*import_paths(root), *filter(None, [environ.get("PYTHONPATH")])])
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
