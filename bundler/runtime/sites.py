"""A tree's ``site-packages`` → entries of ``sys.path`` and startup code, as ``site`` does for its own.

* ``.pth`` files in a directory of ``PYTHONPATH`` are dead, so they are read here, in the order of their names: a path
  line adds a directory of the tree, an ``import`` line is executed. ``bundle create`` refuses such a line unless it
  is known or was allowed, and the tree was verified before.
* A namespace package of the image that is imported already gets the tree's part of it.
* Nothing is imported here that a bare interpreter has not loaded.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

SITE_PACKAGES = "site-packages"
_OWN = {"sitecustomize", "bundle_runtime"}


def add_site_packages(root: str, position: int = 0) -> List[str]:
    """Put the tree at *root* onto ``sys.path`` at *position*.

    Return the names of the modules that are imported already from elsewhere, and therefore stay what they are.
    """
    sitedir = os.path.join(root, SITE_PACKAGES)
    if sitedir in sys.path:
        position = sys.path.index(sitedir)
    else:
        sys.path.insert(position, sitedir)
    names = sorted(os.listdir(sitedir)) if os.path.isdir(sitedir) else []
    for name in names:
        if name.endswith(".pth"):
            position = _add_pth(sitedir, name, position)
    sys.path_importer_cache.clear()
    sys.dont_write_bytecode = True  # a .pyc that Python adds would be a fault of the tree
    return _imported_from_elsewhere(sitedir, {name.partition(".")[0] for name in names})


def lines_of(data: bytes) -> List[str]:
    """Return the lines of a ``.pth`` file, cut where ``site`` cuts them."""
    text = data.decode("utf-8", "surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def runs(line: str) -> bool:
    """Tell whether *line* of a ``.pth`` file is executed."""
    return line.startswith(("import ", "import\t"))


def _add_pth(sitedir: str, name: str, position: int) -> int:
    """Process one ``.pth`` file; return the position of the last entry of ``sys.path`` that belongs to the tree."""
    with open(os.path.join(sitedir, name), "rb") as file:
        lines = lines_of(file.read())
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if runs(line):
                exec(line)  # noqa: S102 - what site does; the line finds ``sitedir`` in this frame
            else:
                path = os.path.normpath(os.path.join(sitedir, line.rstrip()))
                if path.startswith(sitedir + os.sep) and path not in sys.path and os.path.isdir(path):
                    position += 1
                    sys.path.insert(position, path)
        except Exception:  # noqa: BLE001 - as site: it is printed, and the rest of the file is left out
            import traceback

            sys.stderr.write(f"Error processing line {number} of {os.path.join(sitedir, name)}:\n\n")
            traceback.print_exc()
            sys.stderr.write("\nRemainder of file ignored\n")
            break
    return position


def _imported_from_elsewhere(sitedir: str, names: "set[str]") -> List[str]:
    """Extend imported namespace packages; return the other imported modules that the tree has, too."""
    elsewhere = []
    for name in names.intersection(sys.modules) - _OWN:
        module = sys.modules[name]
        file = getattr(module, "__file__", None)
        search = getattr(module, "__path__", None)
        part = os.path.join(sitedir, name)
        if file is None and isinstance(search, list):
            if part not in search and os.path.isdir(part):
                search.insert(0, part)
        elif file is not None and not file.startswith(sitedir + os.sep):
            elsewhere.append(name)
    return sorted(elsewhere)
