"""Options that several commands share, and what becomes of them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.building.builder import BuildPolicy
from bundler.caching.build_cache import Cache
from bundler.fetching.index_options import STRATEGIES, index_options
from bundler.layers.layer_plans import Settings
from bundler.options import Options
from bundler.resolving.baseline.bundled_baselines import baseline_at, bundled_baseline
from bundler.resolving.lines.requirement_files import read_requirement_files
from bundler.runtime.errors import UsageError
from bundler.targets import DEFAULT_TARGET, PRESETS, find_target
from bundler.wheels.allowances import parse_allowed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bundler.fetching.index_options import IndexOptions
    from bundler.resolving.baseline.baselines import Baseline
    from bundler.runtime.targets import Target

BASELINE = "its pip freeze or pip inspect, its interpreter, or the name of a preset"


def add_requirements(parser: argparse.ArgumentParser) -> None:
    """Add what is asked for."""
    parser.add_argument("requirements", metavar="REQ", nargs="*", help="a requirement, such as 'pandas==1.3.5'")
    parser.add_argument(
        "-r",
        "--requirement",
        metavar="FILE",
        action="append",
        default=[],
        type=Path,
        help="a requirements file, a pyproject.toml, a lock of another tool, or conda's environment.yml",
    )
    parser.add_argument(
        "-c", "--constraint", metavar="FILE", action="append", default=[], type=Path, help="a constraints file"
    )
    parser.add_argument(
        "--extra", metavar="NAME", action="append", default=[], help="an extra of the project or lock that -r names"
    )
    parser.add_argument(
        "--group", metavar="NAME", action="append", default=[], help="a dependency group of it, such as dev"
    )
    parser.add_argument("--pre", action="store_true", help="take pre-releases too")
    parser.add_argument(
        "--venv",
        metavar="PATH",
        type=Path,
        help="what is installed in this virtual environment, or directory of pip --target: its versions",
    )
    parser.add_argument("--as-is", action="store_true", help="with --venv: its files, after comparing each with RECORD")


def add_drop(parser: argparse._ActionsContainer) -> None:
    """Add what is left out of what was resolved."""
    parser.add_argument(
        "--drop",
        metavar="NAME",
        action="append",
        default=[],
        help="leave out the package NAME, whoever requires it, as where another brings the same modules",
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add what it is for."""
    group = parser.add_argument_group("target")
    group.add_argument(
        "--target", metavar="NAME|FILE", help=f"{', '.join(PRESETS)} or a JSON file (default: {DEFAULT_TARGET})"
    )
    group.add_argument("--python", metavar="X.Y.Z", help="the target's complete Python version")
    group.add_argument("--platform", metavar="TAG", help="the target's platform, such as manylinux_2_28_x86_64")


def add_indexes(parser: argparse.ArgumentParser) -> None:
    """Add where wheels come from."""
    group = parser.add_argument_group("package index", "Where these are silent, the configuration of pip holds.")
    group.add_argument("-i", "--index-url", metavar="URL", help="the package index")
    group.add_argument("--extra-index-url", metavar="URL", action="append", default=[], help="one more index")
    group.add_argument(
        "--index-for",
        metavar="NAME=URL",
        action="append",
        default=[],
        help="the index that the project NAME comes from, and from no other place, whoever requires it",
    )
    group.add_argument(
        "--index-strategy",
        choices=STRATEGIES,
        default="best",
        help="where several indexes have a project: the best version of all (best, as pip; the default), or only "
        "what the first of them has: the extra ones in their order, then the index (first, as uv)",
    )
    group.add_argument(
        "-f", "--find-links", metavar="PATH|URL", action="append", default=[], help="a place with wheels"
    )
    group.add_argument("--no-index", action="store_true", help="use --find-links only")
    group.add_argument("--offline", action="store_true", help="use only what is cached")


def add_build(parser: argparse.ArgumentParser) -> None:
    """Add what may be built from source."""
    group = parser.add_argument_group("sources", "What has no wheel is built, in a sandbox without network or HOME.")
    group.add_argument(
        "--build",
        metavar="auto|never|NAME",
        action="append",
        default=[],
        help="what may be built: all that has no fitting wheel (auto, the default), nothing, or only these projects",
    )
    group.add_argument(
        "--build-requires",
        metavar="NAME:REQ",
        action="append",
        default=[],
        help="install REQ too where the project NAME is built, such as fbprophet:numpy",
    )
    group.add_argument(
        "--prefer-wheels", action="store_true", help="take an older version with a wheel rather than build a newer one"
    )


def build_policy(options: argparse.Namespace) -> BuildPolicy | None:
    """Return what may be built; None if nothing may."""
    words = set(options.build)
    if len(words) > 1 and words & {"auto", "never"}:
        raise UsageError("--build", "says two things", got=", ".join(options.build), want="auto, never or names")
    if words == {"never"}:
        return None
    extra: dict[str, tuple[str, ...]] = {}
    for text in options.build_requires:
        name, colon, requirement = text.partition(":")
        if not colon or not name or not requirement.strip():
            raise UsageError("--build-requires", "is not understood", got=text, want="NAME:REQ")
        key = canonicalize_name(name)
        extra[key] = (*extra.get(key, ()), requirement.strip())
    names = None if words <= {"auto"} else frozenset(map(canonicalize_name, options.build))
    return BuildPolicy(names=names, extra_requires=extra)


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """Add what the image has, for a command that resolves."""
    group = parser.add_argument_group("image", "A bundle on PYTHONPATH overrides what the image has.")
    group.add_argument("--baseline", metavar="FREEZE", help=f"resolve so that nothing of the image breaks: {BASELINE}")
    group.add_argument(
        "--skip-provided",
        action="store_true",
        help="leave out what the image has in just that version; without --baseline, by the preset's own list",
    )


def baseline_of(options: argparse.Namespace, target: Target) -> Baseline | None:
    """Return the baseline that *options* name; ``--skip-provided`` alone means that of the preset that *target* is."""
    if options.baseline is not None:
        return baseline_at(options.baseline)
    if not options.skip_provided:
        return None
    bundled = bundled_baseline(target)
    if bundled is None:
        what = "needs a --baseline: only what the images of the presets have is known"
        raise UsageError("--skip-provided", what, got=target, hint=f"name what the image has: {BASELINE}")
    return bundled.baseline


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add where things are kept between runs."""
    parser.add_argument("--cache-dir", metavar="DIR", type=Path, help="the builder's cache (default: BUNDLE_CACHE_DIR)")


def cache_of(options: argparse.Namespace) -> Cache:
    """Return the cache that *options* ask for."""
    return Cache(options.cache_dir.absolute()) if options.cache_dir else Cache.default(os.environ)


def indexes_of(options: argparse.Namespace) -> Callable[[], IndexOptions]:
    """Return what asks once for how to reach package indexes, of which requirement files may say a part."""

    def ask() -> IndexOptions:
        asked = index_options(
            index_url=options.index_url,
            extra_index_urls=options.extra_index_url,
            find_links=options.find_links,
            no_index=options.no_index,
            index_for=options.index_for,
            strategy=options.index_strategy,
        )
        files = getattr(options, "requirement", [])
        return read_requirement_files(files, getattr(options, "constraint", [])).options.on_top_of(asked)

    return cache(ask)


def create_options(options: argparse.Namespace) -> Options:
    """Return how to create, from the options of ``lock`` or ``create``."""
    settings = Settings()
    if hasattr(options, "level"):
        settings = Settings(level=options.level, exclude=tuple(options.exclude), allow=parse_allowed(options.allow))
    return Options(
        target=find_target(options.target, options.python, options.platform),
        indexes=indexes_of(options),
        cache=cache_of(options),
        compile=getattr(options, "compile", "never"),
        target_python=getattr(options, "target_python", None),
        settings=settings,
        jobs=getattr(options, "jobs", 0),
        offline=options.offline,
        serial=getattr(options, "serial", 0),
        build=build_policy(options),
        prereleases=options.pre,
        prefer_wheels=options.prefer_wheels,
    )
