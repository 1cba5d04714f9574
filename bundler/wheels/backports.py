"""The files of a wheel → those without what the standard library has itself, and a backport brings again (rule A12).

* pip installs such a module behind the standard library, where nobody ever imports it: so users have its project in
  their requirements and never use it. In a bundle, which stands in front, it would be used. It is left out.
* Only of the projects in this table, which were made for Pythons without the module, and only where the target's
  Python has it. The same module from any other project stays, and is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.runtime.sites import SITE_PACKAGES
from bundler.wheels.standard_library import is_standard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.runtime.targets import Target
    from bundler.wheels.install import TreeFile

# Project → its top-level modules that became modules of the standard library.
_BACKPORTS = {
    "argparse": ("argparse",),
    "asyncio": ("asyncio",),
    "configparser": ("configparser",),
    "contextvars": ("contextvars",),
    "dataclasses": ("dataclasses",),
    "enum34": ("enum",),
    "futures": ("concurrent",),
    "graphlib-backport": ("graphlib",),
    "importlib": ("importlib",),
    "ipaddress": ("ipaddress",),
    "pathlib": ("pathlib",),
    "statistics": ("statistics",),
    "typing": ("typing",),
    "uuid": ("uuid",),
}


def without_backports(
    project: str, files: Sequence[TreeFile], target: Target
) -> tuple[tuple[TreeFile, ...], tuple[str, ...]]:
    """Return those *files* of *project* that are installed, and the modules of the standard library that are not."""
    modules = [name for name in _BACKPORTS.get(project, ()) if is_standard(name, target.python_minor)]
    of = {file.path: _module_of(file.path, modules) for file in files}
    kept = tuple(file for file in files if of[file.path] is None)
    return kept, tuple(sorted({module for module in of.values() if module is not None}))


def _module_of(path: str, modules: Sequence[str]) -> str | None:
    """Return which of *modules* the file at *path* is a part of."""
    for module in modules:
        if path == f"{SITE_PACKAGES}/{module}.py" or path.startswith(f"{SITE_PACKAGES}/{module}/"):
            return module
    return None
