"""A resolution + what the preset's image has → what could be left to the image, and what its server would refuse.

* The image has a package in a fitting version if that is the one that was chosen, or if it is asked for by name and
  everything that asks for it accepts the image's version.
* Only what the server needs is looked at for conflicts, as it is the server that has to start; ``bundle check`` looks
  at everything.
* Nothing is left out and nothing is constrained: it is told, and that is all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.pins import Provided
from bundler.resolving.baseline.conflicts import check, needed_by
from bundler.runtime.indexes import Distribution
from bundler.targets import marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.utils import NormalizedName

    from bundler.locks import Lock
    from bundler.pins import Pin
    from bundler.reporters import Reporter
    from bundler.resolving.baseline.bundled_baselines import BundledBaseline
    from bundler.resolving.baseline.conflicts import Conflict
    from bundler.resolving.lines.requirement_lines import RequirementLine
    from bundler.runtime.targets import Target

_SERVER = canonicalize_name("azureml-inference-server-http")
_NAMED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOverlaps:
    """Tells of a lock what *image* has of it already. The packages *dropped* will not be in the bundle."""

    image: BundledBaseline
    dropped: frozenset[NormalizedName] = frozenset()

    def tell(self, lock: Lock, lines: Iterable[RequirementLine], reporter: Reporter) -> None:
        """Tell *reporter* about *lock*, which *lines* have asked for."""
        pins = [pin for pin in lock.pins if pin.name not in self.dropped]
        found = self._in_the_image(pins, lines, lock.target)
        if found:
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            named = ", ".join(map(str, found[:_NAMED]))
            reporter.hint(
                f"the image of {self.image.preset} has already, by the list of {self.image.resolved}: {named}{more}; "
                f"--skip-provided leaves {'them' if len(found) > 1 else 'it'} out"
            )
        if refused := self._refused(pins, lock.target):
            conflicts = "; ".join(f"{conflict.demand}, and the bundle has {conflict.found}" for conflict in refused)
            reporter.warning(
                f"the bundle stands before the image of {self.image.preset}, whose server may not start: {conflicts}. "
                f"--baseline {self.image.preset} resolves so that nothing of the image breaks"
            )

    def _in_the_image(self, pins: Sequence[Pin], lines: Iterable[RequirementLine], target: Target) -> list[Provided]:
        """Return what of *pins* the image has in a fitting version: the server first, then what is asked for."""
        image = self.image.baseline.packages
        accepted: dict[NormalizedName, bool] = {}
        for line in lines:
            item = image.get(line.name)
            if item is not None and line.is_wanted(marker_environment(target)):
                fits = item.version is not None and line.accepts(item.version)
                accepted[line.name] = accepted.get(line.name, True) and fits
        found = []
        for pin in pins:
            item = image.get(pin.name)
            if item is None or item.version is None:
                continue
            if accepted.get(pin.name, item.version == pin.version):
                found.append(Provided(name=pin.name, version=item.version))
        return sorted(found, key=lambda item: (item.name != _SERVER, item.name not in accepted, item.name))

    def _refused(self, pins: Iterable[Pin], target: Target) -> list[Conflict]:
        """Return what the image's server, or something that it needs, requires in another version than *pins* have."""
        bundle = [
            Distribution(pin.name, str(pin.version), pin.filename, pin.sha256, layer=0, size=0, requires=())
            for pin in pins
        ]
        broken = check(bundle, self.image.baseline, target).broken
        needed = needed_by({_SERVER}, self.image.baseline, target) if broken else set()
        return [conflict for conflict in broken if conflict.demand.package in needed]
