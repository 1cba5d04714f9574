"""A plan and the wheels of its layer → the layer, built once and kept in the cache.

* A cached layer is used only if everything that it needed an allowance for is still allowed.
* A layer from a shared layer cache is used only if it decodes to exactly our bytes.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bundler.layers.layer_files import LayerContents
from bundler.layers.layer_plans import LayerPlan, Settings, layer_key
from bundler.layers.packing import BuiltLayer, Packed, Packer
from bundler.runtime.documents import MAX_DOCUMENT, MAX_LAYERS, Descriptor, Fields, parse_json, to_json
from bundler.runtime.errors import BundleError, ContentError
from bundler.runtime.indexes import ALLOWED, Allowance, Distribution, Layer
from bundler.wheels.allowances import Allowances
from bundler.wheels.entry_points import scripts_of
from bundler.wheels.requires_dist import check_requires_dist
from bundler.wheels.wheel_reader import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from bundler.caching.build_cache import Cache
    from bundler.layers.bytecode import Compiler
    from bundler.layers.packing import LayerCache
    from bundler.pins import Pin
    from bundler.runtime.targets import Target


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
        layer_cache: LayerCache | None = None,
    ) -> None:
        """Compress in *executor*, with at most *ahead* frames of each layer under way.

        *layer_cache* may have layers that others have compressed.
        """
        self._layer_cache = layer_cache
        self._cache = cache
        self._target = target
        self._compiler = compiler
        self._settings = settings
        self._executor = executor
        self._ahead = ahead
        self._warn = warn
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Cancel the layers that are being built: another one has failed, or the user has interrupted."""
        self._stopped.set()

    def cached(self, plan: LayerPlan) -> BuiltLayer | None:
        """Return the layer of *plan* if it is in the cache."""
        directory = self._cache.layer(self._key(plan))
        layer = None if directory is None else _read_built(plan.name, directory, cached=True)
        if layer is None or any(
            item.why == ALLOWED and item.sha256 not in self._settings.allow for item in layer.allowances
        ):
            return None  # what was allowed then must still be allowed
        return layer

    def share(self, plan: LayerPlan, layer: BuiltLayer) -> None:
        """Give *layer*, which is in the cache, to the shared layer cache."""
        if self._layer_cache is not None and not self._stopped.is_set():
            self._layer_cache.give(self._key(plan), layer)

    def build(self, plan: LayerPlan, wheels: Mapping[Pin, Path]) -> BuiltLayer:
        """Build the layer of *plan* from the wheel files in *wheels*, and put it into the cache."""
        try:
            built = self._build(plan, wheels, self._layer_cache) or self._build(plan, wheels, None)
        except OSError as error:
            where = error.filename or f"{self._cache.root}: layers"
            hint = "free some space, or name another cache with --cache-dir"
            raise BundleError(where, f"cannot be written: {error.strerror}", hint=hint) from error
        if built is None:
            raise BundleError(plan.name, "cannot be read back from the cache", hint="bundle cache clear")
        self.share(plan, built)
        return built

    def _build(self, plan: LayerPlan, wheels: Mapping[Pin, Path], layer_cache: LayerCache | None) -> BuiltLayer | None:
        """Build the layer; None if *layer_cache* has other bytes for it, which then must not get into the bundle."""
        with ExitStack() as stack:
            allowances = Allowances(self._settings.allow)
            opened = [
                stack.enter_context(Wheel.open(wheels[pin], pin, warn=self._warn, allowances=allowances))
                for pin in plan.pins
            ]
            for wheel in opened:
                check_requires_dist(wheel, self._target)
            new = stack.enter_context(self._cache.new_layer(self._key(plan)))
            frames = layer_cache.take(self._key(plan), new.path / "given", _largest_size(plan)) if layer_cache else None
            with (new.path / "blob").open("xb") as blob:
                packer = Packer(
                    blob,
                    level=self._settings.level,
                    frame_size=self._settings.frame_size,
                    executor=self._executor,
                    ahead=self._ahead,
                    cached_frames=frames,
                )
                content = LayerContents(
                    opened,
                    self._settings.exclude,
                    self._compiler,
                    self._stopped,
                    target=self._target,
                    warn=self._warn,
                )
                content.check(allowances)
                content.pack(packer)
                packed = packer.finish()
            if layer_cache and frames and not packer.taken == len(packed.descriptor.frames) == len(frames.frames):
                layer_cache.refused(plan.name)
                return None
            (new.path / "given").unlink(missing_ok=True)
            (new.path / "layer.json").write_bytes(to_json(_to_json(packed, content, allowances)))
            built = _read_built(plan.name, new.publish(), cached=False)
        return None if built is None else replace(built, from_layer_cache=frames is not None)

    def _key(self, plan: LayerPlan) -> str:
        return layer_key(plan, self._target, self._compiler, self._settings)


def _largest_size(plan: LayerPlan) -> int:
    """Return an upper bound of the bytes of the layer of *plan*."""
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
