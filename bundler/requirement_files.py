"""Requirement files → the hashes they demand, and the lines that cannot become a wheel.

uv reads the files for resolution; it ignores the hashes in them, which are enforced here (``resolve``). Read are:
``-r`` and ``-c`` (relative to the file), comments, continued lines, ``${VARIABLE}``, ``--hash``.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bundler.outputs import read_text
from bundler.runtime.errors import BundleError, ContentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s*=?\s*)(?P<path>.+)")
_SHA256 = re.compile("[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class HashDemand:
    """A requirement line with hashes: the sha256 in hex of the files that it accepts."""

    where: str
    sha256: frozenset[str] = field(default_factory=frozenset)


def demanded_hashes(
    files: Sequence[Path], markers: Mapping[str, str], environ: Mapping[str, str] | None = None
) -> dict[NormalizedName, list[HashDemand]]:
    """Return, for each project, what hashes *files* and what they include demand where *markers* hold.

    Raise ``BundleError`` naming file and line for what cannot be read, or can never be a wheel.
    """
    demands: dict[NormalizedName, list[HashDemand]] = {}
    environ = os.environ if environ is None else environ
    for path in files:
        for where, line in _lines(path, environ, ()):
            _check_line(where, line)
            requirement, _, options = line.partition(" --")
            hashes = re.findall(r"--hash(?:=|\s+)(\S+)", f"--{options}") if options else []
            if hashes:
                name, wanted = _name_of(requirement, where, markers)
                if not wanted:
                    continue
                strong = {text.removeprefix("sha256:") for text in hashes if text.startswith("sha256:")}
                if not strong or not all(_SHA256.fullmatch(text) for text in strong):
                    raise ContentError(where, "has no valid sha256 among its hashes", got=", ".join(hashes), rule="A1")
                demands.setdefault(name, []).append(HashDemand(where, frozenset(strong)))
    return demands


def _lines(path: Path, environ: Mapping[str, str], parents: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Yield ``file:line`` and the joined line of *path* and what it includes."""
    path = path.absolute()
    if path in parents:
        raise UsageError(path, "includes itself", got=" → ".join(parent.name for parent in (*parents, path)))
    joined, start = "", 0
    for number, raw in enumerate([*read_text(path).splitlines(), ""], 1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            joined += raw[:-1] + " "
            continue
        line = _COMMENT.sub("", joined + raw).strip()
        line = _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), line)
        joined, number, start = "", start, 0  # noqa: PLW2901 - where the joined line began
        include = _INCLUDE.fullmatch(line)
        if include:
            name = shlex.split(include["path"])[0]
            if "://" not in name:
                yield from _lines(path.parent / name, environ, (*parents, path))
        elif line:
            yield f"{path.name}:{number}", line


def _check_line(where: str, line: str) -> None:
    """Refuse what can never be a wheel."""
    hint = "build a wheel for the target and name the wheel instead"
    if re.match(r"(-e|--editable)\b", line):
        raise UsageError(where, "is editable, and a bundle holds wheels only", got=line, hint=hint)
    if re.search(r"(^|@\s*)(git|hg|svn|bzr)\+", line):
        raise UsageError(where, "is a repository, and a bundle holds wheels only", got=line, hint=hint)
    bare = line.partition(" ")[0].partition("#")[0]
    if bare.endswith((".tar.gz", ".zip", ".tar.bz2", ".tgz")):
        raise UsageError(where, "is a source distribution, and a bundle holds wheels only", got=bare, hint=hint)


def _name_of(requirement: str, where: str, markers: Mapping[str, str]) -> tuple[NormalizedName, bool]:
    """Return the project that *requirement* names, and whether it is wanted where *markers* hold."""
    text = requirement.strip()
    if text.endswith(".whl") and not re.match(r"[\w.-]+\s*@", text):
        return canonicalize_name(text.rpartition("/")[2].partition("-")[0]), True
    try:
        parsed = Requirement(text)
    except InvalidRequirement as error:
        raise BundleError(where, f"is not a requirement: {str(error).splitlines()[0]}", got=text) from None
    wanted = parsed.marker is None or parsed.marker.evaluate({**markers, "extra": ""})
    return canonicalize_name(parsed.name), wanted
