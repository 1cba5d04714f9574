"""Requirements + baseline → a resolution that does not break the image that the bundle will lie over.

Three attempts, from what changes least:
1. Every package that the image has, and that is needed, in exactly the image's version. Nothing is overridden then.
2. The same, except for packages that are asked for in another version.
3. The image's versions only where they fit.
In each, whenever a package of the image is overridden, what the rest of the image requires of it becomes a constraint,
with the extras it asks for, and resolution is repeated; this ends, as constraints only grow. So requirements of the
image are needed, and looked up, only if something is overridden.

With ``leave_out``, what is chosen in exactly the image's version is left to the image, with what it needs there.
Metadata-only wheels tell the resolver about it, so that what only the image needs is never resolved. An attempt that
makes do with an older version of what is asked for counts only if no other does without: there is nothing to gain by
leaving more to the image. If there is no solution, the packages of the image that stand in the way are named.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from bundler.locks import applicable
from bundler.pins import Provided
from bundler.resolving.baseline.conflicts import Demand, Member, demands, members, needed_by
from bundler.resolving.baseline.metadata_only_wheels import write_metadata_only_wheels
from bundler.resolving.uv.unsolved import Unsolved
from bundler.runtime.errors import BundleError
from bundler.targets import marker_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from packaging.pylock import Pylock
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.resolving.baseline.baselines import Baseline
    from bundler.resolving.lines.requirement_lines import RequirementLine
    from bundler.runtime.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedInput:
    """What is asked of the resolver besides what the user asks for."""

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    preferences: Mapping[NormalizedName, Version] = field(default_factory=dict)
    find_links: Path | None = None


class Ask(Protocol):
    """Asks the resolver."""

    def __call__(self, added: AddedInput) -> Pylock:
        """Return the resolution; raise ``Unsolved`` if there is none."""


class BlockedByBaseline(Unsolved):
    """No solution meets *demands* of the image."""

    def __init__(self, text: str, demands: Sequence[Demand], baseline: Baseline, *, left_out: bool) -> None:
        """Take *text*, the resolver's explanation, and the demands that it is about."""
        super().__init__(text)
        self.demands = demands
        self.baseline = baseline
        self.left_out = left_out

    def error(self, explained: BundleError) -> BundleError:
        """Return the error, of which *explained* is the resolver's part."""
        names = ", ".join(sorted({demand.name for demand in self.demands}))
        hint = f"loosen what asks for another {names}, or use an image that has one"
        if self.is_about_wheels and not self.left_out:
            hint = f"--skip-provided leaves {names} to the image; or {hint}"
        reason = explained.what if explained.where == "requirements" else explained.fault
        what = f"the image is in the way: {'; '.join(map(str, self.demands))}; {reason}"
        return BundleError(self.baseline.where, what, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineConstraints:
    """How to resolve for the image of *baseline*.

    *complete* adds the requirements that *baseline* does not know; *leave_out* says to leave to the image what it has,
    for which *wheels* is where metadata-only wheels are kept.
    """

    baseline: Baseline
    complete: Callable[[Baseline], Baseline]
    leave_out: bool
    wheels: Path

    def solve(
        self, lines: Iterable[RequirementLine], target: Target, ask: Ask, warn: Callable[[str], None]
    ) -> tuple[Pylock, tuple[Provided, ...]]:
        """Return the resolution by *ask*, without the packages that are left to the image; and these.

        *lines* is what the user asks for. Raise ``Unsolved`` if there is no solution.
        """
        lines = list(lines)
        search = _Search(self, target, ask)
        versions = search.versions
        names = {line.name for line in lines}
        others = {line.name for line in lines if _contradicts(line, versions, target)}
        attempts = [versions, {name: version for name, version in versions.items() if name not in others}, {}]
        best: tuple[Pylock, dict[NormalizedName, str]] | None = None
        for n, exact in enumerate(attempts):
            if exact in attempts[:n]:
                continue
            try:
                pylock = search.resolution(exact)
            except Unsolved:
                if exact or best is not None:
                    continue
                raise
            older = search.held_back(pylock, names)
            is_fine = not (self.leave_out and older.keys() & names)
            if is_fine or best is None:
                best = pylock, older
            if is_fine:
                break
        if best is None:
            raise AssertionError("the last attempt has an answer, or has raised")
        pylock, older = best
        for text in search.unchecked(pylock):
            warn(text)
        if older:
            warn(f"{self.baseline.where}: held back by the image: {', '.join(older.values())}")
        return search.split_provided(pylock) if self.leave_out else (pylock, ())


class _Search:
    """The attempts, and what they find out about the image."""

    def __init__(self, baseline_constraints: BaselineConstraints, target: Target, ask: Ask) -> None:
        self._constraints = baseline_constraints
        self._baseline = baseline_constraints.baseline
        self._target = target
        self._ask = ask
        self._wheels: Path | None = None
        packages = self._baseline.packages.values()
        self.versions = {item.name: item.version for item in packages if item.version is not None}
        if baseline_constraints.leave_out:
            self._complete()
            self._wheels = write_metadata_only_wheels(self._baseline, baseline_constraints.wheels)

    def resolution(self, exact: Mapping[NormalizedName, Version]) -> Pylock:
        """Return a resolution with *exact* versions of the image that breaks nothing of it."""
        found: dict[str, Demand] = {}
        while True:
            try:
                pylock = self._ask(self._added_input(exact, found.values()))
            except Unsolved as unsolved:
                raise self._blame(unsolved, found.values()) from None
            new = {demand.text: demand for demand in self._demands(pylock) if demand.text not in found}
            if not new:
                return pylock
            found |= new

    def unchecked(self, pylock: Pylock) -> Iterator[str]:
        """Yield what is not known about the image that *pylock* overrides, a line for each reason."""
        chosen = self._chosen(pylock)
        reasons: dict[str, list[str]] = {}
        for item in self._baseline.packages.values() if self._overridden(chosen) else ():
            if item.unknown is not None and item.name not in chosen:
                reasons.setdefault(item.unknown, []).append(str(item))
        for reason, items in reasons.items():
            yield f"{self._baseline.where}: not checked: {', '.join(items)}: {reason}"

    def held_back(self, pylock: Pylock, asked_for: AbstractSet[NormalizedName]) -> dict[NormalizedName, str]:
        """Return what the image lacks and is older in *pylock* than without the image, with both versions.

        What is *asked_for* and left to the image stays there: without the image it would bring all that it needs.
        """
        left = {name: version for name, version in self._left(pylock).items() if name in asked_for}
        constraints = tuple(f"{name}=={version}" for name, version in left.items())
        try:
            free = self._chosen(self._ask(AddedInput(constraints=constraints, find_links=self._wheels)))
        except Unsolved:
            return {}
        return {
            name: f"{name} {version} (without the image: {other})"
            for name, version in self._chosen(pylock).items()
            if name not in self.versions and version and (other := free.get(name)) and version < other
        }

    def split_provided(self, pylock: Pylock) -> tuple[Pylock, tuple[Provided, ...]]:
        """Return *pylock* without the packages that the image has in exactly that version; these and what they need."""
        left = self._left(pylock)
        kept = [package for package in pylock.packages if package.name not in left]
        needed = needed_by(left, self._baseline, self._target) - {package.name for package in kept}
        provided = (Provided(name=name, version=self.versions[name]) for name in sorted(needed & self.versions.keys()))
        return replace(pylock, packages=kept), tuple(provided)

    def _left(self, pylock: Pylock) -> dict[NormalizedName, Version]:
        """Return what is left to the image: what it has in exactly the version of *pylock*."""
        if not self._constraints.leave_out:
            return {}
        chosen = self._chosen(pylock).items()
        return {name: version for name, version in chosen if version and self.versions.get(name) == version}

    def _added_input(self, exact: Mapping[NormalizedName, Version], found: Iterable[Demand]) -> AddedInput:
        return AddedInput(
            # The package is in the resolution already: a requirement adds the extra.
            requirements=tuple(demand.text for demand in found if demand.requirement.extras),
            constraints=(
                *(f"{name}=={version}" for name, version in exact.items()),
                *(f"{demand.name}{demand.requirement.specifier}" for demand in found),
            ),
            preferences=self.versions,
            find_links=self._wheels,
        )

    def _demands(self, pylock: Pylock) -> Iterator[Demand]:
        """Yield what the packages that stay of the image require of those that *pylock* overrides."""
        chosen = self._chosen(pylock)
        overridden = self._overridden(chosen)
        if not overridden:
            return
        self._complete()
        union = members(self._baseline) | {
            name: Member(name=name, version=version, requires=(), bundled=True) for name, version in chosen.items()
        }
        for demand in demands(union.values(), self._target):
            own = self._baseline.packages.get(demand.name)
            # What did not fit in the image before is none of the bundle's doing.
            if demand.name in overridden and own is not None and demand.fits(own.version):
                yield demand

    def _chosen(self, pylock: Pylock) -> dict[NormalizedName, Version | None]:
        return {package.name: package.version for package in applicable(pylock.packages, self._target)}

    def _overridden(self, chosen: Mapping[NormalizedName, Version | None]) -> set[NormalizedName]:
        image = self._baseline.packages
        return {name for name, version in chosen.items() if name in image and image[name].version != version}

    def _complete(self) -> None:
        if self._baseline is self._constraints.baseline:
            self._baseline = self._constraints.complete(self._baseline)

    def _blame(self, unsolved: Unsolved, found: Iterable[Demand]) -> Unsolved:
        """Return *unsolved* as an error that names the demands among *found* that it is about."""
        demands = list(found)
        named = [demand for demand in demands if unsolved.names(demand.name)]
        if not demands:
            return unsolved
        return BlockedByBaseline(
            str(unsolved), named or demands, self._constraints.baseline, left_out=self._constraints.leave_out
        )


def _contradicts(line: RequirementLine, versions: Mapping[NormalizedName, Version], target: Target) -> bool:
    """Return whether *line* asks for another version than the image has."""
    if line.name not in versions or not line.is_wanted(marker_environment(target)):
        return False
    return not line.accepts(versions[line.name])
