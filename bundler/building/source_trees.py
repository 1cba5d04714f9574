"""A source distribution → a directory with its files, and what its pyproject.toml says of building it.

* No member of an archive leaves its directory, by its name, by a link or behind one; none is a device; modes are 0644
  or 0755; files and bytes are bounded.
* A project without ``[build-system]`` is a legacy one: setuptools runs its ``setup.py`` (PEP 517).
"""

from __future__ import annotations

import shutil
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from bundler.archives.portable_paths import fault_of_name
from bundler.runtime.errors import BundleError, ContentError

if TYPE_CHECKING:
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
    if any((out / name).is_file() for name in ("pyproject.toml", "setup.py")):
        return out  # uWSGI's has no directory at its top; pip takes that too
    tops = [path for path in out.iterdir() if path.is_dir()]
    if len(tops) != 1:
        raise ContentError(filename, "has not one top directory", got=len(tops), want="NAME-VERSION/", rule="A2")
    return tops[0]


def _unpack_tar(archive: Path, filename: str, out: Path) -> None:
    """Unpack without tarfile's filters: Python 3.11.2, which Debian 12 has, knows none."""
    size = 0
    with tarfile.open(archive) as tar:
        for number, member in enumerate(tar, 1):
            size += member.size
            _check_bounds(filename, number, size)
            at = f"{filename}: {member.name}"
            place = _inside(out, PurePosixPath(member.name), at)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                _link(place, member.linkname, out, at)
            elif member.islnk():
                shutil.copyfile(_inside(out, PurePosixPath(member.linkname), at), place, follow_symlinks=False)
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101 - for mypy: it is a file
                with content, place.open("xb") as file:
                    shutil.copyfileobj(content, file)
                place.chmod(0o755 if member.mode & 0o111 else 0o644)
            else:
                raise ContentError(at, "is a device or another special file", rule="A8")


def _inside(out: Path, name: PurePosixPath, at: str) -> Path:
    """Return where *name* lies in *out*; raise ``ContentError`` if that is not inside, or behind a symlink."""
    if name.is_absolute() or ".." in name.parts:
        raise ContentError(at, "leads out of the archive", rule="A7")
    place = out.joinpath(*name.parts)
    if any(parent.is_symlink() for parent in place.parents if parent.is_relative_to(out)):
        raise ContentError(at, "lies behind a symlink", rule="A8")
    return place


def _link(place: Path, target: str, out: Path, at: str) -> None:
    """Make a symlink to *target*, which climbs first and then descends, and stays in *out*."""
    parts = PurePosixPath(target).parts
    climbs = len(parts) - len([part for part in parts if part != ".."])
    depth = len(place.relative_to(out).parts) - 1
    if target.startswith("/") or ".." in parts[climbs:] or climbs >= depth:
        raise ContentError(at, "is a symlink that leads out of the archive", got=target, rule="A8")
    place.symlink_to(target)


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
