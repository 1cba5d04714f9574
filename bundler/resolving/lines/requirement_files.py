"""Requirement files → their lines, each with where it stands, and their options, as pip reads both.

* ``-r`` and ``-c`` are followed, relative to the file that has them; a file may not include itself.
* An option holds for everything that is resolved, not only for its file: that is how pip reads it, too.
* ``--no-require-hashes``, which pip does not know, is for the files that are written in place of another tool's lock:
  the hashes in that file count for their lines, and demand nothing of others.
* Options that change nothing here, such as ``--use-feature``, are ``ignored``, and the user hears of them. One that pip
  does not know is refused.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bundler.fetching.index_options import redacted_text
from bundler.resolving.lines.requirement_text import read_lines, unquote_path
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundler.fetching.index_options import IndexOptions

NO_REQUIRE_HASHES = "--no-require-hashes"
_INCLUDE = re.compile(r"(?P<option>-r|--requirement|-c|--constraint)(?:\s*=?\s*)(?P<path>.+)")
_EDITABLE = re.compile(r"(-e|--editable)\b")
_LINE_OPTION = re.compile(r"\s(--(?!hash\b)[a-z][a-z-]*)")
# They change how pip runs, not what is chosen; the last ones are of pips before 10.
_IGNORED = {
    "--use-feature": 1,
    "--config-settings": 1,
    "--global-option": 1,
    "--install-option": 1,
    "--allow-external": 1,
    "--allow-unverified": 1,
    "--allow-all-external": 0,
    "--process-dependency-links": 0,
    "--use-wheel": 0,
    "--no-use-wheel": 0,
    "--always-unzip": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that asks for something: its *text*, ``file:line``, and what paths in it are relative to.

    It *is_fixed* if it stood for a commit: for what can be no other. A hash in it *demands_hashes* of all lines.
    """

    where: str
    text: str
    base: Path = Path()
    is_fixed: bool = False
    demands_hashes: bool = True


@dataclass(slots=True, kw_only=True)
class FileOptions:
    """What the options in requirement files say, in pip's terms. *formats* are for uv, in their order."""

    index_url: str | None = None
    extra_index_urls: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    no_index: bool = False
    trusted_hosts: list[str] = field(default_factory=list)
    prereleases: bool = False
    prefer_wheels: bool = False
    require_hashes: str | None = None
    formats: list[str] = field(default_factory=list)
    no_binary: str | None = None
    ignored: dict[str, None] = field(default_factory=dict)

    def on_top_of(self, indexes: IndexOptions) -> IndexOptions:
        """Return *indexes* with what the files say added, or in its place, as pip does it."""

        def joined(ours: tuple[str, ...], theirs: list[str]) -> tuple[str, ...]:
            return tuple(dict.fromkeys((*ours, *theirs)))

        return replace(
            indexes,
            index_url=self.index_url or indexes.index_url,
            extra_index_urls=joined(indexes.extra_index_urls, self.extra_index_urls),
            find_links=joined(indexes.find_links, self.find_links),
            no_index=self.no_index or indexes.no_index,
            trusted_hosts=joined(indexes.trusted_hosts, self.trusted_hosts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementFiles:
    """What files ask for, what they constrain, and their options."""

    lines: tuple[Line, ...]
    constraints: tuple[Line, ...]
    options: FileOptions


def read_requirement_files(
    files: Sequence[Path], constraint_files: Sequence[Path] = (), environ: Mapping[str, str] | None = None
) -> RequirementFiles:
    """Return what *files*, *constraint_files* and what they include say.

    Raise ``BundleError`` naming file and line for what cannot be read, and for an option that there is not.
    """
    reader = _Reader(os.environ if environ is None else environ)
    for path in files:
        reader.read(path, (), reader.lines)
    for path in constraint_files:
        reader.read(path, (), reader.constraints)
    return RequirementFiles(lines=tuple(reader.lines), constraints=tuple(reader.constraints), options=reader.options)


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.lines: list[Line] = []
        self.constraints: list[Line] = []
        self.options = FileOptions()
        self._environ = environ

    def read(self, path: Path, parents: tuple[Path, ...], lines: list[Line]) -> None:
        """Read *path* into *lines*; *parents* are the files that include it."""
        resolved = path.resolve()
        if resolved in parents:
            names = " → ".join(parent.name for parent in (*parents, resolved))
            raise UsageError(path, "includes itself", got=names, hint="remove one of the -r or -c lines")
        found = read_lines(path, self._environ)
        demands_hashes = all(text != NO_REQUIRE_HASHES for _, text in found)
        for number, text in found:
            where = f"{path.name}:{number}"
            if text == NO_REQUIRE_HASHES:
                continue
            if include := _INCLUDE.fullmatch(text):
                into = self.constraints if include["option"] in ("-c", "--constraint") else lines
                self.read(path.parent / unquote_path(include["path"], where), (*parents, resolved), into)
            elif text.startswith("-") and not _EDITABLE.match(text):
                self._option(text, where, path.parent)
            else:
                self.options.ignored |= dict.fromkeys(_LINE_OPTION.findall(text))
                lines.append(Line(where=where, text=text, base=path.parent, demands_hashes=demands_hashes))

    def _option(self, text: str, where: str, base: Path) -> None:
        found = _parse_options(text, where)
        options = self.options
        options.index_url = found.index_url or options.index_url
        options.extra_index_urls += found.extra_index_url
        options.find_links += [_place(place, base) for place in found.find_links]
        options.no_index |= found.no_index
        options.trusted_hosts += found.trusted_host
        options.prereleases |= found.pre
        options.prefer_wheels |= found.prefer_binary
        options.require_hashes = where if found.require_hashes else options.require_hashes
        for option, names in found.formats or ():
            # In one word: a name that begins with a dash is no option of uv's.
            options.formats += [f"{option}={name.strip()}" for name in names.split(",")]
            if option == "--no-binary":
                options.no_binary = None if ":none:" in names else where
        options.ignored |= dict.fromkeys(found.ignored or ())


def _place(place: str, base: Path) -> str:
    """Return the find-links *place* of a file in *base*: relative to it, if it lies there."""
    return str((base / place).absolute()) if "://" not in place and (base / place).exists() else place


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


class _Keep(argparse.Action):
    """Keeps what was read in the order of the line, with the option's name."""

    def __call__(self, _parser: object, namespace: argparse.Namespace, values: object, option: object = None) -> None:
        kept = getattr(namespace, self.dest) or []
        kept.append((option, values) if self.dest == "formats" else option)
        setattr(namespace, self.dest, kept)


def _parse_options(text: str, where: str) -> argparse.Namespace:
    """Return the options of the line *text*; raise ``UsageError`` if pip would not take it either."""
    parser = _Parser(add_help=False, allow_abbrev=False, usage="")
    parser.add_argument("-i", "--index-url", "--pypi-url")
    parser.add_argument("--extra-index-url", action="append", default=[])
    parser.add_argument("-f", "--find-links", action="append", default=[])
    parser.add_argument("--no-index", action="store_true")
    parser.add_argument("--trusted-host", action="append", default=[])
    parser.add_argument("--pre", action="store_true")
    parser.add_argument("--prefer-binary", action="store_true")
    parser.add_argument("--require-hashes", action="store_true")
    parser.add_argument("--no-binary", "--only-binary", action=_Keep, dest="formats")
    for option, values in _IGNORED.items():
        parser.add_argument(option, action=_Keep, dest="ignored", nargs=values)
    try:
        return parser.parse_args(shlex.split(text))
    except ValueError as error:
        what = f"is no option of a requirements file: {redacted_text(str(error))}"
        raise UsageError(where, what, got=redacted_text(text)) from None
