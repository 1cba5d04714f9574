"""A code folder → what its upload to Azure ML changes: files dropped, links followed, modes lost.

* One blob per file, no directories, no modes, no times, no links: a link is uploaded as what it points to.
* ``.amlignore``, else ``.gitignore``, decides what goes; see ``ignores``.
* Links to directories are followed, so what they point to goes twice, or without end.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.doctoring.findings import Finding, some
from bundler.doctoring.ignores import governing, kept_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundler.doctoring.deployments import Deployment
    from bundler.doctoring.ignores import IgnoreFile, Rule

_LARGE = 100_000_000  # bytes; beyond, az itself advises against it
_MANY = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Files that must arrive: *path* (a file or a directory) and, where they do not matter, its ``.pyc`` files."""

    path: Path
    bytecode_matters: bool = False


def check_upload(deployment: Deployment, needed: Sequence[Needed]) -> Iterator[Finding]:
    """Find what of *deployment* does not arrive, or arrives as something else."""
    if deployment.inside:
        return
    ignored = governing(deployment.folder)
    if ignored is not None:
        for rule in ignored.faulty:
            yield Finding(
                name="ignore-line-unreadable",
                severity="fails",
                path=ignored.name,
                what=f"has a line that is no pattern: line {rule.number}, {rule.line!r}",
                why="az stops at it, and uploads nothing",
                type=f"sed -i {rule.number}d {ignored.name}",
            )
        for item in needed:
            if deployment.contains(item.path):
                yield from _check_dropped(item, ignored, deployment)
    yield from _check_links(deployment, ignored)
    yield from _check_size(deployment, ignored)
    yield from _check_modes(deployment, needed)


def _check_dropped(needed: Needed, ignored: IgnoreFile, deployment: Deployment) -> Iterator[Finding]:
    dropped: dict[tuple[int, bool], list[str]] = {}
    rules: dict[int, Rule] = {}
    for path in _files(needed.path):
        relative = path.relative_to(deployment.folder).as_posix()
        if rule := ignored.dropping(relative):
            rules[rule.number] = rule
            harmless = relative.endswith(".pyc") and not needed.bytecode_matters
            harmless = harmless or "/bundle_runtime/__pycache__/" in f"/{relative}"
            dropped.setdefault((rule.number, harmless), []).append(relative)
    for (number, harmless), files in sorted(dropped.items()):
        yield Finding(
            name="upload-drops-bytecode" if harmless else "upload-drops-files",
            severity="warning" if harmless else "fails",
            path=deployment.shown(needed.path),
            what=f"loses {_counted(files)} at upload by line {number} of {ignored.name}, "
            f"{rules[number].line.strip()}: {some(files)}",
            why="every worker compiles them again at every start"
            if harmless
            else f"az uploads nothing that {ignored.name} names, and says nothing about it",
            type=_keep(deployment.shown(needed.path), ignored.name),
            files=tuple(files),
        )


def _keep(path: str, name: str) -> str:
    """Return the command that keeps *path* in the upload."""
    lines = "".join(f"\\n{line}".replace("%", "%%") for line in kept_patterns(path))
    copy = "cp .gitignore .amlignore && " if name == ".gitignore" else ""
    return f"{copy}printf {shlex.quote(lines)}'\\n' >> .amlignore"


def _files(path: Path) -> Iterator[Path]:
    """Yield the files at or below *path*, in order; links are not followed."""
    if not path.is_dir():
        yield path
        return
    for directory, subdirectories, names in os.walk(path):
        subdirectories.sort()
        yield from (Path(directory, name) for name in sorted(names))


def _check_links(deployment: Deployment, ignored: IgnoreFile | None) -> Iterator[Finding]:
    kinds: dict[str, list[str]] = {"broken": [], "endless": [], "directory": [], "file": []}
    for path in _links(deployment.folder):
        relative = path.relative_to(deployment.folder).as_posix()
        if ignored is not None and ignored.dropping(relative):
            continue
        target = path.resolve()
        if not target.exists():
            kinds["broken"].append(relative)
        elif target.is_dir():
            kinds["endless" if path.is_relative_to(target) else "directory"].append(relative)
        else:
            kinds["file"].append(relative)
    texts = {
        "broken": ("point to nothing", "az follows them, finds no file and stops", "fails", "rm"),
        "endless": ("point to a directory they are in", "az follows them round and round, and stops", "fails", "rm"),
        "directory": (
            "point to directories",
            "az follows them: what is in there is uploaded twice, and is no link any more",
            "warning",
            "rm",
        ),
        "file": ("point to files", "az uploads a copy of the file: nothing in the cloud is a link", "warning", "rm"),
    }
    for kind, files in kinds.items():
        if files:
            what, why, severity, command = texts[kind]
            yield Finding(
                name=f"symlinks-{kind}",
                severity="fails" if severity == "fails" else "warning",
                path=files[0],
                what=f"{_counted(files, 'symlink')} {what}: {some(files)}",
                why=why,
                type=f"{command} {shlex.quote(files[0])}, or name it in .amlignore",
                files=tuple(files),
            )


def _links(folder: Path) -> Iterator[Path]:
    for directory, subdirectories, names in os.walk(folder):
        subdirectories[:] = sorted(name for name in subdirectories if name != ".git")
        for name in sorted([*subdirectories, *names]):
            if os.path.islink(os.path.join(directory, name)):  # noqa: PTH114, PTH118 - for thousands of files
                yield Path(directory, name)


def _check_size(deployment: Deployment, ignored: IgnoreFile | None) -> Iterator[Finding]:
    count = size = 0
    for path in _files(deployment.folder):
        if ignored is None or not ignored.dropping(path.relative_to(deployment.folder).as_posix()):
            count += 1
            size += path.stat().st_size if path.exists() else 0
    if size > _LARGE or count > _MANY:
        yield Finding(
            name="upload-is-large",
            severity="warning",
            path=".",
            what=f"{count} files, {size / 1e6:.0f} MB are uploaded",
            why="every file is a blob of its own, again for every change; over 100 MB az advises to use another tool",
            type=f"bundle create … --format packed {deployment.create_options}, and .amlignore for what is not needed",
        )


def _check_modes(deployment: Deployment, needed: Iterable[Needed]) -> Iterator[Finding]:
    files = [
        path.relative_to(deployment.folder).as_posix()
        for item in needed
        if deployment.contains(item.path)
        for path in _files(item.path)
        if path.suffix not in (".so", ".py") and ".so." not in path.name and not path.is_symlink() and _executable(path)
    ]
    if files:
        yield Finding(
            name="modes-are-lost",
            severity="warning",
            path=files[0],
            what=f"{len(files)} file{'s are' if len(files) > 1 else ' is'} executable: {some(files)}",
            why="modes do not survive the upload: to start one is refused with Permission denied",
            type=f"python {shlex.quote(files[0])}, or python -m, instead of starting it directly",
            files=tuple(files),
        )


def _counted(files: Sequence[str], noun: str = "file") -> str:
    return f"{len(files)} {noun}{'s' if len(files) > 1 else ''}"


def _executable(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & 0o111)
