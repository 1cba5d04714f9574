"""A wheel as its backend has left it → one that is packed, checked and kept; and the way back from the cache.

* A2: it is the wheel of the project and version that was asked for, and its tags fit the target.
* Kept under a key are the wheel and its pin, or why what was built does not fit the target: a build takes minutes. A
  damaged entry is none.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from dataclasses import dataclass, replace
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from bundler.building.native_code import ForeignLibraries, check_native_code
from bundler.building.projects import UNKNOWN
from bundler.building.repacking import repack
from bundler.pins import Build, Pin
from bundler.runtime.documents import to_json
from bundler.runtime.errors import ContentError, TargetError
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.building.projects import Project
    from bundler.caching.build_cache import Cache
    from bundler.runtime.targets import Target

_PIN, _WHEEL, _REFUSED = "pin.json", "wheel", "refused.json"
_FIELDS = ("where", "what", "got", "want", "hint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A wheel that was built: its pin, and the headers of its METADATA that a resolver needs."""

    pin: Pin
    requires: tuple[str, ...]
    extras: tuple[str, ...]
    requires_python: str | None


def keep(
    wheel: Path,
    key: str,
    project: Project,
    *,
    target: Target,
    python: str,
    requires: Sequence[Pin],
    brought: Collection[str],
    cache: Cache,
    repair: Callable[[Path], Path | None],
) -> Built:
    """Pack and check *wheel*, put it into *cache* under *key* and under its sha256, and return it.

    *brought* are the hashes of the shared objects that the source has brought along. Libraries of the host that others
    need are taken along by *repair*, which returns another wheel if that is possible.
    Raise ``ContentError`` if it is another project's, and ``TargetError`` if it does not fit *target*.
    """
    name, version = _check_name(wheel, project, target)
    packed = wheel.parent / "packed" / wheel.name
    packed.parent.mkdir()
    repack(wheel, packed)
    try:
        _check_native_code(packed, target, project.where, brought, repair)
    except TargetError as error:
        _remember(error, key, cache)
        raise
    with packed.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    build = Build(
        source=replace(project.source, name=name, version=version),
        python=python,
        requires=tuple(requires),
        repository=project.repository,
        is_directory=project.is_directory,
    )
    size = packed.stat().st_size
    pin = Pin(name=name, version=version, filename=wheel.name, sha256=sha256, size=size, build=build)
    _publish(packed, sha256, cache)
    with cache.new_layer(key) as entry:
        (entry.path / _PIN).write_bytes(to_json(pin.to_table(_absolute)))
        shutil.copyfile(packed, entry.path / _WHEEL)
        entry.publish()
    return read_headers(pin, packed)


def _check_native_code(
    packed: Path, target: Target, where: str, brought: Collection[str], repair: Callable[[Path], Path | None]
) -> None:
    try:
        check_native_code(packed, target, where, brought)
    except ForeignLibraries:
        repaired = repair(packed)
        if repaired is None:
            raise
        repack(repaired, packed)
        check_native_code(packed, target, where, brought)


def _remember(error: TargetError, key: str, cache: Cache) -> None:
    fields = {name: str(value) for name in _FIELDS if (value := getattr(error, name)) is not None}
    with cache.new_layer(key) as entry:
        (entry.path / _REFUSED).write_bytes(to_json(fields))
        entry.publish()


def _raise_remembered(directory: Path) -> None:
    try:
        fields = json.loads((directory / _REFUSED).read_bytes())
        error = TargetError(**{name: str(fields[name]) for name in _FIELDS if name in fields})
    except (OSError, ValueError, TypeError):
        return
    raise error


def find_kept(key: str, project: Project, cache: Cache) -> Built | None:
    """Return what was built before of *project* under *key*, if it is in *cache* and whole.

    Raise ``TargetError`` if it did not fit the target.
    """
    directory = cache.layer(key)
    if directory is None:
        return None
    _raise_remembered(directory)
    try:
        pin = Pin.from_table(json.loads((directory / _PIN).read_bytes()), _PIN, Path("/"))
        with (directory / _WHEEL).open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == pin.sha256
    except (OSError, ValueError, ContentError):
        return None
    if not whole or pin.build is None:
        return None
    _publish(directory / _WHEEL, pin.sha256, cache)
    source = replace(project.source, name=pin.name, version=pin.version)  # the same bytes may be from elsewhere now
    build = replace(pin.build, source=source, repository=project.repository, is_directory=project.is_directory)
    return read_headers(replace(pin, build=build), directory / _WHEEL)


def _check_name(wheel: Path, project: Project, target: Target) -> tuple[NormalizedName, Version]:
    """Return the name and version of *wheel*, which has to be that of *project*, for *target*."""
    try:
        name, version, _, tags = parse_wheel_filename(wheel.name)
    except ValueError as error:
        what = f"builds a wheel with a wrong name: {error}"
        raise ContentError(project.where, what, got=wheel.name, rule="A2") from None
    source = project.source
    if source.version != UNKNOWN and (name, version) != (source.name, source.version):
        raise ContentError(project.where, "builds the wheel of another project or version", got=wheel.name, rule="A2")
    if not tags & frozenset(compatibility_tags(target)):
        raise TargetError(
            project.where,
            "has native code, and the target's Python is not at hand to build it",
            got=wheel.name,
            want=target,
            hint="name the target's Python with --target-python, build in a container of the image, or offer a wheel"
            " with --find-links",
        )
    return name, version


def _publish(wheel: Path, sha256: str, cache: Cache) -> None:
    with cache.new_wheel(sha256) as new:
        shutil.copyfile(wheel, new.path)
        new.publish()


def _absolute(pin: Pin) -> dict[str, str]:
    return {"url": pin.url} if pin.url else {"path": str(pin.path)}


def read_headers(pin: Pin, wheel: Path) -> Built:
    """Return *pin* with the headers of the METADATA in *wheel* that a resolver needs."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        headers = BytesHeaderParser().parsebytes(archive.read(name))
    return Built(
        pin=pin,
        requires=tuple(map(str, headers.get_all("Requires-Dist", []))),
        extras=tuple(map(str, headers.get_all("Provides-Extra", []))),
        requires_python=headers.get("Requires-Python"),
    )
