"""Pins → layers: which wheels share a layer, and what each layer holds.

* The plan is a pure function of the pins: a big wheel has a layer of its own, small ones are grouped by the hash of
  their names. Changing one pin changes one layer.
* The order in a layer: files by path, then the ``.pyc``, then each RECORD, which lists the others.
* A layer is a pure function of its wheels and the settings, and is cached under the hash of these.
"""

from __future__ import annotations

import fnmatch
import hashlib
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from posixpath import splitext
from typing import TYPE_CHECKING, Any

import zstandard
from packaging.requirements import InvalidRequirement, Requirement

from bundler.allowances import Allowances
from bundler.entry_points import scripts_of
from bundler.install import chunks_of, files_of
from bundler.packing import BuiltLayer, Packed, Packer
from bundler.paths import folded
from bundler.records import record_text
from bundler.runtime.documents import MAX_DOCUMENT, MAX_FRAME, MAX_LAYERS, Descriptor, Fields, parse_json, to_json
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.runtime.indexes import ALLOWED, Allowance, Distribution, Layer, directories_of
from bundler.startup_code import added_directories, check_startup_code
from bundler.targets import UNKNOWN_MARKERS, depends_on_the_unknown
from bundler.version import __version__
from bundler.wheels import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from bundler.bytecode import Compiler
    from bundler.caches import Cache
    from bundler.install import TreeFile
    from bundler.locks import Pin
    from bundler.packing import Shared
    from bundler.runtime.targets import Target

LAYER_FORMAT = 3
BIG_WHEEL = 1 << 20
GROUPS = 8
MAX_SOURCE = 16 << 20
MAX_REQUIREMENT = 16 << 10
BATCH = 64  # sources compiled together; the bytes of the .pyc depend on it


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
    """Group *pins*, whose sizes are known, into at most 99 layers."""
    most = MAX_LAYERS - 1 - GROUPS
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
                check_requirements(wheel, self._target)
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
                content = _Content(opened, self._settings.exclude, self._compiler, self._stopped)
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


def check_requirements(wheel: Wheel, target: Target) -> None:
    """Refuse a wheel that needs another one or not, according to what nobody knows before the bundle boots."""
    for line in wheel.requires:
        try:
            requirement = Requirement(line) if len(line) <= MAX_REQUIREMENT else None
        except InvalidRequirement:
            continue  # uv has understood it, or has left it out
        except RecursionError:
            requirement = None
        if requirement is None:
            what = "has a requirement that is too long or too deep"
            raise ContentError(wheel.filename, what, got=f"{line[:80]}…", rule="A2")
        marker = requirement.marker
        if marker is not None and depends_on_the_unknown(marker, target):
            raise UsageError(
                f"{wheel.name} {wheel.version}",
                f"has a requirement that depends on {' or '.join(UNKNOWN_MARKERS)}, which nobody knows before boot",
                got=line,
                hint="choose another version of it, or make a wheel of it that says what it needs",
            )


class _Content:
    """What the wheels of one layer install, on its way into the layer."""

    def __init__(
        self, wheels: Sequence[Wheel], exclude: Sequence[str], compiler: Compiler | None, stopped: threading.Event
    ) -> None:
        self.wheels = wheels
        self._exclude = exclude
        self._stopped = stopped
        self._compiler = compiler
        self._owners: dict[str, int] = {}
        self._rows: list[list[tuple[str, str, int]]] = [[] for _ in wheels]
        self._batches: list[list[tuple[str, bytes]]] = [[] for _ in wheels]
        self._bytecode: list[tuple[int, list[str], Future[list[bytes]]]] = []
        # What is alike lies together, within reach of the compressor's window.
        self._files = sorted(self._unique(), key=lambda item: (splitext(item[1].path)[1], item[1].path))
        self._compiled = {path for _, file in self._files if (path := self._pyc_of(file)) is not None}

    def _unique(self) -> Iterator[tuple[int, TreeFile]]:
        """Yield each file with the number of its wheel; of equal files of two wheels the first (rule A14)."""
        first: dict[str, tuple[int, TreeFile]] = {}
        for number, wheel in enumerate(self.wheels):
            for file in files_of(wheel, exclude=self._exclude):
                owner, other = first.setdefault(folded(file.path), (number, file))
                if other is file:
                    self._owners[file.path] = number
                    yield number, file
                elif (other.path, other.sha256) != (file.path, file.sha256):
                    raise conflict(file.path, self._label(owner), self._label(number))
                else:
                    self._rows[number].append((file.path, file.sha256, file.size))

    def _label(self, number: int) -> str:
        return f"{self.wheels[number].name} {self.wheels[number].version}"

    def _pyc_of(self, file: TreeFile) -> str | None:
        if self._compiler is None or not file.path.endswith(".py") or not file.path.startswith("site-packages/"):
            return None
        path = self._compiler.pyc_path(file.path)
        excluded = any(fnmatch.fnmatchcase(path, glob) for glob in self._exclude)
        return path if 0 < file.size <= MAX_SOURCE and not excluded else None

    def check(self, target: Target, allowances: Allowances) -> None:
        """Refuse startup code that is neither known nor allowed (rule A12)."""
        added: set[str] = set()
        for number, file in self._files:
            added |= added_directories(file, chunks_of(self.wheels[number], file))
        for number, file in self._files:
            wheel = self.wheels[number]
            chunks = chunks_of(wheel, file)
            check_startup_code(wheel.filename, file, chunks, target=target, allowances=allowances, added=added)

    def pack(self, packer: Packer) -> None:
        """Put everything into *packer*."""
        records = [f"site-packages/{wheel.dist_info}/RECORD" for wheel in self.wheels]
        paths = [*(file.path for _, file in self._files), *self._compiled, *records]
        packer.add_directories(directories_of(paths))
        for number, file in self._files:
            if self._stopped.is_set():
                raise BundleError("layer", "was not finished: another step has failed")
            self._add(packer, number, file)
        for path, number, data in sorted(self._compiled_files()):
            self._add_bytes(packer, number, path, data)
        for number, path in sorted(enumerate(records), key=lambda item: item[1]):
            self._owners[path] = number
            data = record_text(self._rows[number], self.wheels[number].dist_info)
            self._add_bytes(packer, number, path, data)

    def _add(self, packer: Packer, number: int, file: TreeFile) -> None:
        chunks = chunks_of(self.wheels[number], file)
        pyc = self._pyc_of(file)
        if pyc is not None and self._compiler is not None:
            source = b"".join(chunks)
            self._batches[number].append((file.path, source))
            if len(self._batches[number]) == BATCH:
                self._submit(number)
            chunks = (source,)
        self._rows[number].append((file.path, file.sha256, file.size))
        packer.add(file.path, size=file.size, sha256=file.sha256, executable=file.executable, chunks=chunks)

    def _submit(self, number: int) -> None:
        """Compile what has gathered of the wheel *number*."""
        batch, self._batches[number] = self._batches[number], []
        if batch and self._compiler is not None:
            paths = [self._compiler.pyc_path(path) for path, _ in batch]
            self._bytecode.append((number, paths, self._compiler.submit(batch)))

    def _compiled_files(self) -> Iterator[tuple[str, int, bytes]]:
        for number in range(len(self.wheels)):
            self._submit(number)
        for number, paths, future in self._bytecode:
            yield from ((path, number, data) for path, data in zip(paths, future.result(), strict=True) if data)

    def _add_bytes(self, packer: Packer, number: int, path: str, data: bytes) -> None:
        sha256 = hashlib.sha256(data).hexdigest()
        self._owners[path] = number
        self._rows[number].append((path, sha256, len(data)))
        packer.add(path, size=len(data), sha256=sha256, executable=False, chunks=(data,))

    @property
    def paths(self) -> Container[str]:
        """The paths of all files."""
        return self._owners.keys()

    def owners_of(self, packed: Packed) -> list[int]:
        """Return the number of the wheel of each file of *packed*."""
        return [self._owners[file.path] for file in packed.files]


def conflict(path: str, first: str, second: str) -> ContentError:
    """Return the error for one path with different bytes from two distributions (rule A14)."""
    return ContentError(
        path,
        "comes from two wheels with different contents",
        got=f"{first} and {second}",
        hint=f"if neither needs it, leave it out with --exclude '{path}'",
        rule="A14",
    )


def _to_json(packed: Packed, content: _Content, allowances: Allowances) -> dict[str, Any]:
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
                wheel.name, str(wheel.version), wheel.filename, wheel.sha256, 0, sizes[n], wheel.requires
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
