"""A conda environment file → what it asks PyPI for, which Python, and what a bundle goes without.

Read are conda's ``environment.yml``, Azure ML's ``conda_dependencies.yml`` and MLflow's ``conda.yaml``.
* It is a mapping with a list ``dependencies`` of match specs and at most one ``pip:`` list. ``name``, ``channels`` and
  ``prefix`` say nothing to a bundle. Another key is noted.
* Nothing is constructed from the YAML: text, lists and mappings are all there is. Aliases, tags, more than 128 KiB and
  deep nesting are refused before a tree is made of it.
* Each package is mapped or left out, and either is said: ``mapped``, ``left_out``.
* Lines below ``pip:`` are handed on as they are. Paths in them are made absolute: they are relative to the file.
* Each requirement keeps its line number, so that later errors name the right line.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.inputs.conda.match_specs import MatchSpec
from bundler.inputs.conda.package_names import LONGER_VERSIONS, pypi_name, reason_to_leave_out
from bundler.inputs.listings import Input, Line, Listing
from bundler.inputs.python_versions import WantedPython
from bundler.runtime.errors import BundleError, UsageError
from bundler.small_files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from yaml import Node

_LARGEST = 128 << 10
_DEEPEST = 12
_SUFFIXES = (".yml", ".yaml")
_KNOWN_KEYS = frozenset({"name", "channels", "prefix", "dependencies", "variables"})
_DEPENDENCIES = re.compile(rb"^dependencies[ \t]*:[ \t]*(?:[#\[].*)?\r?$", re.MULTILINE)
_TEXT = "tag:yaml.org,2002:str"
_NOTHING = "tag:yaml.org,2002:null"
_WITH_PATH = re.compile(
    r"(?P<option>-r|--requirement|-c|--constraint|-f|--find-links|-e|--editable)(?:\s*=\s*|\s*)(?P<path>[^\s=].*)"
)
# Absolute, of the home directory, a variable, or a URL.
_NOT_RELATIVE = re.compile(r"[/~$]|[\w+.-]+:", re.ASCII)
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A conda package and the requirement that it has become; *by_table*: it has another name on PyPI."""

    spec: str
    requirement: str
    by_table: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A conda package that a bundle goes without, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaFile:
    """What a conda environment file says. *lines* are requirement lines, each with the number of its line."""

    python: WantedPython | None
    lines: tuple[tuple[int, str], ...]
    mapped: tuple[Mapped, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    def listing(self, path: Path) -> Listing:
        """Return the lines, which stand in the file at *path*."""
        return Listing(path=path, lines=tuple(Line(number=number, text=text) for number, text in self.lines))


def is_conda_file(path: Path) -> bool:
    """Tell whether *path* is a conda environment file, by its name, or by its ``dependencies:``."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    try:
        # A pipe can be read only once, and not by us.
        return path.is_file() and _DEPENDENCIES.search(path.read_bytes()[:_LARGEST]) is not None
    except OSError:
        return False


def read_conda_input(path: Path) -> Input:
    """Return what the conda environment file at *path* asks for, and what has become of each of its packages."""
    file = read_conda_file(path)
    hints = {}
    for item in file.mapped:
        if not item.by_table:
            name = canonicalize_name(Requirement(item.requirement).name)
            said = f"{item.spec} is a conda package of {path}"
            hints[name] = f"{said}: remove it there if it is no Python package of this name"
    return Input(
        path=path,
        requirements=file.listing(path),
        python=file.python,
        hints=hints,
        notes=tuple(_decisions(file)),
        warnings=file.notes,
    )


def _decisions(file: CondaFile) -> Iterator[str]:
    """Yield what has become of the packages of *file*."""
    renamed = [f"{item.spec} → {item.requirement}" for item in file.mapped if item.by_table]
    same = [item.requirement for item in file.mapped if not item.by_table]
    mapped = [", ".join(renamed)] if renamed else []
    mapped += [f"by their own names: {', '.join(same)}"] if same else []
    if mapped:
        yield f"taken from PyPI: {'; '.join(mapped)}"
    reasons = dict.fromkeys(item.reason for item in file.left_out)
    left_out = [
        f"{', '.join(item.name for item in file.left_out if item.reason == reason)} ({reason})" for reason in reasons
    ]
    if left_out:
        yield f"left out: {'; '.join(left_out)}"


def read_conda_file(path: Path) -> CondaFile:
    """Read the conda environment file at *path*; raise ``BundleError`` naming file and line if it is none."""
    try:
        text = read_bytes(path, _LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#04x} at {error.start}"
        raise BundleError(path, "is not UTF-8 text", got=got) from None
    return parse_conda_file(text, path)


def parse_conda_file(text: str, path: Path) -> CondaFile:
    """Return what *text* says, the conda environment file at *path*; raise ``UsageError`` if it is none."""
    document = _Document(path)
    root = document.compose(text)
    fields = document.mapping(root)
    if "dependencies" not in fields:
        named = fields.get("conda_file")
        raise UsageError(
            path,
            "is not a conda environment file",
            got=f"the keys {', '.join(fields)}" if fields else "no keys",
            want="dependencies",
            hint=f"name the file that it names: -r {named.value}" if named and isinstance(named.value, str) else None,
        )
    reader = _Reader(document)
    reader.read_dependencies(fields["dependencies"])
    return CondaFile(
        python=reader.python,
        lines=tuple(reader.lines),
        mapped=tuple(reader.mapped),
        left_out=tuple(reader.left_out),
        notes=tuple(_notes(fields)),
    )


def _notes(fields: dict[str, Node]) -> list[str]:
    notes = [f"the key {key} is not known, and ignored" for key in fields if key not in _KNOWN_KEYS]
    variables = fields.get("variables")
    if variables is not None and variables.value:
        notes.append("its variables are not part of a bundle: set them where it runs")
    return notes


class _Document:
    """The YAML at a path: what it is made of, with errors that name the line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.directory = path.absolute().parent

    def where(self, node: Node) -> str:
        return f"{self._path.name}:{node.start_mark.line + 1}"

    def error(self, node: Node, what: str, want: str) -> UsageError:
        got = node.value if isinstance(node.value, str) else f"a {_kind(node)}"
        return UsageError(self.where(node), what, got=got, want=want)

    def compose(self, text: str) -> Node:
        """Return the root of *text*, after a look at its events: a tree is only made of what is small and plain."""
        import yaml  # noqa: PLC0415 - only who has such a file needs it

        try:
            depth = 0
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                where = f"{self._path.name}:{event.start_mark.line + 1 if event.start_mark else 0}"
                if isinstance(event, yaml.AliasEvent):
                    raise UsageError(where, "is a YAML alias, which may stand for anything", got=f"*{event.anchor}")
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > _DEEPEST:
                    raise UsageError(where, "is nested too deeply", want=f"at most {_DEEPEST} levels")
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{self._path.name}:{mark.line + 1}" if mark else self._path.name
            problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it has a fault"
            raise UsageError(where, f"is not YAML: {problem}") from None
        except (ValueError, OverflowError):  # PyYAML's own, for "\U99999999" and the like
            raise UsageError(self._path.name, "is not YAML: it has a character that does not exist") from None
        if root is None:
            raise UsageError(self._path, "is not a conda environment file", got="nothing", want="dependencies")
        return root

    def mapping(self, node: Node) -> dict[str, Node]:
        """Return the fields of *node*."""
        if _kind(node) != "mapping":
            raise self.error(node, "is not what a conda environment file has here", "a mapping")
        fields: dict[str, Node] = {}
        for key, value in node.value:
            name = self.text(key)
            if name in fields:
                raise UsageError(self.where(key), "is there twice", got=name)
            fields[name] = value
        return fields

    def items(self, node: Node) -> list[Node]:
        """Return the items of *node*; of nothing, none."""
        if node.tag == _NOTHING:
            return []
        if _kind(node) != "sequence":
            raise self.error(node, "is not what a conda environment file has here", "a list")
        items: list[Node] = node.value
        return items

    def text(self, node: Node) -> str:
        """Return the text of *node*, which is one line."""
        if _kind(node) != "scalar" or node.tag != _TEXT:
            raise self.error(node, "is not what a conda environment file has here", "text")
        text = str(node.value).replace("\t", " ").strip()
        if not text or not text.isprintable() or text.endswith("\\"):
            raise self.error(node, "is not one line of text", "a package, requirement or option")
        return text


def _kind(node: Node) -> str:
    """Return ``scalar``, ``sequence`` or ``mapping``."""
    return str(getattr(node, "id", ""))


class _Reader:
    """Collects what a list of dependencies says."""

    def __init__(self, document: _Document) -> None:
        self._document = document
        self.python: WantedPython | None = None
        self.lines: list[tuple[int, str]] = []
        self.mapped: list[Mapped] = []
        self.left_out: list[LeftOut] = []

    def read_dependencies(self, node: Node) -> None:
        pip: Node | None = None
        for item in self._document.items(node):
            if _kind(item) != "mapping":
                self._add_package(MatchSpec.parse(self._document.text(item), self._document.where(item)), item)
                continue
            fields = self._document.mapping(item)
            if list(fields) != ["pip"]:
                got = ", ".join(fields) or "nothing"
                raise UsageError(self._document.where(item), "is no kind of dependency", got=got, want="pip")
            if pip is not None:
                raise UsageError(self._document.where(item), "is a second list for pip", want="one")
            pip = fields["pip"]
            for line in self._document.items(pip):
                text = _with_absolute_path(self._document.text(line), self._document.directory)
                self._add_line(line, text)

    def _add_package(self, spec: MatchSpec, node: Node) -> None:
        if spec.name == "python":
            if self.python is not None:
                got = f"{self.python.text}, {spec.text}"
                raise UsageError(spec.where, "names python a second time", got=got, want="one version")
            self.python = WantedPython.of(spec.versions(), text=spec.text, where=spec.where)
        elif (reason := reason_to_leave_out(spec.name)) is not None:
            self.left_out.append(LeftOut(name=spec.name, reason=reason))
        else:
            name = pypi_name(spec.name)
            project = name or spec.name
            requirement = f"{project}{spec.versions(is_short=project in LONGER_VERSIONS)}"
            self.mapped.append(Mapped(spec=spec.text, requirement=requirement, by_table=name is not None))
            self._add_line(node, requirement)

    def _add_line(self, node: Node, text: str) -> None:
        self.lines.append((node.start_mark.line + 1, text))


def _with_absolute_path(line: str, directory: Path) -> str:
    """Make the path in the requirement line *line* absolute, if there is one that is relative to *directory*."""
    if option := _WITH_PATH.fullmatch(line):
        path = option["path"].strip("'\"")
        if _NOT_RELATIVE.match(path):
            return line
        path = os.path.normpath(directory / path)
        return f"{option['option']} {shlex.quote(path) if ' ' in path else path}"
    place = re.split(r"[\s;\[]", line, maxsplit=1)[0]
    if _NOT_RELATIVE.match(place) or "@" in place or line.startswith("-"):
        return line
    if "/" in place or place.startswith(".") or place.lower().endswith(_ARCHIVES):
        return f"{os.path.normpath(directory / place)}{line.removeprefix(place)}"
    return line
