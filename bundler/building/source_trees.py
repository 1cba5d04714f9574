"""A source distribution → a directory with its files, and what its pyproject.toml says of building it.

* Archives are opened with Python's ``data`` filter: no member leaves the directory, none is a device, no mode bit
  beyond the plain ones; files and bytes are bounded.
* A project without ``[build-system]`` is a legacy one: setuptools runs its ``setup.py`` (PEP 517).
"""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.archives.portable_paths import fault_of_name
from bundler.runtime.errors import BundleError, ContentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILES = 200_000
MAX_BYTES = 4 << 30
LEGACY_BACKEND = "setuptools.build_meta:__legacy__"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSystem:
    """What builds a source: *requires* is None where it does not say, as legacy projects do not."""

    requires: tuple[str, ...] | None
    backend: str
    backend_path: tuple[str, ...]


def unpack(archive: Path, filename: str, out: Path) -> Path:
    """Unpack the source distribution *archive*, called *filename*, into *out*; return its top directory."""
    out.mkdir()
    try:
        if filename.endswith(".zip"):
            _unpack_zip(archive, filename, out)
        else:
            _unpack_tar(archive, filename, out)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError) as error:
        raise ContentError(filename, f"is no source distribution that can be opened: {error}", rule="A7") from None
    tops = [path for path in out.iterdir() if path.is_dir()]
    if len(tops) != 1:
        raise ContentError(filename, "has not one top directory", got=len(tops), want="NAME-VERSION/", rule="A2")
    return tops[0]


def _unpack_tar(archive: Path, filename: str, out: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(out, members=_bounded(tar, filename), filter="data")


def _bounded(tar: tarfile.TarFile, filename: str) -> Iterator[tarfile.TarInfo]:
    size = 0
    for number, member in enumerate(tar, 1):
        size += member.size
        _check_bounds(filename, number, size)
        yield member


def _unpack_zip(archive: Path, filename: str, out: Path) -> None:
    size = 0
    with zipfile.ZipFile(archive) as opened:
        for number, info in enumerate(opened.infolist(), 1):
            size += info.file_size
            _check_bounds(filename, number, size)
            if fault := fault_of_name(info.filename.rstrip("/")):
                raise ContentError(f"{filename}: {info.filename}", fault[1], rule=fault[0])
            opened.extract(info, out)


def _check_bounds(filename: str, number: int, size: int) -> None:
    if number > MAX_FILES or size > MAX_BYTES:
        what = "unpacks to more than a source distribution may"
        raise ContentError(filename, what, got=f"{number} files, {size} bytes", rule="A6")


def read_build_system(tree: Path, where: str) -> BuildSystem:
    """Return what builds the project in *tree*."""
    path = tree / "pyproject.toml"
    if not path.is_file():
        if not (tree / "setup.py").is_file() and not (tree / "setup.cfg").is_file():
            raise BundleError(where, "has neither pyproject.toml nor setup.py: it is no Python project")
        return BuildSystem(requires=None, backend=LEGACY_BACKEND, backend_path=())
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{where}: pyproject.toml", f"cannot be read: {error}") from None
    table = document.get("build-system")
    if not isinstance(table, dict):
        return BuildSystem(requires=None, backend=LEGACY_BACKEND, backend_path=())
    requires: Any = table.get("requires")
    paths: Any = table.get("backend-path", [])
    lists = isinstance(requires, list) and isinstance(paths, list)
    if not lists or not all(isinstance(text, str) for text in [*requires, *paths]):
        raise BundleError(f"{where}: pyproject.toml", "has a [build-system] without a list of requires")
    backend = str(table.get("build-backend", LEGACY_BACKEND))
    return BuildSystem(requires=tuple(requires), backend=backend, backend_path=tuple(paths))
