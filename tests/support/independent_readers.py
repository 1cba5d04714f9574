"""Programs that read the same formats as we do, and know nothing of us."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = {
    "unzip": "unzip",
    "7z": "p7zip-full",
    "bsdtar": "libarchive-tools",
    "zstd": "zstd",
    "tar": "tar",
    "gzip": "gzip",
}


def run(tool: str, *arguments: object, stdin: bytes | None = None, good: tuple[int, ...] = (0,)) -> bytes:
    """Run *tool* and return what it writes; fail the test if it is missing, or fails."""
    if shutil.which(tool) is None:
        pytest.fail(f"{tool} is missing; apt-get install {PACKAGES[tool]}")
    command = [tool, *map(str, arguments)]
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, env=environ)
    assert done.returncode in good, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def files_below(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def by_zipfile(path: Path, _: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def by_unzip(path: Path, out: Path) -> dict[str, bytes]:
    run("unzip", "-q", "-o", path, "-d", out, good=(0, 1))  # 1: a warning, of an empty zip for example
    return files_below(out)


def by_7z(path: Path, out: Path) -> dict[str, bytes]:
    run("7z", "x", "-y", "-tzip", f"-o{out}", path)
    return files_below(out)


def by_bsdtar(path: Path, out: Path) -> dict[str, bytes]:
    run("bsdtar", "-x", "-f", path, "-C", out)
    return files_below(out)


ZIP_READERS = {"zipfile": by_zipfile, "unzip": by_unzip, "7z": by_7z, "bsdtar": by_bsdtar}
