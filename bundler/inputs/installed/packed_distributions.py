"""The files of an installed distribution → the wheel that they came from, near enough, in the cache.

* Only what is as RECORD says is packed, and it is hashed again while it is read. What the installer has added
  (INSTALLER, REQUESTED, direct_url.json, ``.pyc``, console scripts) stays behind.
* Scripts, headers and data files go back into ``.data``; the first line of a script becomes ``#!python`` again.
* The same files give the same bytes. The tags are those of its WHEEL, and have to fit the target.
* A wheel of no index's tags (``linux_x86_64``) was built on this host: its shared objects have to load on the target.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from typing import TYPE_CHECKING

from bundler.building.native_code import check_native_code
from bundler.building.repacking import MAX_BYTES, Member, write_wheel
from bundler.inputs.installed.environments import raise_all
from bundler.inputs.installed.installed_files import CHUNK, INSTALLERS, has_record, open_inside
from bundler.installed_distributions import MAX_METADATA
from bundler.pins import Pin
from bundler.runtime.errors import ContentError, TargetError
from bundler.small_files import read_bytes
from bundler.wheels.entry_points import parse_entry_points, scripts_of
from bundler.wheels.install import MAX_SCRIPT
from bundler.wheels.wheel_reader import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundler.caching.build_cache import Cache
    from bundler.inputs.installed.environments import Environment
    from bundler.inputs.installed.installed_files import Compared, ListedFile
    from bundler.inputs.installed.installed_projects import InstalledProject
    from bundler.runtime.targets import Target

# pip's and uv's own first lines, also the two-line form for a path that is too long for the kernel.
_FIRST_LINE = re.compile(
    rb"#!(?:[^\r\n]*/|)python[^\r\n/]*\r?\n|#!/bin/sh\r?\n'''exec' [^\r\n]*\r?\n' '''\r?\n", re.ASCII
)
_HEADERS = re.compile(r"include/(?:site/)?python(?:3\.[0-9]+)?/[^/]+/(?P<path>.+)")


def check_packable(
    environment: Environment, projects: list[InstalledProject], compared: list[Compared], target: Target
) -> None:
    """Raise an error that names each of *projects* whose files are not what somebody has released for *target*.

    It is a ``ContentError`` for the files, and a ``TargetError`` for the target.
    """
    faults = []
    for project in projects:
        again = f"pip install --force-reinstall --no-deps {project.name}=={project.version}"
        where = f"{environment.root}: {project}"
        if project.installer == "conda":
            hint = f"reinstall it there: {again}; or leave --as-is away, which takes PyPI's wheel of this version"
            faults.append(ContentError(where, "was installed by conda, and is no wheel", hint=hint, rule="A9"))
        elif not has_record(project):
            hint = f"reinstall it there: {again}; or leave --as-is away, which takes the version"
            faults.append(ContentError(where, "has no RECORD to compare its files with", hint=hint, rule="A9"))
        for each in compared:
            if each.project is project and (difference := each.difference):
                others = " and ".join(sorted(set(each.overwritten.values())))
                hint = (
                    f"two of them do not go together: pip uninstall {others}, then {again}"
                    if others
                    else f"reinstall it there: {again}"
                )
                faults.append(ContentError(where, difference.partition(": ")[2], hint=hint, rule="A9"))
    raise_all(environment.root, faults)
    misfits = [project for project in projects if not (_fits(project, target))]
    if misfits:
        what = "has packages that do not fit the target"
        got = ", ".join(f"{project} ({_filename_tags(project) or 'no tags'})" for project in misfits)
        hint = (
            "name the target that they were installed for (--platform), or leave --as-is away: the index may have"
            " wheels that fit"
        )
        raise TargetError(environment.root, what, got=got, want=target, hint=hint)


def _fits(project: InstalledProject, target: Target) -> bool:
    return bool(project.distribution.tags()) and project.distribution.tags_fit(target)


def pack(
    compared: Compared, environment: Environment, target: Target, cache: Cache, warn: Callable[[str], None]
) -> Pin:
    """Pack the files of *compared* into *cache*; return the pin of the wheel.

    It has passed ``check_packable``. Raise ``TargetError`` if its native code does not load on *target*, and
    ``ContentError`` if it breaks a rule of wheels.
    """
    project = compared.project
    where = f"{environment.root}: {project}"
    tags = _filename_tags(project)
    filename = f"{project.name.replace('-', '_')}-{project.version}-{tags}.whl"
    with cache.in_use(), cache.new_layer(hashlib.sha256(secrets.token_bytes(32)).hexdigest()) as scratch:
        wheel = scratch.path / filename
        write_wheel(_members(compared, environment, where), wheel, project.info.name)
        if "linux_" in tags and "manylinux" not in tags and "musllinux" not in tags:
            check_native_code(wheel, target, where, brought=())
        with wheel.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        pin = Pin(
            name=project.name,
            version=project.version,
            filename=filename,
            sha256=sha256,
            size=wheel.stat().st_size,
            path=cache.wheel(sha256),
            environment=environment.root.absolute(),
        )
        with Wheel.open(wheel, pin, warn=warn):
            pass
        with cache.new_wheel(sha256) as new:
            wheel.replace(new.path)
            new.publish()
    return pin


def _filename_tags(project: InstalledProject) -> str:
    """Return the tags of *project* as a file name has them; empty if it has none."""
    tags = project.distribution.tags()
    parts = zip(*((tag.interpreter, tag.abi, tag.platform) for tag in tags), strict=True)
    return "-".join(".".join(sorted(set(part))) for part in parts)


def _members(compared: Compared, environment: Environment, where: str) -> Iterator[Member]:
    """Yield the files of *compared* as members of a wheel, sorted by their names in it."""
    made = _console_scripts(compared.project)
    info = compared.project.info.name
    data = f"{info.removesuffix('.dist-info')}.data"
    placed: dict[str, ListedFile] = {}
    for file in compared.files:
        if file.path.startswith(f"{info}/") and file.path.removeprefix(f"{info}/") in INSTALLERS:
            continue
        if file.scheme == "scripts":
            if file.path not in made:
                placed[f"{data}/scripts/{file.path}"] = file
        elif file.scheme == "data":
            headers = _HEADERS.fullmatch(file.path)
            placed[f"{data}/headers/{headers['path']}" if headers else f"{data}/data/{file.path}"] = file
        else:
            placed[file.path] = file
    total = 0
    for name in sorted(placed):
        member = _member(name, placed[name], environment, where)
        total += member.size
        if total > MAX_BYTES:
            raise ContentError(where, "is larger than a wheel may be", want=f"at most {MAX_BYTES} bytes", rule="A6")
        yield member


def _member(name: str, file: ListedFile, environment: Environment, where: str) -> Member:
    at = f"{where}: {file.path}"
    try:
        with open_inside(file.place, environment.root) as opened:
            status = os.fstat(opened.fileno())
            if file.scheme == "scripts":
                script = opened.read(MAX_SCRIPT + 1)
                if line := _FIRST_LINE.match(script):
                    script = b"#!python\n" + script[line.end() :]
                if len(script) <= MAX_SCRIPT:
                    return Member(name=name, size=len(script), executable=True, chunks=lambda: iter([script]))
    except OSError as error:
        what = f"cannot be packed: {error.strerror or error}"
        raise ContentError(at, what, hint="reinstall it there", rule="A7") from None
    return Member(
        name=name,
        size=status.st_size,
        executable=bool(status.st_mode & 0o111),
        chunks=lambda: _chunks(file, environment, at),
    )


def _chunks(file: ListedFile, environment: Environment, at: str) -> Iterator[bytes]:
    """Yield the bytes of *file*; raise ``ContentError`` at the end if they are not what RECORD promises."""
    hasher = hashlib.new(file.row.algorithm) if file.row else None
    with open_inside(file.place, environment.root) as opened:
        while chunk := opened.read(CHUNK):
            if hasher:
                hasher.update(chunk)
            yield chunk
    if file.row and hasher and file.scheme != "scripts" and hasher.digest() != file.row.digest:
        raise ContentError(at, "has changed while it was packed", hint="let nobody install there meanwhile", rule="A9")


def _console_scripts(project: InstalledProject) -> set[str]:
    """Return the names of the programs that an installer makes of the entry points of *project*."""
    file = project.info / "entry_points.txt"
    if not file.is_file():
        return set()
    try:
        text = read_bytes(file, MAX_METADATA).decode("utf-8")
    except UnicodeDecodeError:
        raise ContentError(file, "is not UTF-8", rule="A11") from None
    return set(scripts_of(parse_entry_points(text, str(file))))
