"""Distributions that have one path with different bytes → one error for each two of them (rule A14).

* Known twins are refused by their names, before anything is fetched. Where the user excludes files, the files decide.
* The remedy is to drop one of the two. To exclude single files helps only where nobody needs them, and leaves a package
  that is half the one and half the other where somebody does: it is offered for a few files, and never for twins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bundler.layers.twins import find_twins
from bundler.runtime.errors import ContentError, Faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.pins import Pin

_SHOWN = 3


class Owner(NamedTuple):
    """The distribution that a file comes from."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Conflicts:
    """The paths with different bytes, by the two distributions that have them."""

    def __init__(self) -> None:
        self._paths: dict[tuple[Owner, Owner], list[str]] = {}

    def add(self, path: str, first: Owner, second: Owner) -> None:
        """Note that *path* has other bytes in *first* than in *second*."""
        one, other = sorted((first, second))
        self._paths.setdefault((one, other), []).append(path)

    def check(self) -> None:
        """Raise ``ContentError`` if there are any: one for each two distributions."""
        _raise([_conflict(owners, sorted(paths)) for owners, paths in sorted(self._paths.items())])


def check_twins(pins: Sequence[Pin], *, exclude: Sequence[str]) -> None:
    """Raise ``ContentError`` if *pins* are known to be one package several times, and no files are excluded."""
    versions = {str(pin.name): pin.version for pin in pins}
    faults = []
    for found in [] if exclude else find_twins(versions):
        *others, last = (f"{name} {versions[name]}" for name in sorted([found.keep, *found.drop]))
        where = f"{', '.join(others)} and {last}"
        what = f"are one package in {len(others) + 1} builds, each of which brings {found.module}"
        faults.append(ContentError(where, what, hint=found.remedy, rule="A14"))
    _raise(faults)


def _raise(faults: list[ContentError]) -> None:
    if faults:
        raise Faults("packages", faults) if len(faults) > 1 else faults[0]


def _conflict(owners: tuple[Owner, Owner], paths: list[str]) -> ContentError:
    first, second = owners
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ContentError(
        f"{first} and {second}",
        f"have different contents for {'one path' if len(paths) == 1 else f'{len(paths)} paths'}",
        got=", ".join(paths[:_SHOWN]) + more,
        hint=_remedy(first, second, paths),
        rule="A14",
    )


def _remedy(first: Owner, second: Owner, paths: list[str]) -> str:
    for found in find_twins({first.name, second.name}):
        return found.remedy
    drop = f"if one of them is enough, --drop {second.name} or --drop {first.name}"
    if len(paths) > _SHOWN:
        return drop
    exclude = " ".join(f"--exclude '{path}'" for path in paths)
    return f"{drop}; if nobody needs what differs, {exclude}"
