"""A bundle → a tree that can be used at once, and is filled while it is used.

* What is there already is taken as ``boot`` takes it. What cannot be lazy is eager: a tree that is used where it lies,
  ``BUNDLE_VERIFY=always``, a system that does not say when it was started.
* What is demanded of the bundle is checked before anything is begun. The unfinished tree cannot show that it was, so a
  process that has only the tree (a child of ``run``) is eager where something is demanded, and refused.
* The tree has its final place from the beginning, with all its directories: code sees the paths that it sees after an
  eager boot. It has no marker, and so is nobody's finished tree, until nothing is missing.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, List, Mapping, MutableMapping, Optional, Tuple

from . import markers
from .boot import open_tree, policy_of
from .carriers import Carrier, open_carrier
from .demands import demands_of, with_options
from .errors import PlaceError
from .filling import Filling, install
from .images import load_image, read_config, read_digest
from .parts import Parts, begin, has_state
from .places import Lock, candidates, choose_cache, discard
from .plans import Plan
from .sites import SITE_PACKAGES, add_site_packages, lines_of, runs
from .uses import hold


def open_lazily(
    path: str,
    expect: Optional[str] = None,
    *,
    environ: Optional[MutableMapping[str, str]] = None,
    report: Optional[Dict[str, Any]] = None,
) -> Tuple[str, Optional[Filling]]:
    """Return the directory of the tree of the bundle at *path*, and what fills it, or None if it is complete.

    The arguments and the errors are those of ``boot.open_tree``.
    """
    environ = os.environ if environ is None else environ
    report = {} if report is None else report
    started = time.monotonic()
    policy = policy_of(environ)
    demands = demands_of(with_options(environ, expect=expect))
    parts = None
    begun = False
    if policy != "always" and markers.boot_id():
        with open_carrier(path) as carrier:
            digest = read_digest(carrier, demands.expect)
            demanded = markers.demanded(environ) != markers.NONE
            if demanded and carrier.kind != "tree":
                report.update(signed_by=demands.check(carrier, digest, read_config(carrier, digest)))
            if carrier.kind == "tree" and not demanded:
                parts = _join(digest, carrier.path)
            elif carrier.kind != "tree" and not markers.finished(digest, policy, environ, None):
                parts = _joined(digest, environ)
                begun = parts is None
                parts = parts or _begun(carrier, digest, environ)
            report.update(bundle=carrier.path, carrier=carrier.kind, python=sys.version.split()[0], policy=policy)
            trusted = demands.expect or demands.keys
            report.update(digest=digest, trust="verified" if trusted else "self-consistent")
    if parts is None:
        return open_tree(path, expect, environ=environ, report=report), None
    parts.load_decoder()
    report.update(decision="lazy" if begun else "lazy, begun by another process")
    report.update(decoder=parts.decoder, tree=parts.root, bundle=parts.carrier)
    report.update(milliseconds=round((time.monotonic() - started) * 1000, 1))
    return parts.root, Filling(parts, report)


def _join(digest: str, root: str, plan: Optional[Plan] = None) -> Optional[Parts]:
    parts = Parts.join(digest, root, plan) if os.path.basename(root) == digest[7:] else None
    return parts if parts is not None and hold(root, root + markers.SUFFIX) else None


def _joined(digest: str, environ: Mapping[str, str]) -> Optional[Parts]:
    """Return the parts of a tree that another process has begun."""
    for cache in candidates(environ):
        parts = _join(digest, os.path.join(cache, digest[7:]))
        if parts is not None:
            return parts
    return None


def _begun(carrier: Carrier, digest: str, environ: MutableMapping[str, str]) -> Optional[Parts]:
    image = load_image(carrier, digest)
    image.check_runs_here(carrier.path)
    name = digest[7:]

    def needed(cache: str) -> Tuple[int, int]:
        if os.path.isdir(os.path.join(cache, name)):
            return 0, 0
        return sum(file.size + 4096 for file in image.tree.files), len(image.tree.files)

    cache = choose_cache(environ, needed)
    root = os.path.join(cache, name)
    try:
        with Lock(root + ".lock"):
            parts = _join(digest, root)
            if parts is None and (has_state(root) or not os.path.isdir(root)):
                if os.path.isdir(root):  # of another boot of the system, or another interpreter
                    markers.forget(root)
                    discard(root)
                plan = Plan.of(image)
                begin(image, plan, carrier, root)
                parts = _join(digest, root, plan)
    except OSError as error:
        what = f"cannot be used: {error.strerror}"
        raise PlaceError(error.filename or cache, what, hint="set BUNDLE_CACHE", rule="C23") from error
    return parts


def add_lazy_site_packages(
    root: str, filling: Optional[Filling], position: int = 0, report_path: str = ""
) -> List[str]:
    """Put the tree at *root* onto ``sys.path`` as ``sites.add_site_packages`` does; *filling* watches what is asked."""
    if filling is None:
        return add_site_packages(root, position)
    filling.report_path = report_path
    filling.need(filling.startup_files(), "startup")
    names = filling.top_level()
    for directory in _added_directories(root, names):
        filling.add_path(directory)
    install(filling)
    return add_site_packages(root, position, names)


def _added_directories(root: str, names: List[str]) -> List[str]:
    """Return the directories of the tree that the ``.pth`` files among *names* add to ``sys.path``."""
    sitedir = os.path.join(root, SITE_PACKAGES)
    found = []
    for name in names:
        if name.endswith(".pth"):
            with open(os.path.join(sitedir, name), "rb") as file:
                lines = lines_of(file.read())
            paths = [os.path.normpath(os.path.join(sitedir, line.rstrip())) for line in lines if not runs(line)]
            found += [path[len(root) + 1 :] for path in paths if path.startswith(sitedir + os.sep)]
    return found
