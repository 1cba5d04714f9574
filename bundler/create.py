"""Requirements → a bundle: joins the stages.

resolve → fetch → install and pack, layer by layer → describe → carry. Fetching and packing overlap: a layer is packed
as soon as its wheels are there. Layers that are in the cache need no wheels at all.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from bundler.bytecode import find_compiler
from bundler.caches import Cache
from bundler.carriers import Format, check_output, write_carrier
from bundler.decoders import decoder_for
from bundler.fetch import fetch
from bundler.images import assemble
from bundler.indexes import IndexOptions
from bundler.layers import BuiltLayer, LayerBuilder, LayerPlan, Settings, plan_layers
from bundler.locks import Lock, Pin
from bundler.reporters import Reporter
from bundler.resolve import resolve
from bundler.runtime.errors import UsageError
from bundler.runtime.frames import processors
from bundler.runtime.indexes import DECODER_PATH, LOCK_PATH
from bundler.targets import needed_libc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bundler.bytecode import Compiler
    from bundler.runtime.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to create: everything but what and where to. *jobs* 0 means one for each processor."""

    target: Target
    indexes: IndexOptions = field(default_factory=IndexOptions)
    cache: Cache
    compile: str = "auto"
    target_python: Path | None = None
    settings: Settings = field(default_factory=Settings)
    jobs: int = 0
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle that was created. Sizes are in bytes, *seconds* by stage."""

    path: Path
    form: Format
    size: int
    digest: str
    tree_digest: str
    lock: Lock
    bytecode: str | None
    tree_size: int
    files: int
    layers: tuple[BuiltLayer, ...]
    seconds: Mapping[str, float]


def lock(
    requirements: Sequence[str] = (),
    *,
    requirement_files: Sequence[Path] = (),
    constraint_files: Sequence[Path] = (),
    options: Options,
    reporter: Reporter | None = None,
) -> Lock:
    """Resolve *requirements* and *requirement_files* for the target of *options*."""
    with options.cache.in_use():
        return resolve(
            requirements,
            requirement_files=requirement_files,
            constraint_files=constraint_files,
            target=options.target,
            indexes=options.indexes,
            cache_dir=options.cache.root / "uv",
            offline=options.offline,
            reporter=reporter or Reporter(),
        )


def create(
    locked: Lock,
    out: Path,
    *,
    form: Format = "pyz",
    options: Options,
    force: bool = False,
    reporter: Reporter | None = None,
) -> Bundle:
    """Create the bundle of *locked* at *out*.

    Raise a ``BundleError`` if anything is wrong; *out* then is what it was before, and nothing is left behind.
    """
    if locked.target != options.target:
        raise UsageError("lock", "was made for another target", got=locked.target, want=options.target)
    reporter = reporter or Reporter()
    check_output(out, form=form, force=force)
    jobs = options.jobs or processors()
    clock = _Clock()
    compiler = find_compiler(
        options.target, mode=options.compile, python=options.target_python, jobs=jobs, environ=os.environ
    )
    with options.cache.in_use():
        decoder = decoder_for(
            options.target, cache=options.cache, indexes=options.indexes, offline=options.offline
        )
        clock.lap("prepare")
        layers = _build_layers(locked.pins, compiler, options, jobs, reporter)
        clock.lap("layers")
        documents = {LOCK_PATH: locked.to_embedded_toml().encode()}
        if decoder is not None:
            documents[DECODER_PATH] = decoder
        image = assemble(
            layers,
            target=options.target,
            libc_version=needed_libc(options.target, [pin.filename for pin in locked.pins]),
            bytecode=compiler.version if compiler else None,
            documents=documents,
        )
        size = write_carrier(image, out, form=form, force=force, decode=decode, jobs=jobs)
        clock.lap("carrier")
    return Bundle(
        path=out,
        form=form,
        size=size,
        digest=image.digest,
        tree_digest=image.tree_digest,
        lock=locked,
        bytecode=image.index.bytecode,
        tree_size=sum(file.size for file in image.index.files),
        files=len(image.index.files) + 1,
        layers=layers,
        seconds=clock.laps,
    )


def decode(data: bytes, raw: int) -> bytes:
    """Decode a zstd frame with the builder's own library."""
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def _build_layers(
    pins: Sequence[Pin], compiler: Compiler | None, options: Options, jobs: int, reporter: Reporter
) -> tuple[BuiltLayer, ...]:
    """Return the layers of *pins*, in the order of their plan."""
    wheels: dict[Pin, Path] = {}

    def arrive(wanted: Sequence[Pin]) -> Iterator[Pin]:
        for pin, path in fetch(
            wanted, cache=options.cache, indexes=options.indexes, jobs=jobs, offline=options.offline, reporter=reporter
        ):
            wheels[pin] = path
            yield pin

    # A plan needs sizes, and a lock may lack them.
    for pin in list(arrive([pin for pin in pins if pin.size is None])):
        path = wheels.pop(pin)
        wheels[replace(pin, size=path.stat().st_size)] = path
    known = {pin.sha256: pin for pin in wheels}
    plans = plan_layers([known.get(pin.sha256, pin) for pin in pins])
    reporter.packing(len(plans), sum(plan.size for plan in plans))
    with (
        ThreadPoolExecutor(jobs, "compress") as compress,
        ThreadPoolExecutor(jobs, "pack") as pack,
        compiler or nullcontext(),
    ):
        builder = LayerBuilder(
            cache=options.cache,
            target=options.target,
            compiler=compiler,
            settings=options.settings,
            executor=compress,
            ahead=jobs + 1,
            warn=reporter.warning,
        )
        built: dict[str, BuiltLayer] = {}
        for plan in plans:
            if layer := builder.cached(plan):
                built[plan.name] = layer
                reporter.packed(plan.name, plan.size, cached=True)
        waiting = [plan for plan in plans if plan.name not in built]
        wanted = [pin for plan in waiting for pin in plan.pins if pin not in wheels]
        futures: dict[Future[BuiltLayer], LayerPlan] = {}

        def start_what_is_complete() -> None:
            for plan in [plan for plan in waiting if all(pin in wheels for pin in plan.pins)]:
                waiting.remove(plan)
                futures[pack.submit(builder.build, plan, wheels)] = plan

        try:
            start_what_is_complete()
            for _ in arrive(wanted):
                start_what_is_complete()
                _raise_first(futures)
            for future in as_completed(futures):
                built[futures[future].name] = future.result()
                reporter.packed(futures[future].name, futures[future].size, cached=False)
        except BaseException:
            builder.stop()
            pack.shutdown(wait=True, cancel_futures=True)
            raise
    return tuple(built[plan.name] for plan in plans)


def _raise_first(futures: Iterable[Future[BuiltLayer]]) -> None:
    """Let an error of packing end the downloads."""
    for future in futures:
        if future.done():
            future.result()
