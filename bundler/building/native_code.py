"""The shared objects of a wheel that was built here → whether they load on the target.

* Each is for the target's machine, and needs no glibc newer than the target's.
* Each needs only libraries that every target has (the list is manylinux's, PEP 600), or that the wheel brings along.
* What the source brought along was not built here, and is its author's business, as in a published wheel:
  azureml-monitoring brings libraries for several systems.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from typing import TYPE_CHECKING

from bundler.runtime.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from bundler.runtime.targets import Target
    from bundler.shared_objects import SharedObject

_EVERYWHERE = re.compile(
    r"lib(?:gcc_s\.so\.1|stdc\+\+\.so\.6|m\.so\.6|dl\.so\.2|rt\.so\.1|c\.so\.6|nsl\.so\.1|util\.so\.1|pthread\.so\.0"
    r"|resolv\.so\.2|z\.so\.1|expat\.so\.1|c\.musl-[a-z0-9_]+\.so\.1)|ld-(?:linux|musl)-[a-z0-9_-]+\.so\.[0-9]"
)

_SHARED = re.compile(r".*\.so(?:\.[0-9.]+)?")


class ForeignLibraries(TargetError):  # noqa: N818 - it names what there is
    """A shared object needs libraries of the host that built it."""


def check_native_code(wheel: Path, target: Target, where: str, brought: Collection[str]) -> None:
    """Raise ``TargetError`` if native code in *wheel* does not load on *target*; *brought* as of ``brought_along``."""
    with zipfile.ZipFile(wheel) as archive:
        own = {path.rpartition("/")[2] for path in filter(_SHARED.fullmatch, archive.namelist())}
    for path, item in _read_shared_objects(wheel, brought).items():
        _check(path, item, own, target, where)


def brought_along(source: Path) -> frozenset[str]:
    """Return the sha256 in hex of each shared object in the directory *source*, in which nothing was built yet."""
    return frozenset(
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in source.rglob("*.so*")
        if _SHARED.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    )


def _read_shared_objects(wheel: Path, brought: Collection[str]) -> Mapping[str, SharedObject]:
    """Return the ELF files of *wheel* without those that were *brought*, by their paths in it."""
    from bundler.shared_objects import SharedObject  # noqa: PLC0415 - slow to import, and needed where something is built

    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in filter(_SHARED.fullmatch, archive.namelist()):
            data = archive.read(name)
            if hashlib.sha256(data).hexdigest() not in brought and (item := SharedObject.parse(io.BytesIO(data))):
                found[name] = item
    return found


def _check(path: str, item: SharedObject, own: set[str], target: Target, where: str) -> None:
    at = f"{where}: {path}"
    hint = "build it in a container of the target's image, and offer the wheel with --find-links"
    if item.machine != target.arch:
        raise TargetError(at, "was built for another machine", got=item.machine, want=target.arch, hint=hint)
    has = tuple(map(int, target.libc_version.split(".")))
    if target.libc == "glibc" and item.glibc is not None and item.glibc > has:
        got = "glibc {}.{}".format(*item.glibc)
        raise TargetError(at, "needs a newer libc than the target has", got=got, want=target.libc_version, hint=hint)
    missing = [name for name in item.libraries if not _EVERYWHERE.fullmatch(name) and name not in own]
    if missing:
        what = "needs libraries that the target may lack, and that cannot be taken along"
        raise ForeignLibraries(at, what, got=", ".join(missing), hint=hint)
