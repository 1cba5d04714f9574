"""Requirements with projects in them → the same requirements with wheels in their place.

* A directory, a source distribution or a commit (``project_lines``) is built, and its line becomes ``NAME @ file:///…``.
* What a freeze of another machine has and no index has is read as what it means, or left out, with one warning for all.
* So is what uv reads in another way than pip: variables anywhere in a line, words that go on in the next line, and
  several names behind ``--only-binary`` or ``--no-binary``.
* Files are rewritten only if something in them changes, each line where it was: errors still name file and line.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bundler.building.projects import archive_project
from bundler.fetching.cancellable_connections import Sockets
from bundler.fetching.http_transport import Transport
from bundler.fetching.index_options import redacted
from bundler.fetching.range_requests import get
from bundler.resolving.project_lines import elsewhere, parse_project_line
from bundler.resolving.requirement_files import INCLUDE, logical_lines, unquote_path
from bundler.runtime.errors import ContentError, UsageError
from bundler.small_files import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundler.building.builder import Builder
    from bundler.building.built_wheels import Built
    from bundler.building.projects import Project
    from bundler.fetching.index_options import IndexOptions
    from bundler.pins import Pin
    from bundler.resolving.project_lines import ProjectLine

_MAX_ARCHIVE = 1 << 30
_FIND_LINKS = re.compile(r"(?P<option>-f|--find-links)(?P<between>\s*=\s*|\s+)(?P<place>.+)")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
# A variable in front of which there is no URL, and a line that is continued in the middle of a requirement.
_UV_DIFFERS = re.compile(r"^[^#\n:]*\$\{[A-Z0-9_]+\}|^[^#\n]*[^\s#]\\$", re.MULTILINE)
_BINARY = re.compile(r"(?P<option>--no-binary|--only-binary)(?:\s*=\s*|\s+)(?P<names>.+,.+)")
# What only exists for Windows, and pip's freezes there list without a marker; and what Debian's pip once made up.
_NOT_HERE = {
    "pywin32": "for Windows only",
    "pypiwin32": "for Windows only",
    "pywinpty": "for Windows only",
    "wincertstore": "for Windows only",
    "win-inet-pton": "for Windows only",
    "pkg-resources": "no project: an old pip's freeze has made it up",
}
# What conda's freezes list with a path, and what PyPI has of that name wants another numpy.
_CONDAS_OWN = dict.fromkeys(("mkl-fft", "mkl-random", "mkl-service"), "part of conda's numpy: not needed")


@dataclass(slots=True, kw_only=True)
class Expansion:
    """The work, and what came of it: *built* are the wheels by their paths, *notes* what a user should hear."""

    builder: Builder
    indexes: IndexOptions
    environ: Mapping[str, str]
    directory: Path
    built: dict[Path, Pin] = field(default_factory=dict)
    read_as_names: list[str] = field(default_factory=list)
    editable: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def requirements(self, requirements: Sequence[str]) -> list[str]:
        """Return *requirements* of the command line, expanded."""
        expanded = [self._line(text.strip(), Path(), "requirement") for text in requirements]
        return [text for text in expanded if text]

    def files(self, files: Sequence[Path]) -> list[Path]:
        """Return *files*, or in place of each in which something changes a rewritten one."""
        return [self._file(path, ()) or path for path in files]

    @property
    def notes(self) -> list[str]:
        """What a user should hear: one line for each kind of thing."""
        notes = []
        if self.read_as_names:
            names = ", ".join(self.read_as_names)
            notes.append(f"read as names, since their files are another machine's: {names}")
        if self.editable:
            notes.append(f"built as they are now, later edits do not count: {', '.join(self.editable)}")
        notes += [f"left out: {', '.join(names)}: {reason}" for reason, names in self.left_out.items()]
        return notes

    def _file(self, path: Path, parents: tuple[Path, ...]) -> Path | None:
        """Return a rewritten copy of *path*; None if nothing in it changes."""
        resolved = path.resolve()
        if resolved in parents:
            return None  # refused where files are read
        lines: list[str] = []
        more: list[str] = []
        text = read_text(path)
        changed = _UV_DIFFERS.search(text) is not None
        for number, line in logical_lines(text, self.environ):
            lines += [""] * (number - 1 - len(lines))
            first, *others = _one_name_each(line)
            more += others
            new = self._file_line(first, path, f"{path.name}:{number}", (*parents, resolved))
            changed |= new != line
            lines.append(new)
        if not changed:
            return None
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # variables may hold credentials
        copy = self.directory / f"{len(list(self.directory.iterdir()))}" / path.name
        copy.parent.mkdir()
        moved = (self._moved(line, path) for line in (*lines, *more))
        copy.write_text("".join(f"{line}\n" for line in moved), encoding="utf-8")
        return copy

    def _file_line(self, line: str, path: Path, where: str, parents: tuple[Path, ...]) -> str:
        include = INCLUDE.fullmatch(line)
        if include is None:
            return self._line(line, path.parent, where)
        copy = self._file(path.parent / unquote_path(include["path"], where), parents)
        return line if copy is None else f"{include['option']} {copy}"

    def _moved(self, line: str, path: Path) -> str:
        """Return *line* as it has to be in a file that lies elsewhere than *path*."""
        if include := INCLUDE.fullmatch(line):
            return f"{include['option']} {path.parent.absolute() / unquote_path(include['path'], path.name)}"
        links = _FIND_LINKS.fullmatch(line)
        if links and "://" not in links["place"] and (path.parent / links["place"]).exists():
            return f"--find-links {(path.parent / links['place']).absolute()}"
        if re.match(r"\.{0,2}/|[^\s@]+\.whl(\s|$)", line) and (path.parent / line.split(maxsplit=1)[0]).exists():
            return f"{(path.parent / line.split(maxsplit=1)[0]).absolute()}{line[len(line.split(maxsplit=1)[0]) :]}"
        return line

    def _line(self, line: str, base: Path, where: str) -> str:
        """Return *line* expanded; empty if it is left out."""
        if name := _NAME.match(line):
            reason = _NOT_HERE.get(name[0].lower().replace("_", "-")) if ";" not in line else None
            if reason:
                self.left_out.setdefault(reason, []).append(name[0])
                return ""
        if meant := elsewhere(line, base):
            named = line.partition("@")[0].strip()
            if reason := _CONDAS_OWN.get(named.lower().replace("_", "-")):
                self.left_out.setdefault(reason, []).append(named)
                return ""
            self.read_as_names.append(named)
            return meant
        project = parse_project_line(line, base)
        if project is None:
            return line
        built = self.builder.build_project(self._opened(project, where))
        if project.editable:
            self.editable.append(str(built.pin.name))
        return self._requirement(project, built, where)

    def _opened(self, project: ProjectLine, where: str) -> Project:
        if project.kind == "directory":
            return self.builder.open_directory(Path(project.place))
        if project.kind == "archive":
            return archive_project(Path(project.place))
        if project.kind == "git":
            return self.builder.open_repository(project.place, project.revision, project.subdirectory)
        return self._fetched(project, where)

    def _fetched(self, project: ProjectLine, where: str) -> Project:
        """Fetch the archive at a URL; its hash is that of the line, if there is one, or what it is today."""
        self.builder.check_online(project.place)
        with closing(Transport(self.indexes, self.environ, Sockets())) as transport:
            _, data = get(transport, project.place, retries=self.indexes.retries, limit=_MAX_ARCHIVE)
        name = unquote(urlsplit(project.place).path.rpartition("/")[2])
        path = self.directory / "fetched" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        found = archive_project(path)
        if project.sha256 not in (None, found.source.sha256):
            at, got = f"{where}: {redacted(project.place)}", found.source.sha256
            raise ContentError(at, "is not what the line says", got=got, want=project.sha256, rule="A1")
        return self.builder.keep_source(found, project.place)

    def _requirement(self, project: ProjectLine, built: Built, where: str) -> str:
        """Return the requirement of the wheel that was *built* of *project*."""
        pin = built.pin
        if project.name and project.name.lower().replace("_", "-").replace(".", "-") != pin.name:
            raise UsageError(where, "names another project than it leads to", got=pin.name, want=project.name)
        path = self.directory / "wheels" / pin.sha256 / pin.filename
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.builder.wheel(pin), path)
        self.built[path] = pin
        marker = f" ; {project.marker}" if project.marker else ""
        return f"{pin.name}{project.extras} @ {path.as_uri()}{marker}"


def _one_name_each(line: str) -> list[str]:
    """Return *line*, or a line for each name that it gives to ``--no-binary`` or ``--only-binary``."""
    match = _BINARY.fullmatch(line)
    if match is None:
        return [line]
    return [f"{match['option']} {name.strip()}" for name in match["names"].split(",") if name.strip()] or [line]
