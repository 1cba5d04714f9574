"""A verified image → the plan by which its tree is filled: which part holds what, and which parts belong together.

* A part is a run of frames (see ``frames``) that holds files.
* The plan is kept beside the state of the tree, in a form that the same interpreter reads in milliseconds: an index of
  tens of thousands of files takes longer.
"""

from __future__ import annotations

import marshal
import re
from typing import Any, Dict, FrozenSet, Iterable, List, Set, Tuple

from .frames import runs_of
from .images import Image
from .sites import SITE_PACKAGES, top_level_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Plan:
    """What the parts of a tree hold; all of it comes from a verified index.

    *parts* are runs as plain tuples, *blobs* the digest and size of each layer, *needs* the layers that the native
    libraries of a top-level name may need, *directories* the parts that have files right in a directory, *modules* the
    path and part of what lies right in ``site-packages``.
    """

    def __init__(
        self,
        parts: List[Any],
        blobs: Dict[int, Tuple[str, int]],
        needs: Dict[str, List[int]],
        directories: Dict[str, List[int]],
        modules: List[Tuple[str, int]],
    ) -> None:
        """Keep the plan."""
        self.parts = parts
        self.blobs = blobs
        self.needs = needs
        self.directories = directories
        self.modules = modules
        self.layers: Dict[int, Set[int]] = {}
        for n, part in enumerate(parts):
            self.layers.setdefault(part[0], set()).add(n)
        self._part_of: Dict[str, int] = {}

    @property
    def part_of(self) -> Dict[str, int]:
        """The part of every file: made when it is wanted, as imports do without."""
        if not self._part_of:
            self._part_of = {file[0]: n for n, part in enumerate(self.parts) for file in part[4]}
        return self._part_of

    @classmethod
    def of(cls, image: Image) -> Plan:
        """Return the plan for the tree of *image*."""
        runs = [run for run in runs_of(image) if run.files]
        parts = [
            (run.layer, run.start, run.offset, [tuple(frame) for frame in run.frames], [tuple(f) for f in run.files])
            for run in runs
        ]
        blobs = {n: (layer.digest, layer.size) for n, layer in enumerate(image.manifest.layers) if n}
        directories: Dict[str, List[int]] = {}
        modules = []
        for n, run in enumerate(runs):
            for file in run.files:
                directory = file.path.rpartition("/")[0]
                found = directories.setdefault(directory, [])
                if not found or found[-1] != n:
                    found.append(n)
                if directory == SITE_PACKAGES:
                    modules.append((file.path, n))
        return cls(parts, blobs, _needs_of(image), directories, modules)

    @classmethod
    def load(cls, data: bytes) -> Plan:
        """Return the plan that ``dump`` wrote."""
        return cls(*marshal.loads(data))  # noqa: S302 - ours alone, as the marker of a tree is

    def dump(self) -> bytes:
        """Return the plan as bytes for the same interpreter."""
        return marshal.dumps((self.parts, self.blobs, self.needs, self.directories, self.modules))

    def layers_for(self, path: str, part: int) -> Iterable[int]:
        """Return the layer of *part*, which holds *path*, and those that the native libraries beside it may need."""
        return (self.parts[part][0], *self.needs.get(top_level_of(path), ()))

    def parts_of(self, layers: Iterable[int]) -> FrozenSet[int]:
        """Return all parts of *layers*."""
        return frozenset(part for layer in layers for part in self.layers.get(layer, ()))


def _needs_of(image: Image) -> Dict[str, List[int]]:
    """Map each name of a distribution with native libraries to the layers of those that it requires, if native, too.

    Markers are not evaluated: a requirement too many costs time, one too few the exactness. Extras are how some say
    where the libraries are that they load.
    """
    index = image.tree
    places = [{top_level_of(file.path) for file in layer.files if _is_native(file.path)} for layer in index.layers]
    of_name = {_folded(item.name): item for item in index.distributions}
    native = {name for name, item in of_name.items() if places[item.layer - 1] & {*item.top_level, ""}}
    required = {
        name: {_folded(match.group()) for match in map(_NAME.match, item.requires) if match} & of_name.keys()
        for name, item in of_name.items()
    }
    needs: Dict[str, Set[int]] = {}
    for name in native:
        seen = {name}
        todo = [name]
        while todo:
            more = required[todo.pop()] - seen
            seen |= more
            todo += more
        layers = {of_name[other].layer for other in seen & native} - {of_name[name].layer}
        for top_level in of_name[name].top_level:
            needs.setdefault(top_level, set()).update(layers)
    return {top_level: sorted(layers) for top_level, layers in needs.items() if layers}


def _is_native(path: str) -> bool:
    return (".so" in path and (path.endswith(".so") or ".so." in path.rpartition("/")[2])) or path.endswith(".dylib")


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
