"""Pins → the plan of their layers: which wheels share a layer, and the name under which each is cached.

* The plan is a pure function of the pins: a big wheel has a layer of its own, small ones are grouped by the hash of
  their names. Changing one pin changes one layer.
* A layer is a pure function of its wheels and the settings, and is cached under the hash of these.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

from bundler.runtime.documents import MAX_FRAME, MAX_LAYERS, to_json
from bundler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.layers.bytecode import Compiler
    from bundler.pins import Pin
    from bundler.runtime.targets import Target

LAYER_FORMAT = 9  # change it whenever the same wheels give other layers: cached ones are then not used
BIG_WHEEL = 1 << 20
GROUPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the bytes of a layer depend on besides its wheels. *frame_size* is in bytes.

    *allow* holds the sha256s of the files and wheels that may break a rule; no byte depends on it.
    """

    level: int = 9
    frame_size: int = MAX_FRAME
    exclude: tuple[str, ...] = ()
    allow: frozenset[str] = frozenset()


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
    """Group *pins*, whose sizes are known, into at most 98 layers."""
    most = MAX_LAYERS - 2 - GROUPS
    big = sorted((pin for pin in pins if (pin.size or 0) >= BIG_WHEEL), key=lambda pin: (-(pin.size or 0), pin.name))[
        :most
    ]
    plans = [LayerPlan(name=pin.name, pins=(pin,)) for pin in sorted(big, key=lambda pin: pin.name)]
    for group in range(GROUPS):
        members = (
            pin for pin in pins if pin not in big and hashlib.sha256(pin.name.encode()).digest()[0] % GROUPS == group
        )
        if found := tuple(sorted(members, key=lambda pin: pin.name)):
            plans.append(LayerPlan(name=f"small-{group}", pins=found))
    return tuple(plans)


def layer_key(plan: LayerPlan, target: Target, compiler: Compiler | None, settings: Settings) -> str:
    """Return the name, 64 hex digits, under which the layer of *plan* is cached."""
    parts = {
        "bundler": [__version__, LAYER_FORMAT],
        "wheels": [[pin.name, pin.filename, pin.sha256] for pin in plan.pins],
        "abi": target.abi,
        "bytecode": compiler.version if compiler else None,
        "zstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
        "level": settings.level,
        "frame_size": settings.frame_size,
        "exclude": sorted(settings.exclude),
    }
    return hashlib.sha256(to_json(parts)).hexdigest()
