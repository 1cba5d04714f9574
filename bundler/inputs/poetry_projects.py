"""``[tool.poetry]`` of a ``pyproject.toml`` → requirement lines.

* Read are ``dependencies``, ``extras``, ``group.NAME.dependencies`` and ``dev-dependencies``, the old group ``dev``.
* An optional dependency is asked for if a chosen extra names it.
* A dependency may be one of several versions, by Python or platform: each is a line of its own with a marker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import InvalidName, canonicalize_name

from bundler.inputs.documents import Table, line_of
from bundler.inputs.listings import Line, line_text
from bundler.inputs.locks.locked_packages import both, parse_marker, path_place, plain
from bundler.inputs.poetry_versions import python_marker, specifiers
from bundler.inputs.python_versions import WantedPython
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from packaging.markers import Marker
    from packaging.utils import NormalizedName

_PLACES = ("git", "path", "url", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoetryProject:
    """The *table* ``[tool.poetry]`` in the *text* of the file at *path*."""

    text: str
    table: Table
    path: Path

    @property
    def extras(self) -> frozenset[NormalizedName]:
        """The names of the extras."""
        return frozenset(map(canonicalize_name, self.table.table("extras").fields))

    @property
    def groups(self) -> frozenset[NormalizedName]:
        """The names of the groups."""
        old = ["dev"] if "dev-dependencies" in self.table else []
        return frozenset(map(canonicalize_name, [*old, *self.table.table("group").fields]))

    def python(self) -> WantedPython | None:
        """Return the Python that the project asks for; None if it names none, or several ranges."""
        python = self.table.table("dependencies").fields.get("python")
        if not isinstance(python, str) or "||" in python:
            return None
        where = f"{self.path.name}:{line_of(self.text, 'tool.poetry.dependencies', 'python')}"
        return WantedPython.of(specifiers(python, where), text=f"python {python}", where=where)

    def lines(self, extras: Iterable[NormalizedName]) -> list[Line]:
        """Return the lines of the main dependencies, with the optional ones of *extras*."""
        listed = self.table.table("extras")
        optional = {
            canonicalize_name(name.partition("[")[0].split()[0])
            for extra in listed.fields
            if canonicalize_name(extra) in extras
            for name in listed.texts(extra)
            if name.strip()
        }
        return list(self._lines(self.table.table("dependencies"), "tool.poetry.dependencies", optional))

    def group(self, name: NormalizedName) -> list[Line]:
        """Return the lines of the group *name*; none if there is no such group."""
        lines: list[Line] = []
        for group in self.table.table("group").fields:
            if canonicalize_name(group) == name:
                dependencies = self.table.table("group").table(group).table("dependencies")
                lines += self._lines(dependencies, f"tool.poetry.group.{group}", ())
        if name == "dev":
            lines += self._lines(self.table.table("dev-dependencies"), "tool.poetry.dev-dependencies", ())
        return lines

    def _lines(self, table: Table, header: str, optional: Iterable[NormalizedName]) -> Iterator[Line]:
        for name, value in table.fields.items():
            if name == "python":
                continue
            number = line_of(self.text, f"[{header}", f"\n{name}")
            where = f"{self.path.name}:{number}"
            try:
                normal = canonicalize_name(name, validate=True)
            except InvalidName:
                raise UsageError(where, "is no name of a package", got=ascii(name)) from None
            wanted = Table(fields={"all": value if isinstance(value, list) else [value]}, where=where)
            for item in wanted.fields["all"]:
                fields = item if isinstance(item, dict) else {"version": item}
                dependency = Table(fields=fields, where=where)
                if not dependency.is_true("optional") or normal in optional:
                    yield Line(number=number, text=self._requirement(normal, dependency))

    def _requirement(self, name: NormalizedName, table: Table) -> str:
        """Return the requirement that *table* says."""
        where = table.where
        extras = f"[{','.join(table.texts('extras'))}]" if table.texts("extras") else ""
        place = next((key for key in _PLACES if key in table), None)
        if place == "git":
            revision = table.text("rev") or table.text("tag") or table.text("branch")
            url = table.text("git")
            url = url if "://" in url else f"ssh://{url.replace(':', '/', 1)}"
            part = f"#subdirectory={table.text('subdirectory')}" if "subdirectory" in table else ""
            said = f" @ {plain(f'git+{url}' + (f'@{revision}' if revision else '') + part, where)}"
        elif place == "url":
            said = f" @ {plain(table.text('url'), where)}"
        elif place is not None:
            said = f" @ {path_place(table.text(place), self.path.parent, where)}"
        else:
            said = specifiers(table.text("version"), where)
        marker = both(
            parse_marker(table.text("markers"), where),
            python_marker(table.text("python"), where) if "python" in table else None,
            parse_marker(f"sys_platform == '{table.text('platform')}'", where) if "platform" in table else None,
        )
        return line_text(f"{name}{extras}{said}{_suffix(marker)}", where)


def _suffix(marker: Marker | None) -> str:
    return "" if marker is None else f" ; {marker}"
