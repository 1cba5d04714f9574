"""Pins → layers: which wheels share a layer, and what each layer holds.

* The plan is a pure function of the pins: a big wheel has a layer of its own, small ones are grouped by the hash of
  their names. Changing one pin changes one layer.
* A layer is a pure function of its wheels and the settings, and is cached under the hash of these.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import zstandard

from bundler.layers.layer_files import LayerContents
from bundler.layers.packing import BuiltLayer, Packed, Packer
from bundler.runtime.documents import MAX_DOCUMENT, MAX_FRAME, MAX_LAYERS, Descriptor, Fields, parse_json, to_json
from bundler.runtime.errors import BundleError, ContentError
from bundler.runtime.indexes import ALLOWED, Allowance, Distribution, Layer
from bundler.version import __version__
from bundler.wheels.allowances import Allowances
from bundler.wheels.entry_points import scripts_of
from bundler.wheels.requires_dist import check_requires_dist
from bundler.wheels.wheel_reader import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from bundler.caching.build_cache import Cache
    from bundler.layers.bytecode import Compiler
    from bundler.layers.packing import Shared
    from bundler.locks import Pin
    from bundler.runtime.targets import Target

LAYER_FORMAT = 6  # another number whenever the same wheels give other bytes or facts: layers are cached
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
        ahead: int,
        warn: Callable[[str], None],
        shared: Shared | None = None,
    ) -> None:
        """Compress in *executor*, with at most *ahead* frames of each layer under way.

        *shared* may know what others have compressed.
        """
        self._shared = shared
        self._cache = cache
        self._target = target
        self._compiler = compiler
        self._settings = settings
        self._executor = executor
        self._ahead = ahead
        self._warn = warn
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let the layers that are being built fail soon: another one has, or the user wants no more."""
        self._stopped.set()

    def cached(self, plan: LayerPlan) -> BuiltLayer | None:
        """Return the layer of *plan* if it is in the cache."""
        directory = self._cache.layer(self._key(plan))
        layer = None if directory is None else _read_built(plan.name, directory, cached=True)
        if layer is None or any(
            item.why == ALLOWED and item.sha256 not in self._settings.allow for item in layer.allowances
        ):
            return None  # what was allowed then has to be allowed now
        return layer

    def share(self, plan: LayerPlan, layer: BuiltLayer) -> None:
        """Let others have *layer*, which was in the cache."""
        if self._shared is not None and not self._stopped.is_set():
            self._shared.give(self._key(plan), layer)

    def build(self, plan: LayerPlan, wheels: Mapping[Pin, Path]) -> BuiltLayer:
        """Build the layer of *plan* from the wheel files in *wheels*, and put it into the cache."""
        try:
            built = self._build(plan, wheels, self._shared) or self._build(plan, wheels, None)
        except OSError as error:
            where = error.filename or f"{self._cache.root}: layers"
            hint = "free some space, or name another cache with --cache-dir"
            raise BundleError(where, f"cannot be written: {error.strerror}", hint=hint) from error
        if built is None:
            raise BundleError(plan.name, "cannot be read back from the cache", hint="bundle cache clear")
        self.share(plan, built)
        return built

    def _build(self, plan: LayerPlan, wheels: Mapping[Pin, Path], shared: Shared | None) -> BuiltLayer | None:
        """Build the layer; None if *shared* has given other bytes: then nothing of that is to be in the bundle."""
        with ExitStack() as stack:
            allowances = Allowances(self._settings.allow)
            opened = [
                stack.enter_context(Wheel.open(wheels[pin], pin, warn=self._warn, allowances=allowances))
                for pin in plan.pins
            ]
            for wheel in opened:
                check_requires_dist(wheel, self._target)
            new = stack.enter_context(self._cache.new_layer(self._key(plan)))
            given = shared.take(self._key(plan), new.path / "given", _most(plan)) if shared else None
            with (new.path / "blob").open("xb") as blob:
                packer = Packer(
                    blob,
                    level=self._settings.level,
                    frame_size=self._settings.frame_size,
                    executor=self._executor,
                    ahead=self._ahead,
                    given=given,
                )
                content = LayerContents(opened, self._settings.exclude, self._compiler, self._stopped)
                content.check(self._target, allowances)
                content.pack(packer)
                packed = packer.finish()
            if shared and given and not packer.taken == len(packed.descriptor.frames) == len(given.frames):
                shared.refused(plan.name)
                return None
            (new.path / "given").unlink(missing_ok=True)
            (new.path / "layer.json").write_bytes(to_json(_to_json(packed, content, allowances)))
            built = _read_built(plan.name, new.publish(), cached=False)
        return None if built is None else replace(built, given=given is not None)

    def _key(self, plan: LayerPlan) -> str:
        return layer_key(plan, self._target, self._compiler, self._settings)


def _most(plan: LayerPlan) -> int:
    """Return more bytes than any layer of *plan* has."""
    return 4 * plan.size + (1 << 20)


def _to_json(packed: Packed, content: LayerContents, allowances: Allowances) -> dict[str, Any]:
    owners = content.owners_of(packed)
    sizes = [
        sum(file.size for file, owner in zip(packed.files, owners, strict=True) if owner == n)
        for n in range(len(content.wheels))
    ]
    return {
        "descriptor": packed.descriptor.to_json(),
        "crc": packed.crc,
        "tar": Layer(packed.diff_id, packed.size, packed.files).to_json(),
        "owners": owners,
        "distributions": [
            Distribution(
                name=wheel.name,
                version=str(wheel.version),
                wheel=wheel.filename,
                sha256=wheel.sha256,
                layer=0,
                size=sizes[n],
                requires=wheel.requires,
            )._asdict()
            for n, wheel in enumerate(content.wheels)
        ],
        "allowances": [item._asdict() for item in allowances.used],
        "console_scripts": {
            name: value
            for wheel in content.wheels
            for name, value in scripts_of(wheel.entry_points).items()
            if f"bin/{name}" in content.paths
        },
    }


def _read_built(name: str, directory: Path, *, cached: bool) -> BuiltLayer | None:
    """Read a layer from the cache; None if it is not what was written there."""
    where = str(directory / "layer.json")
    try:
        data = (directory / "layer.json").read_bytes()
        fields = Fields(parse_json(data, where, limit=MAX_LAYERS * MAX_DOCUMENT), where)
        descriptor = Descriptor.from_fields(Fields(fields.value.get("descriptor"), fields.at("descriptor")))
        tar = Layer.from_fields(Fields(fields.value.get("tar"), fields.at("tar")))
        if (directory / "blob").stat().st_size != descriptor.size:
            return None
        return BuiltLayer(
            name=name,
            packed=Packed(
                descriptor=descriptor, crc=fields.get("crc", int), diff_id=tar.diff_id, size=tar.size, files=tar.files
            ),
            owners=tuple(fields.get("owners", list)),
            distributions=tuple(Distribution.from_fields(item) for item in fields.items("distributions")),
            console_scripts=fields.get("console_scripts", dict),
            allowances=tuple(Allowance.from_fields(item) for item in fields.items("allowances")),
            blob=directory / "blob",
            cached=cached,
        )
    except (OSError, ContentError):
        return None
