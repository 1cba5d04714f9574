"""A query → what uv answers: one run of ``uv pip compile``.

* Nothing but the query decides: uv's own configuration and other interpreters of this host change nothing.
* uv runs no code of a package: where nothing is *known* only wheels are chosen; else sources may be, and where one does
  not say its metadata uv stops and names it (``no_build_python``).
* What was yanked, and is taken since it is pinned, is noted at its package.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from bundler.locks import TOOL, parse_pylock
from bundler.resolving.uv.no_build_python import no_build_python
from bundler.resolving.uv.own_indexes import compile_from_own_indexes
from bundler.resolving.uv.unsolved import yanked
from bundler.resolving.uv.uv_command import index_arguments, run_uv, uv_environment, write_index_file, write_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.pylock import PackageArchive, PackageSdist, PackageWheel, Pylock
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.fetching.index_options import IndexOptions
    from bundler.runtime.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a resolver needs to know of one version: its Requires-Dist, extras and Requires-Python."""

    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    requires_python: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What uv is asked, apart from the platform. *known* is what is known of sources; None: no source is chosen."""

    requirements: tuple[str, ...]
    target: Target
    indexes: IndexOptions
    cache_dir: Path
    offline: bool
    options: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    known: Mapping[tuple[NormalizedName, str], Metadata] | None = None
    preferences: Mapping[NormalizedName, Version] = field(default_factory=dict)


def compile_once(query: Query, platform: str | None, excluded: Sequence[str]) -> Pylock:
    """Run uv once, for *platform* or for all of them; raise ``Unsolved`` with what it says.

    Where the query names indexes for single projects, more than once (``own_indexes``).
    """
    if not query.indexes.index_for:
        return _compile(query, platform, excluded)
    return compile_from_own_indexes(
        query.indexes.index_for,
        lambda anchors: _compile(query, platform, excluded, anchors),
        lambda anchors, pylock: _annotated(query, platform, excluded, anchors, pylock),
    )


def _compile(query: Query, platform: str | None, excluded: Sequence[str], anchors: str = "") -> Pylock:
    with tempfile.TemporaryDirectory(prefix="bundle-resolve-") as directory:
        scratch = Path(directory).resolve()
        output = scratch / "pylock.toml"
        _write_preferences(query.preferences, output)
        said = _run(query, platform, excluded, anchors, output)
        pylock = parse_pylock(output.read_text(encoding="utf-8"), Path("uv"))
        return _with_absolute_paths(pylock, scratch, yanked(said))


def _annotated(query: Query, platform: str | None, excluded: Sequence[str], anchors: str, pylock: Pylock) -> str:
    """Return *pylock* as lines that say who requires what."""
    with tempfile.TemporaryDirectory(prefix="bundle-resolve-") as directory:
        output = Path(directory).resolve() / "output.txt"
        # uv stays with the versions that are there.
        write_lines(output, [f"{package.name}=={package.version}" for package in pylock.packages if package.version])
        _run(query, platform, excluded, anchors, output, ("--annotation-style", "line"))
        return output.read_text(encoding="utf-8")


def _run(
    query: Query,
    platform: str | None,
    excluded: Sequence[str],
    anchors: str,
    output: Path,
    options: Sequence[str] = (),
) -> str:
    """Let uv write *output*, and return what it says; *anchors* is a ``pyproject.toml`` that is one more source."""
    scratch = output.parent
    sources = write_index_file(query.indexes, scratch)
    sources += write_lines(scratch / "requirements.txt", query.requirements)
    sources += write_lines(scratch / "pyproject.toml", anchors.splitlines())
    constraints = write_lines(scratch / "constraints.txt", [*query.constraints, *excluded])
    command = [
        *("pip", "compile", "--no-header", "--no-python-downloads", "--color", "never"),
        *("--format", "pylock.toml" if output.suffix == ".toml" else "requirements.txt", *options),
        *_source_arguments(query, scratch),
        *("--python-version", query.target.python),
        *(("--python-platform", platform) if platform else ("--universal",)),
        *("--cache-dir", str(query.cache_dir), "--output-file", str(output)),
        *(argument for path in constraints for argument in ("--constraints", path)),
        *index_arguments(query.indexes, os.environ),
        *(("--offline",) if query.offline else ()),
        *(*query.options, "--", *sources),
    ]
    return run_uv(command, uv_environment(query.indexes, os.environ))


def _source_arguments(query: Query, scratch: Path) -> list[str]:
    """Return the options that say whether sources may be chosen, and what is known of them."""
    if query.known is None:
        python = ["--python", sys.executable] if sys.executable else []
        return ["--no-config", "--only-binary", ":all:", *python]
    tables: list[dict[str, Any]] = []
    for (name, version), metadata in query.known.items():
        table = {"name": name, "version": version, "requires-dist": list(metadata.requires)}
        table |= {"provides-extra": list(metadata.extras)} if metadata.extras else {}
        table |= {"requires-python": metadata.requires_python} if metadata.requires_python else {}
        tables.append(table)
    config = scratch / "uv.toml"
    config.write_text(tomli_w.dumps({"dependency-metadata": tables} if tables else {}), encoding="utf-8")
    return ["--config-file", str(config), "--no-build-isolation", "--python", str(no_build_python(query.cache_dir))]


def _write_preferences(versions: Mapping[NormalizedName, Version], path: Path) -> None:
    """Let uv choose *versions* where it can: it stays with those of the output that is there already."""
    if versions:
        packages = [{"name": name, "version": str(version)} for name, version in versions.items()]
        path.write_text(tomli_w.dumps({"lock-version": "1.0", "created-by": "bundler", "packages": packages}))


def _with_absolute_paths(pylock: Pylock, scratch: Path, yanks: Mapping[tuple[NormalizedName, str], str]) -> Pylock:
    """Make relative paths absolute, hash local wheels that uv has not hashed, and note what of *yanks* is chosen."""
    packages = []
    for package in pylock.packages:
        wheels = [replace(wheel, **_absolute_fields(wheel, scratch)) for wheel in package.wheels or ()]
        archive = package.archive and replace(package.archive, **_absolute_fields(package.archive, scratch))
        sdist = package.sdist and replace(package.sdist, **_absolute_fields(package.sdist, scratch))
        reason = yanks.get((package.name, str(package.version)))
        tool = None if reason is None else {TOOL: {"yanked": reason}}
        packages.append(replace(package, wheels=wheels or None, archive=archive, sdist=sdist, tool=tool))
    return replace(pylock, packages=packages)


def _absolute_fields(wheel: PackageWheel | PackageArchive | PackageSdist, scratch: Path) -> dict[str, Any]:
    """Return the fields of *wheel* that change because it is a local one."""
    if wheel.path is None:
        return {}
    path = Path(os.path.normpath(scratch / wheel.path))
    hashes = dict(wheel.hashes)
    if "sha256" not in hashes:
        with path.open("rb") as file:
            hashes["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "hashes": hashes}
