"""Pins → layers: which wheels share a layer, and the bytes of each layer.

* The plan is a pure function of the pins: a big wheel has a layer of its own, small ones are grouped by the hash of
  their names. Changing one pin changes one layer.
* A layer is a tar (see ``tars``): files by path, then the ``.pyc``, then each RECORD. It is compressed frame by frame
  with one set of parameters, in parallel, with a bounded number of frames in memory.
* A layer is a pure function of its wheels and the settings, and is cached under the hash of these.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from bundler.install import chunks_of, files_of, record_text
from bundler.runtime.documents import MAX_LAYERS, ZSTD_LAYER_TYPE, Descriptor, File, Frame, to_json
from bundler.runtime.errors import ContentError
from bundler.runtime.indexes import Distribution, directories_of
from bundler.tars import FrameWriter, tar_header
from bundler.wheels import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from bundler.bytecode import Compiler
    from bundler.caches import Cache
    from bundler.install import TreeFile
    from bundler.locks import Pin
    from bundler.runtime.targets import Target

LAYER_FORMAT = 1
BIG_WHEEL = 1 << 20
GROUPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the bytes of a layer depend on besides its wheels. *frame_size* is in bytes."""

    level: int = 9
    frame_size: int = 8 << 20
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    """The pins of one layer, by name."""

    name: str
    pins: tuple[Pin, ...]

    @property
    def size(self) -> int:
        """Bytes of the wheels."""
        return sum(pin.size or 0 for pin in self.pins)


def plan_layers(pins: Sequence[Pin]) -> tuple[LayerPlan, ...]:
    """Group *pins*, whose sizes are known, into at most 99 layers."""
    most = MAX_LAYERS - 1 - GROUPS
    big = sorted((pin for pin in pins if (pin.size or 0) >= BIG_WHEEL), key=lambda pin: (-(pin.size or 0), pin.name))[:most]
    plans = [LayerPlan(name=pin.name, pins=(pin,)) for pin in sorted(big, key=lambda pin: pin.name)]
    for group in range(GROUPS):
        members = (pin for pin in pins if pin not in big and hashlib.sha256(pin.name.encode()).digest()[0] % GROUPS == group)
        if found := tuple(sorted(members, key=lambda pin: pin.name)):
            plans.append(LayerPlan(name=f"small-{group}", pins=found))
    return tuple(plans)


def layer_key(plan: LayerPlan, target: Target, compiler: Compiler | None, settings: Settings) -> str:
    """Return the name, 64 hex digits, under which the layer of *plan* is cached."""
    parts = {
        "format": LAYER_FORMAT,
        "wheels": [[pin.name, pin.filename, pin.sha256] for pin in plan.pins],
        "abi": target.abi,
        "bytecode": compiler.version if compiler else None,
        "zstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
        "level": settings.level,
        "frame_size": settings.frame_size,
        "exclude": sorted(settings.exclude),
    }
    return hashlib.sha256(to_json(parts)).hexdigest()


class LayerBuilder:
    """Builds layers, several at once if it is called from several threads."""

    def __init__(
        self,
        *,
        cache: Cache,
        target: Target,
        compiler: Compiler | None,
        settings: Settings,
        executor: Executor,
        jobs: int,
        warn: Callable[[str], None],
    ) -> None:
        """Compress in *executor*, with at most *jobs* frames under way for each layer."""
        self._cache = cache
        self._target = target
        self._compiler = compiler
        self._settings = settings
        self._executor = executor
        self._jobs = jobs
        self._warn = warn

    def cached(self, plan: LayerPlan) -> BuiltLayer | None:
        """Return the layer of *plan* if it is in the cache."""
        entry = self._cache.entry("layers", layer_key(plan, self._target, self._compiler, self._settings))
        return read_built(plan.name, entry, cached=True)

    def build(self, plan: LayerPlan, wheels: Mapping[Pin, Path]) -> BuiltLayer:
        """Build the layer of *plan* from the wheel files in *wheels*, and put it into the cache."""
        key = layer_key(plan, self._target, self._compiler, self._settings)
        opened: list[Wheel] = []
        try:
            for pin in plan.pins:
                opened.append(Wheel.open(wheels[pin], pin, warn=self._warn))  # noqa: PERF401 - closed one by one
            with self._cache.publishing_directory("layers", key) as directory:
                with (directory / "blob").open("xb") as blob:
                    record = _LayerWriter(self, blob).write(plan, opened)
                (directory / "layer.json").write_bytes(to_json(record))
        finally:
            for wheel in opened:
                wheel.close()
        built = read_built(plan.name, self._cache.entry("layers", key), cached=False)
        assert built is not None  # noqa: S101 - it was just written
        return built
