"""Files of a wheel that would run, or take the place of the standard library, without being asked for (rule A12).

* A ``.pth`` file with an ``import`` line runs at every start of Python: a wheel with a right RECORD may still carry an
  attack there. Three are known by their contents: what setuptools writes for namespace packages, its own shim, and
  coloredlogs', which comes with onnxruntime and does nothing until a variable asks for it.
* ``usercustomize.py`` and ``*.egg-link`` have the same effect. ``sitecustomize.py`` and ``bundle_runtime`` are
  the bundle's own.
* A bundle stands in front of the standard library, where an installed wheel stands behind it: a top-level module with
  a name of the standard library would replace it. So would one in a directory that a ``.pth`` file adds.
* Everything else is refused unless it is allowed by the sha256 of its file.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from bundler.runtime.errors import ContentError
from bundler.runtime.sites import SITE_PACKAGES, lines_of, runs
from bundler.wheels.allowances import remedy
from bundler.wheels.standard_library import is_standard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bundler.runtime.targets import Target
    from bundler.wheels.allowances import Allowances
    from bundler.wheels.install import TreeFile

_SHOWN = 160
_OWN = re.compile(r"(sitecustomize|bundle_runtime)([./]|$)")
_MODULE = re.compile(r"(?P<name>\w+)(?:/__init__)?(?:\.py|\.so|\.[\w-]+\.so)")
_SHIM = re.compile(
    r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, '(?:local|stdlib)'\) == 'local';"
    r" enabled and __import__\('_distutils_hack'\)\.add_shim\(\); ?"
)
_COLOREDLOGS = (
    'import os; exec(\'try: __import__("coloredlogs").auto_install() if os.environ.get("COLOREDLOGS_AUTO_INSTALL")'
    " else None\\nexcept ImportError: pass')"
)
# What setuptools writes for a declared namespace package, in its four generations. PKG, PTH, PARENT and CHILD stand
# for the package's name, as text or as a tuple.
_SPEC = "importlib.util.module_from_spec(importlib.machinery.PathFinder.find_spec(PKG, [os.path.dirname(p)]))"
_TAIL = ("mp = (m or []) and m.__dict__.setdefault('__path__',[])", "(p not in mp) and mp.append(p)")
_PLACE = "p = os.path.join(sys._getframe(1).f_locals['sitedir'], *PTH)"
_NAMESPACES = tuple(
    ";".join((*lines, *_TAIL))
    for lines in (
        (
            "import sys, types, os",
            "has_mfs = sys.version_info > (3, 5)",
            _PLACE,
            "importlib = has_mfs and __import__('importlib.util')",
            "has_mfs and __import__('importlib.machinery')",
            f"m = has_mfs and sys.modules.setdefault(PKG, {_SPEC})",
            "m = m or sys.modules.setdefault(PKG, types.ModuleType(PKG))",
        ),
        (
            "import sys, types, os",
            _PLACE,
            "importlib = __import__('importlib.util')",
            "__import__('importlib.machinery')",
            f"m = sys.modules.setdefault(PKG, {_SPEC})",
            "m = m or sys.modules.setdefault(PKG, types.ModuleType(PKG))",
        ),
        (
            "import sys, types, os",
            _PLACE,
            "ie = os.path.exists(os.path.join(p,'__init__.py'))",
            "m = not ie and sys.modules.setdefault(PKG, types.ModuleType(PKG))",
        ),
        (
            "import sys,types,os",
            " " + _PLACE,
            " ie = os.path.exists(os.path.join(p,'__init__.py'))",
            " m = not ie and sys.modules.setdefault(PKG,types.ModuleType(PKG))",
        ),
    )
)
_PTH = re.compile(r"\*\((?P<parts>'\w+'(?:, ?'\w+')*),?\)", re.ASCII)


def added_directories(file: TreeFile, chunks: Iterable[bytes]) -> set[str]:
    """Return the directories below ``site-packages`` that *file* puts onto the path, if it is a ``.pth`` file."""
    directory, _, name = file.path.rpartition("/")
    if directory != SITE_PACKAGES or not name.endswith(".pth"):
        return set()
    lines = (line.rstrip() for line in lines_of(b"".join(chunks)) if not runs(line))
    paths = {posixpath.normpath(line) for line in lines if line and not line.startswith("#")}
    return {path for path in paths if path != "." and not path.startswith(("/", ".."))}


def check_startup_code(
    where: str,
    file: TreeFile,
    chunks: Iterable[bytes],
    *,
    target: Target,
    allowances: Allowances,
    added: Collection[str] = (),
) -> None:
    """Refuse *file* if it breaks rule A12; *where* names its wheel, *chunks* are its bytes, read only if need be.

    *added* are directories below ``site-packages`` that are on the path as well.
    """
    name = file.path.removeprefix(f"{SITE_PACKAGES}/")
    if name == file.path:
        return
    exclude = f"leave it out with --exclude '{file.path}'"
    if _OWN.match(name):
        raise ContentError(f"{where}: {name}", "has a name that the bundle itself needs", hint=exclude, rule="A12")
    if name.endswith(".pth") and "/" not in name:
        code = [line for line in lines_of(b"".join(chunks)) if runs(line)]
        unknown = [line for line in code if not _is_known(line)]
        if code and not unknown:
            allowances.know("A12", file.path, file.sha256)
        fault: tuple[str, str | None] | None = None
        if unknown:
            fault = "would run code at every start of Python", _short(unknown[0])
    else:
        fault = _fault_of_name(name, target)
        within = [name.removeprefix(f"{directory}/") for directory in added if name.startswith(f"{directory}/")]
        fault = next(filter(None, (_shadow(each, target) for each in within)), fault)
    if fault is not None and not allowances.permit("A12", file.path, file.sha256):
        hint = f"{exclude}; or, if you have read it and trust it, allow it with {remedy(file.sha256)}"
        raise ContentError(f"{where}: {name}", fault[0], got=fault[1], hint=hint, rule="A12")


def _fault_of_name(name: str, target: Target) -> tuple[str, str | None] | None:
    """Return what is wrong with a file called *name* in ``site-packages``, and which module it would replace."""
    if name.startswith(("usercustomize.", "usercustomize/")):
        return "would run at every start of Python", None
    if name.endswith(".egg-link") and "/" not in name:
        return "would lead out of the tree", None
    return _shadow(name, target)


def _shadow(name: str, target: Target) -> tuple[str, str | None] | None:
    module = _MODULE.fullmatch(name)
    if module and is_standard(module["name"], target.python_minor):
        return "would take the place of a module of the standard library", module["name"]
    return None


def _short(line: str) -> str:
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"


def _is_known(line: str) -> bool:
    if _SHIM.fullmatch(line) or line == _COLOREDLOGS:
        return True
    found = _PTH.search(line)
    if found is None:
        return False
    parts = re.findall(r"\w+", found["parts"], re.ASCII)
    package, parent, child = ".".join(parts), ".".join(parts[:-1]), parts[-1]
    ends = [""] if not parent else ["", f";m and setattr(sys.modules[{parent!r}], {child!r}, m)"]
    for template in _NAMESPACES:
        text = template.replace("PTH", found[0][1:]).replace("PKG", repr(package))
        if any(line.replace("; ", ";") == (text + end).replace("; ", ";") for end in ends):
            return True
    return False
