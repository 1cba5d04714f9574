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

from bundler.azureml.doctoring.findings import Finding, Severity, some
from bundler.azureml.doctoring.ignores import append_command, governing, kept_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundler.azureml.doctoring.deployments import Deployment
    from bundler.azureml.doctoring.ignores import IgnoreFile, Rule

_LARGE = 100_000_000  # bytes; beyond, az itself advises against it
_MANY = 2_000
_PYTHON_FILES = (".py", ".so")
_LINKS: dict[str, tuple[str, str, Severity]] = {
    "broken": ("to nothing", "az follows it, finds no file and stops", "fails"),
    "endless": ("to a directory that it is in", "az follows it round and round, and stops", "fails"),
    "directory": ("to a directory", "az follows it: what is in there is uploaded once more, as files", "warning"),
    "file": ("to a file", "az uploads a copy of the file: nothing in the cloud is a link", "warning"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Files that must arrive: *path* is a file or a directory. A bundle is not whole without its ``.pyc``."""

    path: Path
    is_bundle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything in a code folder but directories, by path relative to it, and the line that drops it if one does."""

    folder: Path
    ignored: IgnoreFile | None
    dropped: Mapping[str, Rule | None]

    @classmethod
    def of(cls, folder: Path) -> Listing:
        """List *folder*; links are listed, not followed."""
        ignored = governing(folder)
        paths = [path.relative_to(folder).as_posix() for path in _walk(folder)]
        dropped = {path: ignored.dropping(path) if ignored is not None else None for path in paths}
        return cls(folder=folder, ignored=ignored, dropped=dropped)

    @property
    def uploaded(self) -> Iterator[str]:
        """What is uploaded."""
        return (path for path, rule in self.dropped.items() if rule is None)

    def below(self, path: Path) -> Iterator[str]:
        """Yield what is at or below *path*."""
        if path == self.folder:
            yield from self.dropped
        elif path.is_relative_to(self.folder):
            top = path.relative_to(self.folder).as_posix()
            yield from (name for name in self.dropped if name == top or name.startswith(f"{top}/"))


def check_upload(deployment: Deployment, needed: Sequence[Needed]) -> Iterator[Finding]:
    """Find what of *deployment* does not arrive, or arrives as something else."""
    if deployment.inside:
        return
    listing = Listing.of(deployment.folder)
    for rule in listing.ignored.faulty if listing.ignored is not None else ():
        name = listing.ignored.name if listing.ignored is not None else ""
        yield Finding(
            name="ignore-line-unreadable",
            severity="fails",
            path=name,
            what=f"has a line that is no pattern: line {rule.number}, {rule.line!r}",
            why="az stops at it, and uploads nothing",
            type=f"sed -i {rule.number}d {name}",
        )
    for item in needed:
        yield from _check_dropped(item, listing, deployment)
    yield from _check_links(listing)
    yield from _check_size(listing, deployment)
    yield from _check_modes(needed, listing)


def _check_dropped(needed: Needed, listing: Listing, deployment: Deployment) -> Iterator[Finding]:
    groups: dict[tuple[int, bool], list[str]] = {}
    rules: dict[int, Rule] = {}
    for path in listing.below(needed.path):
        if rule := listing.dropped[path]:
            rules[rule.number] = rule
            # What a bundle has of its own below bundle_runtime is not part of its tree.
            harmless = path.endswith(".pyc") and (not needed.is_bundle or "bundle_runtime" in path.split("/"))
            groups.setdefault((rule.number, harmless), []).append(path)
    for number, harmless in list(groups):
        if harmless and (number, False) in groups:
            groups[number, False] += groups.pop((number, True))
    shown = deployment.shown(needed.path)
    name = listing.ignored.name if listing.ignored is not None else ""
    for (number, harmless), files in sorted(groups.items()):
        yield Finding(
            name="upload-drops-bytecode" if harmless else "upload-drops-files",
            severity="warning" if harmless else "fails",
            path=shown,
            what=f"loses {_counted(files, 'file')} at upload by line {number} of {name}, {rules[number].line.strip()}: "
            + some(files),
            why="every worker compiles them again at every start"
            if harmless
            else f"az uploads nothing that {name} names, and says nothing about it",
            type=append_command(listing.folder, *(kept_patterns(shown) if shown != "." else ("!**",))),
            files=tuple(files),
        )


def _check_links(listing: Listing) -> Iterator[Finding]:
    kinds: dict[str, list[str]] = {kind: [] for kind in _LINKS}
    for name in listing.uploaded:
        path = listing.folder / name
        if path.is_symlink():
            target = Path(os.path.realpath(path))
            if not target.exists():
                kinds["broken"].append(name)
            elif target.is_dir():
                kinds["endless" if path.is_relative_to(target) else "directory"].append(name)
            else:
                kinds["file"].append(name)
    for kind, files in kinds.items():
        if files:
            where, why, severity = _LINKS[kind]
            yield Finding(
                name=f"symlink-{kind}",
                severity=severity,
                path=files[0],
                what=f"is a symlink {where}" + (f", as are {some(files[1:])}" if len(files) > 1 else ""),
                why=why,
                type=f"rm {shlex.join(files)}"
                if severity == "fails"
                else append_command(listing.folder, *(kept_patterns(file)[0].removeprefix("!") for file in files)),
                files=tuple(files),
            )


def _check_size(listing: Listing, deployment: Deployment) -> Iterator[Finding]:
    sizes = [_size(listing.folder / name) for name in listing.uploaded]
    if sum(sizes) > _LARGE or len(sizes) > _MANY:
        yield Finding(
            name="upload-is-large",
            severity="warning",
            path=".",
            what=f"{len(sizes)} files, {sum(sizes) / 1e6:.0f} MB are uploaded",
            why="every file is a blob of its own, again for every change; over 100 MB az advises to use another tool",
            type=deployment.bundle_instead,
        )


def _check_modes(needed: Sequence[Needed], listing: Listing) -> Iterator[Finding]:
    files = [
        name
        for item in needed
        for name in listing.below(item.path)
        if not name.endswith(_PYTHON_FILES) and ".so." not in name and _is_program(listing.folder / name)
    ]
    if files:
        yield Finding(
            name="modes-are-lost",
            severity="warning",
            path=files[0],
            what="is executable" + (f", as are {some(files[1:])}" if len(files) > 1 else ""),
            why="modes do not survive the upload: to start it directly is refused with Permission denied",
            type=f"python {shlex.quote(files[0])}, or python -m, instead of starting it directly",
            files=tuple(files),
        )


def _walk(folder: Path) -> Iterator[Path]:
    for directory, subdirectories, names in os.walk(folder):
        subdirectories.sort()
        here = Path(directory)
        yield from (here / name for name in subdirectories if (here / name).is_symlink())
        yield from (here / name for name in sorted(names))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _is_program(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and bool(path.stat().st_mode & 0o111)


def _counted(items: Sequence[str], noun: str) -> str:
    return f"{len(items)} {noun}{'s' if len(items) > 1 else ''}"
