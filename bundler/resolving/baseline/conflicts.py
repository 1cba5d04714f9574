"""A bundle over an image → what of the image it overrides, and which requirements are then not met. Pure.

On ``PYTHONPATH`` a bundle comes before the image's ``site-packages``: what both have is the bundle's, what only the
image has is the image's. On that union:
* Every requirement is evaluated with the markers of the target and with the extras that any other asks for.
* *broken*: one of the image, on a package of the bundle. What did not fit in the image already is none of the bundle's
  doing, and is left out.
* *unmet*: one of the bundle, on a package that is not there or in a version that does not fit; or a package that was
  left out of the bundle because the image it was made for has it, and this one has not.
* A package whose version or requirements are not known is *unchecked*, with the reason. That matters only where
  something is overridden: else nothing of the image can break.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.markers import parse_requirement
from bundler.targets import marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from bundler.pins import Provided
    from bundler.resolving.baseline.baselines import Baseline
    from bundler.runtime.indexes import Distribution
    from bundler.runtime.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A package of the union. *requires* is None where it is not known."""

    name: NormalizedName
    version: Version | None
    requires: tuple[Requirement, ...] | None
    bundled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A requirement that holds, of a package of the image or the bundle."""

    package: NormalizedName
    version: Version | None
    requirement: Requirement

    @property
    def name(self) -> NormalizedName:
        """The name of what is required."""
        return canonicalize_name(self.requirement.name)

    @property
    def text(self) -> str:
        """The requirement without its marker, which holds."""
        return requirement_text(self.requirement)

    def fits(self, version: Version | None) -> bool:
        """Return whether *version* is one that is asked for; one that is not known may be."""
        return version is None or self.requirement.specifier.contains(version, prereleases=True)

    def __str__(self) -> str:
        return f"{self.package} {self.version or '(unknown version)'} requires {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A package of the image that the bundle has in another version."""

    name: NormalizedName
    image: Version | None
    bundle: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A demand that is not met: what is there instead, or None for nothing."""

    demand: Demand
    found: Version | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """A package about which something is not known, and why."""

    name: NormalizedName
    version: Version | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a bundle does to an image.

    *same* are the packages that both have in one version, *provided* those that the bundle leaves to the image, *lost*
    those of them that this image lacks or has in another version. *pins* are, for each package that breaks something,
    the versions that the image accepts. *checked* is the number of packages that stay of the image and whose
    requirements are known.
    """

    overrides: tuple[Override, ...]
    same: tuple[NormalizedName, ...]
    broken: tuple[Conflict, ...]
    unmet: tuple[Conflict, ...]
    provided: tuple[Provided, ...]
    lost: tuple[tuple[Provided, Version | None], ...]
    unchecked: tuple[Unchecked, ...]
    checked: int
    pins: Mapping[NormalizedName, SpecifierSet] = field(default_factory=dict)

    @property
    def is_fine(self) -> bool:
        """Whether there is no conflict, as far as anything could be checked where something is overridden."""
        return not self.has_conflict and (self.checked > 0 or not self.unchecked)

    @property
    def has_conflict(self) -> bool:
        """Whether the image or the bundle is known not to work with the other."""
        return bool(self.broken or self.unmet or self.lost)


def check(
    distributions: Sequence[Distribution], baseline: Baseline, target: Target, provided: Sequence[Provided] = ()
) -> Report:
    """Compare the *distributions* of a bundle for *target*, which leaves *provided* to the image, with *baseline*."""
    strange: list[Unchecked] = []
    bundle = {item.name: item for item in _bundled(distributions, strange)}
    union = {**members(baseline), **bundle}
    broken, unmet = [], []
    for demand in demands(union.values(), target, strange):
        found = union.get(demand.name)
        fits = found is not None and demand.fits(found.version)
        if fits or (demand.package not in bundle and demand.name not in bundle):
            continue
        conflict = Conflict(demand=demand, found=found.version if found else None)
        if demand.package in bundle:
            unmet.append(conflict)
        elif demand.name not in baseline.packages or demand.fits(baseline.packages[demand.name].version):
            broken.append(conflict)
    image = baseline.packages
    shared = [(name, image[name].version, item.version) for name, item in sorted(bundle.items()) if name in image]
    matters = depends_on_requirements(distributions, baseline)
    relied_on = {demand.name for demand in demands(bundle.values(), target)} | {item.name for item in provided}
    unknown = [
        Unchecked(name=item.name, version=item.version, reason=item.unknown)
        for item in image.values()
        if item.unknown is not None and item.name not in bundle
        if matters or (item.version is None and item.name in relied_on)
    ]
    return Report(
        overrides=tuple(Override(name=name, image=old, bundle=new) for name, old, new in shared if old != new),
        same=tuple(name for name, old, new in shared if old == new),
        broken=tuple(broken),
        unmet=tuple(unmet),
        provided=tuple(provided),
        lost=tuple(_lost(provided, baseline, bundle)),
        unchecked=(*strange, *unknown),
        checked=sum(item.requires is not None for item in image.values() if item.name not in bundle),
        pins=_accepted_versions({conflict.demand.name for conflict in broken}, baseline, bundle, target),
    )


def depends_on_requirements(distributions: Iterable[Distribution], baseline: Baseline) -> bool:
    """Return whether what the image's packages require matters: one is overridden, or asked for with an extra."""
    bundle = {item.name: item for item in _bundled(distributions, [])}
    image = baseline.packages
    return any(
        (name in image and image[name].version != item.version)
        or any(each.extras and canonicalize_name(each.name) not in bundle for each in item.requires or ())
        for name, item in bundle.items()
    )


def _lost(
    provided: Iterable[Provided], baseline: Baseline, bundle: Mapping[NormalizedName, Member]
) -> Iterator[tuple[Provided, Version | None]]:
    for item in provided:
        there = baseline.packages.get(item.name)
        if item.name not in bundle and (there is None or there.version != item.version):
            yield item, there.version if there else None


def pinned_around(
    distributions: Sequence[Distribution], baseline: Baseline, target: Target, report: Report
) -> list[str]:
    """Return requirements for another bundle, which may go with the image of *baseline*.

    They are those of *distributions*, and of what is lost, that no other requires; in their versions, unless those
    break the image or require what does.
    """
    bundle = {item.name: item for item in _bundled(distributions, [])}
    required = set()
    free = set(report.pins)
    for demand in demands(bundle.values(), target):
        if demand.package != demand.name:
            required.add(demand.name)
        own = baseline.packages.get(demand.name)
        if demand.name in report.pins and own is not None and not demand.fits(own.version):
            free.add(demand.package)
    versions = {name: item.version for name, item in bundle.items()}
    for lost, found in report.lost:
        versions[lost.name] = lost.version
        free |= {lost.name} if found else set()
    roots = sorted(set(versions) - required) or sorted(versions)
    return [f"{name}{report.pins.get(name, '') if name in free else f'=={versions[name]}'}" for name in roots]


def members(baseline: Baseline) -> dict[NormalizedName, Member]:
    """Return the packages of *baseline*."""
    return {
        name: Member(name=name, version=item.version, requires=item.requires, bundled=False)
        for name, item in baseline.packages.items()
    }


def demands(union: Iterable[Member], target: Target, strange: list[Unchecked] | None = None) -> Iterator[Demand]:
    """Yield every requirement among *union* that holds on *target*, extras that are asked for included.

    What has a marker that cannot be evaluated is added to *strange*.
    """
    everything = {item.name: item for item in union}
    markers = marker_environment(target)
    extras: dict[NormalizedName, set[str]] = {name: set() for name in everything}
    waiting = list(everything)
    while waiting:
        item = everything[waiting.pop()]
        for requirement in _holding(item, extras[item.name], markers, None):
            name = canonicalize_name(requirement.name)
            wanted = {canonicalize_name(extra) for extra in requirement.extras}
            if name in extras and not wanted <= extras[name]:
                extras[name] |= wanted
                waiting.append(name)
    for name, item in sorted(everything.items()):
        for requirement in _holding(item, extras[name], markers, strange):
            yield Demand(package=name, version=item.version, requirement=requirement)


def needed_by(names: Iterable[NormalizedName], baseline: Baseline, target: Target) -> set[NormalizedName]:
    """Return *names* and all that they need in the image of *baseline*."""
    needs: dict[NormalizedName, set[NormalizedName]] = {}
    for demand in demands(members(baseline).values(), target):
        needs.setdefault(demand.package, set()).add(demand.name)
    found = set(names)
    waiting = list(found)
    while waiting:
        new = needs.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def requirement_text(requirement: Requirement) -> str:
    """Return *requirement* without its marker and its URL."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _holding(
    item: Member, extras: AbstractSet[str], markers: Mapping[str, str], strange: list[Unchecked] | None
) -> Iterator[Requirement]:
    for requirement in item.requires or ():
        try:
            holds = requirement.marker is None or any(
                requirement.marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras)
            )
        except (UndefinedComparison, UndefinedEnvironmentName) as error:
            holds = False
            if strange is not None:
                reason = f"its requirement {str(requirement)!r} cannot be evaluated: {error}"
                strange.append(Unchecked(name=item.name, version=item.version, reason=reason))
        if holds:
            yield requirement


def _bundled(distributions: Iterable[Distribution], strange: list[Unchecked]) -> Iterator[Member]:
    for item in distributions:
        name, version = canonicalize_name(item.name), None
        try:
            version = Version(item.version)
            requires = tuple(map(parse_requirement, item.requires))
        except (InvalidVersion, InvalidRequirement) as error:
            requires = ()
            strange.append(Unchecked(name=name, version=version, reason=f"in the bundle: {error}"))
        yield Member(name=name, version=version, requires=requires, bundled=True)


def _accepted_versions(
    names: AbstractSet[NormalizedName], baseline: Baseline, bundle: Mapping[NormalizedName, Member], target: Target
) -> dict[NormalizedName, SpecifierSet]:
    """Return the versions of *names* that what stays of the image accepts, apart from what it never accepted."""
    accepted = dict.fromkeys(sorted(names), SpecifierSet())
    for demand in demands([item for item in members(baseline).values() if item.name not in bundle], target):
        own = baseline.packages.get(demand.name)
        if demand.name in accepted and (own is None or demand.fits(own.version)):
            accepted[demand.name] &= demand.requirement.specifier
    return accepted
