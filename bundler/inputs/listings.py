"""What a file asks for: requirement lines with the places they stand at, the Python it wants, what it tells a user.

* A line has the number that it has in its file, so that errors of the resolver name the right line.
* A marker is evaluated for the target before the line is written: what the target does not need is not asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.markers import names_unknown
from bundler.runtime.errors import UsageError
from bundler.targets import marker_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from packaging.markers import Marker
    from packaging.utils import NormalizedName

    from bundler.inputs.python_versions import WantedPython
    from bundler.runtime.targets import Target


# A comment, an option or the end of a line that goes on: what a requirements file has and a requirement has not.
_MEANS_MORE = re.compile(r"\s#|\s--|\\$")


def line_text(requirement: str, where: str) -> str:
    """Return *requirement* as one line; raise ``UsageError`` if a requirements file would read it otherwise."""
    text = " ".join(requirement.split())
    if _MEANS_MORE.search(text) or not text.isprintable():
        raise UsageError(where, "is no line of a requirements file", got=ascii(text))
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The extras and dependency groups that a user wants besides the main dependencies, in normalised names."""

    extras: frozenset[NormalizedName] = frozenset()
    groups: frozenset[NormalizedName] = frozenset()

    @classmethod
    def of(cls, extras: Sequence[str], groups: Sequence[str]) -> Chosen:
        """Return what the names *extras* and *groups* choose."""
        return cls(extras=frozenset(map(canonicalize_name, extras)), groups=frozenset(map(canonicalize_name, groups)))

    def holds(self, marker: Marker, target: Target) -> bool:
        """Tell whether *marker* holds on *target* for what is chosen."""
        environment: dict[str, str | AbstractSet[str]] = {
            **marker_environment(target),
            "extras": self.extras,
            "dependency_groups": self.groups,
        }
        return any(marker.evaluate({**environment, "extra": extra}, "requirement") for extra in ("", *self.extras))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a requirements file, the number it has where it was read, and where it is wanted.

    *name* is that of the package if the line is a locked one; *registry* is where that was found, if the lock tells.
    """

    number: int
    text: str
    marker: Marker | None = None
    name: NormalizedName | None = None
    registry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Lines that stand in the file at *path*."""

    path: Path
    lines: tuple[Line, ...]

    def for_target(self, target: Target, chosen: Chosen) -> Listing:
        """Leave the lines that *target* needs; raise ``UsageError`` if nobody can know of one."""
        kept = []
        for line in self.lines:
            if line.marker is not None and (unknown := names_unknown(str(line.marker))):
                what = f"depends on {unknown}, which nobody knows before the bundle boots"
                raise UsageError(f"{self.path.name}:{line.number}", what, got=str(line.marker))
            if line.marker is None or chosen.holds(line.marker, target):
                kept.append(line)
        return Listing(path=self.path, lines=tuple(kept))

    def text(self) -> str:
        """Return the text of a requirements file, with each line where it is here, if that is free, else below."""
        text, at = [], 1
        for line in sorted(self.lines, key=lambda line: line.number):
            text.append("\n" * (line.number - at))
            text.append(f"{line.text}\n")
            at = max(line.number, at) + 1
        return "".join(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the file at *path* says.

    *constraints* are versions of a lock that does not say itself what is needed. *is_lock*: all versions are named
    here, with their hashes. *environments* are where it was made for, if it says. *chosen* is what markers are
    evaluated for. *extras* and *groups* are the names that can be chosen. *hints* are what to say of a project that
    could not be had. *notes* are what was decided, *warnings* what is odd.
    """

    path: Path
    requirements: Listing
    constraints: Listing | None = None
    python: WantedPython | None = None
    environments: tuple[Marker, ...] = ()
    is_lock: bool = False
    chosen: Chosen = Chosen()
    extras: frozenset[NormalizedName] = frozenset()
    groups: frozenset[NormalizedName] = frozenset()
    hints: Mapping[NormalizedName, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def for_target(self, target: Target) -> Input:
        """Leave what *target* needs; raise ``UsageError`` if the lock is for other targets."""
        if self.environments and not any(self.chosen.holds(marker, target) for marker in self.environments):
            got = " or ".join(map(str, self.environments))
            raise UsageError(self.path, "was made for other targets", got=got, want=target)
        constraints = None if self.constraints is None else self.constraints.for_target(target, self.chosen)
        if constraints is not None:
            _refuse_two_versions(constraints)
        return replace(self, requirements=self.requirements.for_target(target, self.chosen), constraints=constraints)

    @property
    def locked(self) -> tuple[Line, ...]:
        """The lines that the lock has, if it is one."""
        listings = (self.requirements, *((self.constraints,) if self.constraints else ()))
        return tuple(line for listing in listings for line in listing.lines if line.name) if self.is_lock else ()


def _refuse_two_versions(constraints: Listing) -> None:
    by_name: dict[str, Line] = {}
    for line in constraints.lines:
        name = line.name or ""
        other = by_name.setdefault(name, line)
        if other.text != line.text:
            raise UsageError(
                f"{constraints.path.name}:{line.number}",
                f"is a second version of {name} for the target, and the lock does not say which is needed",
                got=line.text.partition(" --hash")[0],
                want=other.text.partition(" --hash")[0],
                hint="lock again with a newer version of its tool, which writes that down",
            )
