"""Requirements + target → lock: reads, expands, asks uv, enforces hashes, builds what has no wheel.

* uv ignores hashes in requirement files; they are enforced here (``requirement_lines``).
* What has no solution is explained (``diagnosis``).
* Nothing but the arguments decides: other interpreters of this host change nothing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.locks import TOOL, Lock, applicable, select_pins
from bundler.resolving.baseline_constraints import BlockedByBaseline
from bundler.resolving.diagnosis import diagnose, plain_error
from bundler.resolving.exact_target import compile_fitting, without_wheel
from bundler.resolving.indexes.offered_twice import offered_twice
from bundler.resolving.indexes.weak_hashes import with_sha256
from bundler.resolving.lines.expansion import Expansion
from bundler.resolving.lines.requirement_files import Line, read_requirement_files
from bundler.resolving.lines.requirement_lines import HashDemands, parse_lines
from bundler.resolving.preferring_wheels import compile_preferring_wheels
from bundler.resolving.sources import Sources, SourcesQuery
from bundler.resolving.uv.unsolved import Unsolved
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from packaging.pylock import Package, Pylock

    from bundler.building.builder import Builder
    from bundler.fetching.index_options import IndexOptions
    from bundler.pins import Pin, Provided
    from bundler.reporters import Reporter
    from bundler.resolving.baseline_constraints import AddedInput, BaselineConstraints
    from bundler.resolving.image_overlaps import ImageOverlaps
    from bundler.resolving.lines.requirement_files import FileOptions
    from bundler.runtime.targets import Target

_REQUIREMENTS = Path("requirements")


def resolve(
    requirements: Sequence[str],
    *,
    requirement_files: Sequence[Path] = (),
    constraint_files: Sequence[Path] = (),
    target: Target,
    indexes: IndexOptions,
    cache_dir: Path,
    offline: bool = False,
    reporter: Reporter,
    baseline_constraints: BaselineConstraints | None = None,
    image_overlaps: ImageOverlaps | None = None,
    builder: Builder | None = None,
    prereleases: bool = False,
    prefer_wheels: bool = False,
    dependencies: bool = True,
) -> Lock:
    """Resolve *requirements* and *requirement_files* under *constraint_files* for *target*.

    With *baseline_constraints*, the result gets on with an image, or leaves to it what it has; *image_overlaps* tells
    what an image has of it. *builder* makes wheels of what has none; without it, only versions with a wheel are chosen.
    *prereleases*: they are as good as other versions; *prefer_wheels*: an older version with a wheel is better than a
    source. Without *dependencies*, nothing is added to what was asked for.

    Raise ``UsageError`` if nothing was asked for, ``ContentError`` if a hash differs, and ``BundleError`` otherwise.
    """
    files = read_requirement_files(requirement_files, constraint_files)
    options = files.options
    _check_options(options, builder, reporter)
    indexes = options.on_top_of(indexes)
    cache_dir = cache_dir.absolute()
    with _expansion(builder, indexes, cache_dir) as expansion:
        given = [Line(where="requirement", text=text.strip()) for text in requirements]
        lines = parse_lines(expansion.lines([*given, *files.lines]))
        constraints = parse_lines(expansion.lines(files.constraints))
        for note in expansion.notes:
            reporter.warning(note)
        for commit in expansion.commits:
            reporter.note(commit)
        if not lines:
            raise UsageError("requirements", "nothing was asked for", hint="name a requirement, or a file with -r FILE")
        demands = HashDemands.of((*lines, *constraints), options.require_hashes, target)
        reporter.resolving(len(requirements) + len(requirement_files))
        sources = None if builder is None else Sources(builder, demands.enforced, indexes, offline=offline)
        query = SourcesQuery(
            requirements=tuple(line.text for line in lines),
            constraints=tuple(line.text for line in constraints),
            target=target,
            indexes=indexes,
            cache_dir=cache_dir,
            offline=offline,
            options=(
                *(("--prerelease", "allow") if prereleases or options.prereleases else ()),
                *(() if dependencies else ("--no-deps",)),
                *options.formats,
            ),
            sources=sources,
            known=None if sources is None else sources.known,
        )
        ask: Callable[[SourcesQuery], Pylock] = compile_fitting
        if sources is not None and (prefer_wheels or options.prefer_wheels):
            ask = partial(compile_preferring_wheels, warn=reporter.warning)
        provided: tuple[Provided, ...] = ()
        try:
            if baseline_constraints is None:
                pylock = ask(query)
            else:
                pylock, provided = baseline_constraints.solve(
                    demands.lines, target, lambda added: ask(_with_added(query, added)), reporter.warning
                )
        except BlockedByBaseline as unsolved:
            raise unsolved.error(plain_error(unsolved, query)) from None
        except Unsolved as unsolved:
            raise diagnose(unsolved, query, lines) from None
        lock = Lock(target=target, pins=_pins(pylock, demands, query, expansion.built, reporter), provided=provided)
    reporter.resolved(lock)
    if image_overlaps is not None:
        image_overlaps.tell(lock, demands.lines, reporter)
    return lock


def _check_options(options: FileOptions, builder: Builder | None, reporter: Reporter) -> None:
    """Refuse what the options of files ask for in vain, and name what changes nothing."""
    if options.no_binary is not None and builder is None:
        what = "asks for sources, and nothing may be built"
        raise UsageError(options.no_binary, what, hint="remove the line, or leave --build never away")
    if options.ignored:
        reporter.warning(f"options in files that change nothing here: {', '.join(options.ignored)}")


@contextlib.contextmanager
def _expansion(builder: Builder | None, indexes: IndexOptions, cache_dir: Path) -> Iterator[Expansion]:
    """Give what expands lines, with a directory for the wheels of projects that lasts as long as the block."""
    directory = cache_dir / f"projects-{secrets.token_hex(8)}"
    try:
        yield Expansion(builder=builder, indexes=indexes, environ=os.environ, directory=directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _with_added(query: SourcesQuery, added: AddedInput) -> SourcesQuery:
    """Return *query* with what a baseline adds to it."""
    indexes = query.indexes
    if added.find_links is not None:
        indexes = replace(indexes, find_links=(*indexes.find_links, str(added.find_links)))
    return replace(
        query,
        requirements=(*query.requirements, *added.requirements),
        constraints=(*query.constraints, *added.constraints),
        preferences=added.preferences,
        indexes=indexes,
    )


def _pins(
    pylock: Pylock,
    demands: HashDemands,
    query: SourcesQuery,
    built: dict[Path, Pin],
    reporter: Reporter,
) -> tuple[Pin, ...]:
    """Return the pins of *pylock*, the answer to *query*; *built* are projects' wheels, by path."""
    sources = query.sources
    packages = with_sha256(
        pylock.packages,
        target=demands.target,
        indexes=query.indexes,
        environ=os.environ,
        offline=query.offline,
        warn=reporter.warning,
    )
    packages = [demands.enforced(package) for package in packages]
    to_build = [] if sources is None else without_wheel(packages, demands.target)
    chosen = [package for package in packages if package not in to_build]
    pins = list(map(_with_local_size, select_pins(replace(pylock, packages=chosen), _REQUIREMENTS, demands.target)))
    pins = [built.get(pin.path, pin) if pin.path is not None else pin for pin in pins]
    if sources is not None:
        pins += sources.pins(to_build)
        taken = {pin.name: pin.version for pin in pins}
        for name, version, reason in sources.passed_over:
            other = taken.get(name, "another version")
            reporter.warning(f"{name} {version} is passed over for {other}: it has no wheel that fits, and {reason}")
    for at, read_as in sources.read_as.items() if sources is not None else ():
        said = ", ".join(f"{text} as {valid}" for text, valid in read_as.items())
        reporter.warning(f"{at} requires what has no valid version; read, as pip once did: {said}")
    for text in _yanked(applicable(packages, demands.target)):
        reporter.warning(text)
    for text in () if query.offline else offered_twice(pins, query.indexes, os.environ):
        reporter.warning(text)
    return tuple(sorted(pins, key=lambda pin: pin.name))


def _yanked(packages: Iterable[Package]) -> Iterator[str]:
    """Yield a warning for each of *packages* that its maintainers have taken back."""
    for package in packages:
        reason = (package.tool or {}).get(TOOL, {}).get("yanked")
        if reason is not None:
            yield f"{package.name} {package.version} was yanked: {reason or 'its maintainers give no reason'}"


def _with_local_size(pin: Pin) -> Pin:
    if pin.path is None or pin.size is not None or not pin.path.is_file():
        return pin
    return replace(pin, size=pin.path.stat().st_size)
