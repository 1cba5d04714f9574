"""Requirements with projects in them → the same requirements with wheels in their place.

* A directory, a source distribution or a commit (``project_lines``) is built, and its line becomes ``NAME @ file:///…``;
  without a builder it stays, and is refused where lines are parsed.
* What a freeze of another machine has and no index has is read as what it means, or left out, with one warning for all.
* Each line keeps its place: errors still name file and line.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bundler.building.projects import archive_project
from bundler.fetching.cancellable_connections import Sockets
from bundler.fetching.http_transport import Transport
from bundler.fetching.index_options import redacted
from bundler.fetching.range_requests import get
from bundler.pins import COMMIT
from bundler.resolving.lines.project_lines import elsewhere, parse_project_line
from bundler.resolving.lines.requirement_lines import demanded_hashes, without_options
from bundler.runtime.errors import ContentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bundler.building.builder import Builder
    from bundler.building.built_wheels import Built
    from bundler.building.projects import Project
    from bundler.fetching.index_options import IndexOptions
    from bundler.pins import Pin
    from bundler.resolving.lines.project_lines import ProjectLine
    from bundler.resolving.lines.requirement_files import Line

_MAX_ARCHIVE = 1 << 30
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
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
    """The work, and what came of it: *built* are the wheels by their paths, *notes* what a user should hear.

    *commits* say what branches and tags were today.
    """

    builder: Builder | None
    indexes: IndexOptions
    environ: Mapping[str, str]
    directory: Path
    built: dict[Path, Pin] = field(default_factory=dict)
    read_as_names: list[str] = field(default_factory=list)
    editable: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    def lines(self, lines: Iterable[Line]) -> list[Line]:
        """Return *lines*, expanded."""
        expanded = [self._line(line) for line in lines]
        return [line for line in expanded if line is not None]

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

    def _line(self, line: Line) -> Line | None:
        """Return *line* expanded; None if it is left out."""
        if name := _NAME.match(line.text):
            reason = _NOT_HERE.get(name[0].lower().replace("_", "-")) if ";" not in line.text else None
            if reason:
                self.left_out.setdefault(reason, []).append(name[0])
                return None
        text = without_options(line.text)
        if meant := elsewhere(text, line.base):
            named = line.text.partition("@")[0].strip()
            if reason := _CONDAS_OWN.get(named.lower().replace("_", "-")):
                self.left_out.setdefault(reason, []).append(named)
                return None
            self.read_as_names.append(named)
            return replace(line, text=meant)
        project = parse_project_line(text, line.base)
        if project is None or self.builder is None:
            return line
        hashes = demanded_hashes(line.text, line.where)
        opened = self._opened(project, self.builder, line.where, hashes)
        built = self.builder.build_project(opened)
        if project.editable:
            self.editable.append(str(built.pin.name))
        text = self._requirement(project, self.builder.wheel(built.pin), built, line.where)
        is_commit = project.revision is not None and COMMIT.fullmatch(project.revision) is not None
        if opened.repository is not None and not is_commit:
            revision = project.revision or "the default branch"
            self.commits.append(f"{built.pin.name}: {revision} is commit {opened.repository.commit[:12]} today")
        return replace(line, text=text, is_fixed=is_commit or bool(hashes))

    def _opened(self, project: ProjectLine, builder: Builder, where: str, sha256: Collection[str]) -> Project:
        """Open *project*, whose archive has one of the hashes *sha256*, if there are any."""
        if project.kind in ("directory", "git") and sha256:
            what = f"has a hash, and a {project.kind} has none to compare it with"
            raise ContentError(where, what, got=", ".join(sha256), hint="remove the --hash", rule="A1")
        if project.kind == "directory":
            return builder.open_directory(Path(project.place))
        if project.kind == "git":
            return builder.open_repository(project.place, project.revision, project.subdirectory)
        is_local = project.kind == "archive"
        found = archive_project(Path(project.place)) if is_local else self._fetched(project, builder, where)
        if sha256 and found.source.sha256 not in sha256:
            want = " or ".join(sha256)
            raise ContentError(where, "is not what the line says", got=found.source.sha256, want=want, rule="A1")
        return found

    def _fetched(self, project: ProjectLine, builder: Builder, where: str) -> Project:
        """Fetch the archive at a URL; its hash is that of the line, if there is one, or what it is today."""
        builder.check_online(project.place)
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
        return builder.keep_source(found, project.place)

    def _requirement(self, project: ProjectLine, wheel: Path, built: Built, where: str) -> str:
        """Return the requirement of the wheel that was *built* of *project*."""
        pin = built.pin
        if project.name and project.name.lower().replace("_", "-").replace(".", "-") != pin.name:
            raise UsageError(where, "names another project than it leads to", got=pin.name, want=project.name)
        path = self.directory / "wheels" / pin.sha256 / pin.filename
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wheel, path)
        self.built[path] = pin
        marker = f" ; {project.marker}" if project.marker else ""
        return f"{pin.name}{project.extras} @ {path.as_uri()}{marker}"
