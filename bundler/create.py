"""Requirements → a bundle: joins the stages.

resolve → fetch → install and pack, layer by layer → describe → carry. Fetching and packing overlap: a layer is packed
as soon as its wheels are there. Layers that are in the cache need no wheels at all.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import IndexOptions
from bundler.images.carriers import Format, check_output, write_carrier
from bundler.images.launch import launch_files
from bundler.images.oci_image import assemble
from bundler.images.zstd_decoders import decoder_for
from bundler.layers.bytecode import find_compiler
from bundler.layers.conflicts import check_twins
from bundler.layers.layer_builder import LayerBuilder
from bundler.layers.layer_plans import plan_layers
from bundler.layers.packing import decode
from bundler.reporters import Reporter
from bundler.resolving.baseline_constraints import BaselineConstraints
from bundler.resolving.baseline_requirements import complete_requirements
from bundler.resolving.image_overlaps import ImageOverlaps
from bundler.resolving.resolver import resolve
from bundler.runtime.errors import UsageError
from bundler.runtime.frames import processors
from bundler.runtime.indexes import DECODER_PATH, LOCK_PATH
from bundler.source_builders import build_missing, builder_for, layer_cache_of, share_built
from bundler.targets import needed_libc
from bundler.wheels.empty_projects import empty_projects
from bundler.wheels.requirers import missed

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from bundler.layers.bytecode import Compiler
    from bundler.layers.layer_plans import LayerPlan
    from bundler.layers.packing import BuiltLayer
    from bundler.locks import Lock
    from bundler.options import Options
    from bundler.pins import Pin
    from bundler.resolving.baseline.baselines import Baseline
    from bundler.resolving.baseline.bundled_baselines import BundledBaseline


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
    baseline: Baseline | None = None,
    skip_provided: bool = False,
    image: BundledBaseline | None = None,
    drop: Sequence[str] = (),
    dependencies: bool = True,
) -> Lock:
    """Resolve *requirements* and *requirement_files* for the target of *options*; with what they need, or without.

    With a *baseline*, so that the bundle breaks nothing of that image; *skip_provided* leaves to it what it has.
    Without one, the reporter hears what the *image* has already, if that is known.
    The packages *drop* are left out of what was resolved, whoever requires them.
    """
    baseline_constraints = None
    if baseline is not None:
        baseline.check_target(options.target)
        baseline_constraints = BaselineConstraints(
            baseline=baseline,
            complete=partial(
                complete_requirements,
                target=options.target,
                indexes=options.indexes,
                cache=options.cache,
                offline=options.offline,
            ),
            leave_out=skip_provided,
            wheels=options.cache.root / "uv" / "metadata-only",
        )
    image_overlaps = None
    if baseline is None and image is not None:
        image_overlaps = ImageOverlaps(image=image, dropped=frozenset(map(canonicalize_name, drop)))
    with options.cache.in_use():
        return resolve(
            requirements,
            requirement_files=requirement_files,
            constraint_files=constraint_files,
            target=options.target,
            indexes=options.indexes(),
            cache_dir=options.cache.root / "uv",
            offline=options.offline,
            reporter=reporter or Reporter(),
            baseline_constraints=baseline_constraints,
            image_overlaps=image_overlaps,
            builder=builder_for(options, reporter or Reporter()),
            prereleases=options.prereleases,
            prefer_wheels=options.prefer_wheels,
            dependencies=dependencies,
        ).without(drop)


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
    check_twins(locked.pins, exclude=options.settings.exclude)
    jobs = options.jobs or processors()
    clock = _Clock()
    compiler = find_compiler(
        options.target, mode=options.compile, python=options.target_python, jobs=jobs, environ=os.environ
    )
    with options.cache.in_use(), compiler or nullcontext():
        decoder = decoder_for(options.target, cache=options.cache, indexes=options.indexes, offline=options.offline)
        clock.lap("prepare")
        layers = _Layers(options, compiler, jobs, reporter).make(locked.pins)
        share_built(locked.pins, options, reporter)
        clock.lap("layers")
        documents = {LOCK_PATH: locked.to_embedded_toml().encode()}
        if decoder is not None:
            documents[DECODER_PATH] = decoder
        documents.update(launch_files(compiler))
        image = assemble(
            layers,
            target=options.target,
            libc_version=needed_libc(options.target, [pin.filename for pin in locked.pins]),
            bytecode=compiler.version if compiler else None,
            documents=documents,
            sources={str(pin.name): pin.made_of for pin in locked.pins},
            serial=options.serial,
        )
        requires = {f"{item.name} {item.version}": item.requires for item in image.tree.distributions}
        names = [str(pin.name) for pin in locked.pins] + [str(item.name) for item in locked.provided]
        for warning in (*missed(locked.dropped, requires, locked.target), *empty_projects(names)):
            reporter.warning(warning)
        size = write_carrier(image, out, form=form, force=force, decode=decode, jobs=jobs)
        clock.lap("carrier")
    return Bundle(
        path=out,
        form=form,
        size=size,
        digest=image.digest,
        tree_digest=image.tree_digest,
        lock=locked,
        bytecode=image.tree.bytecode,
        tree_size=sum(file.size for file in image.tree.files),
        files=len(image.tree.files) + 1,
        layers=layers,
        seconds=clock.laps,
    )


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


class _Layers:
    """The layers of a lock being made: those in the cache, and those whose wheels are arriving."""

    def __init__(self, options: Options, compiler: Compiler | None, jobs: int, reporter: Reporter) -> None:
        self._options = options
        self._compiler = compiler
        self._jobs = jobs
        self._reporter = reporter
        self._wheels: dict[Pin, Path] = {}
        self._built: dict[str, BuiltLayer] = {}
        self._waiting: list[LayerPlan] = []
        self._futures: dict[Future[BuiltLayer], LayerPlan] = {}

    def make(self, pins: Sequence[Pin]) -> tuple[BuiltLayer, ...]:
        """Return the layers of *pins*, in the order of their plan."""
        plans = plan_layers(self._with_sizes(pins))
        self._reporter.packing(len(plans), sum(plan.size for plan in plans))
        with (
            ThreadPoolExecutor(self._jobs, "compress") as compress,
            ThreadPoolExecutor(self._jobs, "pack") as pack,
        ):
            builder = self._new_builder(compress)
            self._take_cached(builder, plans)
            sharing = [
                pack.submit(builder.share, plan, self._built[plan.name]) for plan in plans if plan.name in self._built
            ]
            try:
                self._build(builder, pack)
                for future in as_completed(sharing):
                    future.result()
            except BaseException:
                builder.stop()
                pack.shutdown(wait=True, cancel_futures=True)
                raise
        return tuple(self._built[plan.name] for plan in plans)

    def _arrivals(self, wanted: Sequence[Pin]) -> Generator[tuple[Pin, Path]]:
        if not wanted:
            return
        build_missing(wanted, self._options, self._reporter)
        # What is cached needs no index; fetch looks again, and hashes it.
        cached = all(self._options.cache.wheel(pin.sha256).is_file() for pin in wanted)
        yield from fetch(
            wanted,
            cache=self._options.cache,
            indexes=IndexOptions() if cached else self._options.indexes(),
            jobs=self._jobs,
            offline=self._options.offline,
            reporter=self._reporter,
        )

    def _with_sizes(self, pins: Sequence[Pin]) -> list[Pin]:
        """Return *pins* with their sizes, which a plan needs and a lock may lack."""
        known = {}
        for pin, path in self._arrivals([pin for pin in pins if pin.size is None]):
            known[pin] = replace(pin, size=path.stat().st_size)
            self._wheels[known[pin]] = path
        return [known.get(pin, pin) for pin in pins]

    def _new_builder(self, compress: Executor) -> LayerBuilder:
        return LayerBuilder(
            cache=self._options.cache,
            target=self._options.target,
            compiler=self._compiler,
            settings=self._options.settings,
            executor=compress,
            ahead=self._jobs + 1,
            warn=self._reporter.warning,
            layer_cache=layer_cache_of(self._options, self._reporter),
        )

    def _take_cached(self, builder: LayerBuilder, plans: Sequence[LayerPlan]) -> None:
        for plan in plans:
            if layer := builder.cached(plan):
                self._built[plan.name] = layer
                self._reporter.packed(plan.name, plan.size, cached=True)
            else:
                self._waiting.append(plan)

    def _build(self, builder: LayerBuilder, pack: Executor) -> None:
        """Build each layer as soon as its wheels are there."""
        wanted = [pin for plan in self._waiting for pin in plan.pins if pin not in self._wheels]
        self._start_complete(builder, pack)
        with closing(self._arrivals(wanted)) as arrivals:
            for pin, path in arrivals:
                self._wheels[pin] = path
                self._start_complete(builder, pack)
                for future in self._futures:
                    if future.done():
                        future.result()  # an error of packing ends the downloads
        for future in as_completed(self._futures):
            plan = self._futures[future]
            self._built[plan.name] = future.result()
            self._reporter.packed(plan.name, plan.size, cached=False)

    def _start_complete(self, builder: LayerBuilder, pack: Executor) -> None:
        complete = [plan for plan in self._waiting if all(pin in self._wheels for pin in plan.pins)]
        for plan in sorted(complete, key=lambda plan: -plan.size):  # the largest first: it takes longest
            self._waiting.remove(plan)
            self._futures[pack.submit(builder.build, plan, self._wheels)] = plan
