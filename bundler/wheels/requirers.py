"""What wheels require → who requires what was dropped: a line for each distribution that somebody misses.

* Markers are the target's. What only an extra asks for is not counted: nobody knows any more which were asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison
from packaging.requirements import InvalidRequirement
from packaging.utils import canonicalize_name

from bundler.markers import parse_requirement
from bundler.targets import marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from bundler.pins import Dropped
    from bundler.runtime.targets import Target


def missed(dropped: Sequence[Dropped], requires: Mapping[str, Sequence[str]], target: Target) -> Iterator[str]:
    """Yield a warning for each of *dropped* that is required; *requires*: who → its Requires-Dist lines."""
    if not dropped:
        return
    wanted = {who: set(_required(lines, target)) for who, lines in requires.items()}
    for item in dropped:
        if who := sorted(who for who, names in wanted.items() if item.name in names):
            yield f"{item} was dropped, and is required by {', '.join(who)}"


def _required(lines: Iterable[str], target: Target) -> Iterator[NormalizedName]:
    environment = {**marker_environment(target), "extra": ""}
    for line in lines:
        try:
            requirement = parse_requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                yield canonicalize_name(requirement.name)
        except (InvalidRequirement, UndefinedComparison):
            continue
