"""A start of Python with a bundle on its path → the bundle mounted before any user code, or no start at all.

* ``sitecustomize.py`` of every carrier calls ``start``. Python would only print an exception from there and go on
  without the bundle, so every failure ends the process: one line on standard error, the report, the exit code.
* A tree that was verified since the system started is mounted with a handful of system calls: nothing is imported for
  it that a bare interpreter has not loaded. ``index.json`` is only a claim; what it names was verified under that name.
* The image's own ``sitecustomize`` runs afterwards.
"""

from __future__ import annotations

import os
import sys

from . import markers
from .sites import SITE_PACKAGES, add_site_packages
from .uses import hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any, Callable, Dict, List, MutableMapping, NoReturn, Optional

_CLAIM = b'{"manifests":[{"digest":"sha256:'
_HEX = frozenset(b"0123456789abcdef")
_MAX_MANIFEST = 4 << 20


def start(directory: str, position: int, read: Callable[[str], bytes], spec: ModuleSpec) -> None:
    """Mount the bundle whose ``sitecustomize.py``, with *spec*, lies in *directory*, at *position* of ``sys.path``.

    *directory* itself must not be on ``sys.path``; *read* returns the bytes of a file in it.
    """
    report: Dict[str, Any] = {}
    try:
        discard_compiled(spec)
        end = _mount(directory, position, read, os.environ, report)
    except BaseException as error:  # noqa: BLE001 - fail closed, whatever it is
        _leave(directory, error, report)
    _run_next_sitecustomize(sys.path[end:])


def discard_compiled(spec: Optional[ModuleSpec]) -> None:
    """Remove the ``.pyc`` that Python has just made of the file of *spec*, which belongs to a bundle.

    It would be an extra file, for which ``verify`` refuses the bundle. Its own ``.pyc`` are not checked by time.
    """
    path = spec.cached if spec is not None else None
    if not path:  # inside a zip
        return
    try:
        with open(path, "rb") as file:
            by_time = file.read(8)[4:] == b"\0\0\0\0"
        if by_time:
            os.remove(path)
            os.rmdir(os.path.dirname(path))
    except OSError:
        pass  # there is none, or this user cannot write there; or there are others beside it


def _mount(
    directory: str,
    position: int,
    read: Callable[[str], bytes],
    environ: MutableMapping[str, str],
    report: Dict[str, Any],
) -> int:
    """Mount the bundle; return where on ``sys.path`` the entries after it begin."""
    above = os.path.dirname(directory)
    in_place = os.path.basename(directory) == SITE_PACKAGES and os.path.isdir(os.path.join(above, ".bundle"))
    root = _ready(above, environ) if in_place else _found(directory, read, environ)
    worked = root is None
    if root is None:
        from .boot import open_tree

        root = open_tree(above if in_place else directory, environ=environ, report=report)
    before = len(sys.path)
    elsewhere = add_site_packages(root, position)
    path = environ.get("BUNDLE_REPORT")
    if path and (worked or not os.path.exists(path)):
        from .reports import write_report

        report.setdefault("decision", "found finished")
        report.update(tree=root, already_imported=elsewhere, pid=os.getpid())
        write_report(path, report)
    return position + len(sys.path) - before


def _found(directory: str, read: Callable[[str], bytes], environ: MutableMapping[str, str]) -> Optional[str]:
    """Return the finished tree of the bundle that ``index.json`` in *directory* names, if it is the expected one."""
    try:
        claim = read(os.path.join(directory, "index.json"))
    except OSError:
        return None
    name = claim[len(_CLAIM) : len(_CLAIM) + 64]
    if not claim.startswith(_CLAIM) or len(name) != 64 or not _HEX.issuperset(name):  # noqa: PLR2004
        return None
    digest = "sha256:" + name.decode("ascii")
    if environ.get("BUNDLE_EXPECT", digest) not in ("", digest):
        return None
    root = markers.finished(digest, environ.get("BUNDLE_VERIFY") or "boot", environ, markers.demanded(environ))
    return root if root is not None and hold(root, root + markers.SUFFIX) else None


def _ready(root: str, environ: MutableMapping[str, str]) -> Optional[str]:
    """Return *root* if its tree was verified, where it lies, since the system started."""
    try:
        with open(os.path.join(root, ".bundle", "manifest.json"), "rb") as file:
            manifest = file.read(_MAX_MANIFEST)
    except OSError:
        return None
    digest = "sha256:" + markers.sha256(manifest)
    if environ.get("BUNDLE_EXPECT", digest) not in ("", digest):
        return None
    policy = environ.get("BUNDLE_VERIFY") or "boot"
    taken = markers.taken_in_place(digest, root, policy, environ, markers.demanded(environ))
    if taken and os.path.basename(root) == digest[7:]:  # in a cache, as the program that bundle run starts finds it
        hold(root, root + markers.SUFFIX)
    return root if taken else None


def _leave(directory: str, error: BaseException, report: Dict[str, Any]) -> NoReturn:
    """End the process: one line that says why, the report, the exit code of the error."""
    code, line = 1, f"internal error: {type(error).__name__}: {error}"
    try:
        from .errors import BundleError

        if isinstance(error, BundleError):
            code, line = error.exit_code, error.one_line
        path = os.environ.get("BUNDLE_REPORT")
        if path:
            from .reports import write_report

            write_report(path, {**report, "bundle": directory, "error": line, "exit_code": code, "pid": os.getpid()})
    finally:
        os.write(2, f"bundle: python will not start: {line}\n".encode("utf-8", "backslashreplace"))
        os._exit(code)


def _run_next_sitecustomize(path: List[str]) -> None:
    """Run the ``sitecustomize`` that Python would have found on *path* without this bundle, in place of ours."""
    from _frozen_importlib import module_from_spec  # importlib.util costs more
    from _frozen_importlib_external import PathFinder

    spec = PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)
