"""Compiled modules and shared objects below a directory → for which Python, machine and glibc they are.

* A module's file name tells its Python (``….cpython-37m-x86_64-linux-gnu.so``); ``.abi3.so`` fits any.
* An ELF file tells the machine and, in the versions of the symbols it needs, the oldest glibc that will do.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.azureml.doctoring.findings import Finding, some
from bundler.shared_objects import SharedObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.azureml.doctoring.deployments import Deployment

_SHARED = re.compile(r".*\.(?:so(?:\.[0-9.]+)?|pyd|dylib)", re.ASCII)
_MODULE = re.compile(r"(?P<stem>.*?)\.(?:cpython-(?P<python>3[0-9]+)[a-z]*-(?P<platform>[\w-]+)\.so|.*\.pyd)", re.ASCII)


def check_binaries(path: Path, deployment: Deployment) -> Iterator[Finding]:
    """Find the compiled modules below *path* that do not load on the target."""
    files = list(_shared_objects(path))
    shown = deployment.shown(path)
    wrong = _for_another_python(files, deployment)
    if wrong:
        yield Finding(
            name="modules-for-another-python",
            severity="fails",
            path=shown,
            what=f"has {len(wrong)} compiled modules that Python "
            + "{}.{} does not load, such as {}".format(*deployment.target.python_minor, wrong[0]),
            why="a compiled module works with the Python and the system in its name, and no other",
            type=deployment.bundle_instead,
            files=tuple(wrong),
        )
    objects = {file: read for file in files if file not in wrong and (read := SharedObject.read(path / file))}
    target = deployment.target
    foreign = [file for file, item in objects.items() if item.machine != target.arch]
    if target.libc != "glibc":
        foreign += [file for file, item in objects.items() if item.glibc and file not in foreign]
    if foreign:
        first = objects[foreign[0]]
        yield Finding(
            name="modules-for-another-system",
            severity="fails",
            path=shown,
            what=f"has {len(foreign)} shared objects for {first.machine}{' with glibc' if first.glibc else ''}, "
            f"such as {foreign[0]}",
            why=f"the container is {target.arch} with {target.libc}; they do not load there",
            type=deployment.bundle_instead,
            files=tuple(foreign),
        )
    has = _numbers(target.libc_version)
    newer = [file for file, item in objects.items() if item.glibc and item.glibc > has and file not in foreign]
    if newer:
        needed = ".".join(map(str, max(item.glibc for file in newer if (item := objects[file]).glibc)))
        yield Finding(
            name="newer-glibc",
            severity="fails",
            path=shown,
            what=f"has {len(newer)} shared objects that need glibc up to {needed}: {some(newer)}",
            why=f"the container has glibc {target.libc_version}: version `GLIBC_{needed}' not found",
            type=deployment.bundle_instead,
            files=tuple(newer),
        )


def _shared_objects(path: Path) -> Iterator[str]:
    """Yield the shared objects below *path*, relative to it, by name."""
    for directory, subdirectories, names in os.walk(path):
        subdirectories.sort()
        for name in sorted(names):
            if _SHARED.fullmatch(name):
                yield Path(directory, name).relative_to(path).as_posix()


def _for_another_python(files: list[str], deployment: Deployment) -> list[str]:
    """Return those of *files* that are modules for another Python or system and have no twin that is right."""
    wanted = "{}{}".format(*deployment.target.python_minor)
    modules: dict[str, dict[str, bool]] = {}
    for file in files:
        if match := _MODULE.fullmatch(file):
            fits = match["python"] == wanted and (match["platform"] or "").endswith(("-linux-gnu", "-linux-musl"))
            modules.setdefault(match["stem"], {})[file] = fits
        elif file.endswith((".pyd", ".dylib")):
            modules.setdefault(file, {})[file] = False
    return [file for twins in modules.values() if not any(twins.values()) for file in twins]


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
