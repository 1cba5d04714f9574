"""Projects that have an index of their own → a resolution in which each of them comes from there, and nowhere else.

* uv takes a project from one index only if a ``pyproject.toml`` that it resolves requires that project itself: then
  also where others require it, and neither other indexes nor ``--find-links`` count. So such a file, the anchors, is
  one more source of the resolution.
* An anchor alone would bring in what nobody needs. What is only there because of its anchor is left out again; what
  is there without one is resolved again with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import tomli_w

from bundler.resolving.uv.unsolved import Unsolved
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from packaging.pylock import Pylock
    from packaging.utils import NormalizedName

_PROJECT = "bundler-index-for"
_LINE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)(?:==| @ )[^#]*#\s*via (?P<requirers>.*)")


def compile_from_own_indexes(
    indexes: Sequence[tuple[NormalizedName, str]],
    compile_with: Callable[[str], Pylock],
    annotated: Callable[[str, Pylock], str],
) -> Pylock:
    """Return what *compile_with* answers to anchors that are right; raise ``Unsolved`` as it does.

    *annotated* returns lines of what was answered that end with ``# via`` and who requires it.
    """
    names = frozenset(name for name, _ in indexes)
    anchored, from_below = names, False
    for _ in range(4 * len(names) + 4):
        anchors = _anchors(indexes, anchored)
        try:
            pylock = compile_with(anchors)
        except Unsolved as unsolved:
            if not from_below and unsolved.needed_build is not None:
                raise  # it is built, and then asked again
            # Perhaps what nobody needs has no solution: begin again, with those only that turn out to be needed.
            named = frozenset(name for name in names if unsolved.names(name))
            if from_below and named <= anchored:
                raise Unsolved(str(unsolved).replace(f"{_PROJECT} depends on", "you require")) from None
            anchored, from_below = (anchored | named if from_below else frozenset()), True
            continue
        unanchored = frozenset(package.name for package in pylock.packages) & names - anchored
        idle = anchored - _required(annotated(anchors, pylock)) if anchored and not unanchored else frozenset()
        if not unanchored and not idle:
            return pylock
        anchored = anchored | unanchored if unanchored else anchored - idle
    raise BundleError("--index-for", "has no end: it changes who requires what", hint="name fewer projects there")


def _anchors(indexes: Sequence[tuple[NormalizedName, str]], names: Collection[NormalizedName]) -> str:
    """Return the ``pyproject.toml`` of a project that requires *names*, each from its index."""
    chosen = {name: url for name, url in indexes if name in names}
    if not chosen:
        return ""
    labels = {url: f"index-{number}" for number, url in enumerate(dict.fromkeys(chosen.values()))}
    uv = {
        "index": [{"name": label, "url": url, "explicit": True} for url, label in labels.items()],
        "sources": {name: {"index": labels[url]} for name, url in chosen.items()},
    }
    project = {"name": _PROJECT, "version": "0", "requires-python": ">=3.0", "dependencies": sorted(chosen)}
    return tomli_w.dumps({"project": project, "tool": {"uv": uv}})


def _required(annotated: str) -> frozenset[str]:
    """Return the names that something else than an anchor requires."""
    found = [match for line in annotated.splitlines() if (match := _LINE.match(line))]
    return frozenset(
        match["name"]
        for match in found
        if any(not requirer.startswith(f"{_PROJECT} (") for requirer in match["requirers"].split(", "))
    )
