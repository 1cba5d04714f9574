"""An ``.amlignore`` or ``.gitignore`` → which files an upload to Azure ML drops, and by which line.

* Only the file at the root of the code folder counts; where there is an ``.amlignore``, the ``.gitignore`` is not read.
* The last line that matches a file decides, and a file below a dropped directory can be taken back: every file is
  looked at alone. (azure-ai-ml from 1.4 on. Before, the first line that matched decided; git does not look into
  directories that are dropped.)
* ``keeping`` writes an ``.amlignore`` that lets a bundle through however it is read: by azure-ai-ml of any version or
  by git. What else is dropped stays dropped.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.runtime.errors import UsageError
from bundler.small_files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_DIRECTORY_MARK = "ps_d"
NAMES = (".amlignore", ".gitignore")
_SPECIAL = re.compile(r"[\\*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line of an ignore file. *pattern* is None where the line cannot be understood, at which az stops."""

    number: int
    line: str
    pattern: GitIgnoreSpecPattern | None

    def matches(self, path: str) -> bool:
        """Tell whether the line is about the file *path*, or a directory above it."""
        return self.pattern is not None and self.pattern.match_file(path) is not None

    def matches_directory(self, path: str) -> bool:
        """Tell whether the line is about the directory *path* itself, as git would ask."""
        result = self.pattern.match_file(f"{path}/") if self.pattern is not None else None
        if result is None:
            return False
        # pathspec marks the slash behind the directory that was matched.
        mark = result.match.groupdict().get(_DIRECTORY_MARK)
        return mark is None or result.match.start(_DIRECTORY_MARK) == len(path)

    @property
    def drops(self) -> bool:
        """Whether it drops what it matches."""
        return self.pattern is not None and bool(self.pattern.include)


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreFile:
    """The rules of the file called *name*."""

    name: str
    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, text: str, name: str) -> IgnoreFile:
        """Return the rules in *text*."""
        return cls(name=name, rules=tuple(_rules(text.splitlines())))

    def dropping(self, path: str) -> Rule | None:
        """Return the line that drops the file *path* (relative to the root, with ``/``), or None if it is kept."""
        return _drop(rule for rule in reversed(self.rules) if rule.matches(path))

    @property
    def faulty(self) -> tuple[Rule, ...]:
        """The lines that cannot be understood."""
        return tuple(rule for rule in self.rules if rule.pattern is None)


def governing(folder: Path) -> IgnoreFile | None:
    """Return the ignore file that decides what of *folder* is uploaded; None if everything is."""
    for name in NAMES:
        if (folder / name).exists():
            return IgnoreFile.parse(read_text(folder / name), name)
    return None


def append_command(folder: Path, *lines: str) -> str:
    """Return the command that adds *lines* to what decides about the upload of *folder*.

    A new ``.amlignore`` begins as a copy of the ``.gitignore``, which is not read any more from then on.
    """
    names = [name for name in NAMES if (folder / name).exists()]
    copy = "cp .gitignore .amlignore && " if names == [".gitignore"] else ""
    # An empty line first: the last line of a file may lack its end.
    arguments = " ".join(map(shlex.quote, ["", *lines] if names else lines))
    return f"{copy}printf '%s\\n' {arguments} >> .amlignore"


def kept_patterns(path: str) -> tuple[str, str]:
    """Return the lines that take the file or directory *path*, and everything below it, back into the upload."""
    parts = path.strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or not path.isprintable():
        raise UsageError(path, "cannot be named in an ignore file", want="a path inside the code folder")
    name = "/".join(map(_escaped, parts))
    return f"!/{name}", f"!/{name}/**"


def keeping(existing: str | None, bundle_name: str) -> str:
    """Return the text of an ``.amlignore`` that keeps all of *bundle_name* and else does what *existing* does.

    *existing* is the text of the ``.amlignore`` or, where there is none, of the ``.gitignore``. Doing it again changes
    nothing. *bundle_name* is relative to the code folder, a file or a directory.
    """
    keep = kept_patterns(bundle_name)
    marks = (f"# bundler keeps {bundle_name}:", f"# as far as here ({bundle_name})")
    lines = _without_marked((existing or "").splitlines(), marks)
    if any(line.strip() for line in lines):
        lines = _open_ancestors(lines, bundle_name.strip("/"), marks)
        # At the top for those that take the first match, at the end for those that take the last.
        lines = [marks[0], *keep, marks[1], *lines]
    return "\n".join([*lines, marks[0], *keep, marks[1]]) + "\n"


def _open_ancestors(lines: list[str], path: str, marks: tuple[str, str]) -> list[str]:
    """Return *lines* such that git looks into the directories above *path*, and drops what else is in them.

    Where a line drops a directory, two lines behind it take the directory back and drop its members instead: for
    azure-ai-ml, which looks at every file alone, that changes nothing.
    """
    parts = path.split("/")
    for depth in range(1, len(parts)):
        directory = "/".join(parts[:depth])
        rule = _drop(rule for rule in reversed(list(_rules(lines))) if rule.matches_directory(directory))
        if rule is not None:
            opened, _ = kept_patterns(directory)
            lines = [
                *lines[: rule.number],
                marks[0],
                f"{opened}/",
                f"{opened[1:]}/*",
                marks[1],
                *lines[rule.number :],
            ]
    return lines


def _without_marked(lines: list[str], marks: tuple[str, str]) -> list[str]:
    """Return *lines* without what an earlier ``keeping`` has added; a group can lie in another."""
    if lines.count(marks[0]) != lines.count(marks[1]):  # somebody has edited them
        return lines
    kept = []
    depth = 0
    for line in lines:
        depth += line == marks[0]
        if depth <= 0:
            kept.append(line)
        depth -= line == marks[1]
    return kept


def _rules(lines: Iterable[str]) -> Iterable[Rule]:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # noqa: PLC0415 - create seldom meets such a file

    for number, line in enumerate(lines, 1):
        pattern = None
        # The class that matches as the copy of pathspec 0.10 in azure-ai-ml does: "a/*" is about all below a, too.
        with contextlib.suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of re, about sets such as [[a]
            pattern = GitIgnoreSpecPattern(line.strip())
        yield Rule(number=number, line=line, pattern=pattern)


def _drop(matching: Iterable[Rule]) -> Rule | None:
    """Return the first of *matching* if that is one that drops."""
    rule = next(iter(matching), None)
    return rule if rule is not None and rule.drops else None


def _escaped(part: str) -> str:
    escaped = _SPECIAL.sub(r"\\\g<0>", part)
    # az strips lines, escaped spaces included.
    return f"{escaped.rstrip(' ')}{'[ ]' * (len(escaped) - len(escaped.rstrip(' ')))}"
