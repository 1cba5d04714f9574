r"""``entry_points.txt`` → groups of names and objects; the scripts among them are checked (rule A11).

* A script's name is ``[\w.-]+`` and not that of an interpreter; its object is ``module:attr`` of identifiers, and
  nothing else gets into a launcher.
* Other groups are data for whoever reads them, and stay as they are.
"""

from __future__ import annotations

import configparser
import keyword
import re
from typing import TYPE_CHECKING

from bundler.archives.portable_paths import fault_of_name
from bundler.runtime.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
_SHOWN = 400
_NAME = re.compile(r"[\w.-]+", re.ASCII)
# Such a script would shadow the interpreter on PATH. `pip` may be one: it is a project with scripts of its own.
_RESERVED = re.compile(r"pythonw?[0-9.]*|activate|deactivate", re.ASCII | re.IGNORECASE)
_OBJECT = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attr>[\w.]+)\s*(?:\[[\w\s.,-]*\])?")


def parse_entry_points(text: str, where: str) -> dict[str, dict[str, str]]:
    """Return group → name → value; raise ``ContentError`` if *text* cannot be read or a script is invalid."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text, where)
    except configparser.Error as error:
        raise ContentError(where, f"cannot be read: {error.message.splitlines()[0]}", rule="A11") from None
    groups = {group: dict(parser[group]) for group in parser.sections()}
    for group in SCRIPT_GROUPS:
        for name, value in groups.get(group, {}).items():
            # A script obeys the rules for the names of files: one called .wh.x would delete a file, for example.
            if not _NAME.fullmatch(name) or fault_of_name(f"bin/{name}"):
                raise ContentError(
                    f"{where}: {group}", "has a name that no script can have", got=ascii(name)[:_SHOWN], rule="A11"
                )
            if _RESERVED.fullmatch(name):
                raise ContentError(f"{where}: {group}", "has a script named like an interpreter", got=name, rule="A11")
            if _object_of(value) is None:
                raise ContentError(
                    f"{where}: {name}",
                    "does not name an object",
                    got=ascii(value)[:_SHOWN],
                    want="module:attr",
                    rule="A11",
                )
    return groups


def scripts_of(groups: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the console and GUI scripts of *groups*, which were parsed here: name → ``module:attr``."""
    return {
        name: target
        for group in SCRIPT_GROUPS
        for name, value in groups.get(group, {}).items()
        if (target := _object_of(value)) is not None
    }


def _object_of(value: str) -> str | None:
    """Return the ``module:attr`` of *value*, without its extras; None if there is none."""
    match = _OBJECT.fullmatch(value)
    if match is None:
        return None
    words = [*match["module"].split("."), *match["attr"].split(".")]
    if not all(word.isidentifier() and not keyword.iskeyword(word) for word in words):
        return None
    return f"{match['module']}:{match['attr']}"


def launcher(value: str) -> bytes:
    """Return a script that calls ``module:attr`` and finds its tree relative to itself, with no path of any host.

    Whichever Python runs it adds no ``.pyc`` to the tree.
    """
    module, _, attr = value.partition(":")
    return f"""\
#!/usr/bin/env python3
import os
import sys

tree = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
site_packages = os.path.join(tree, "site-packages")
if site_packages not in sys.path:
    sys.path.insert(0, site_packages)
sys.dont_write_bytecode = True

from {module} import {attr.partition(".")[0]}

if __name__ == "__main__":
    raise SystemExit({attr}())
""".encode()
