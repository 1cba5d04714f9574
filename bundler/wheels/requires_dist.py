"""The Requires-Dist lines of a wheel: refused if excessive, or dependent on what is known only at boot (rule A2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement

from bundler.markers import (
    EXCESSIVE,
    UNKNOWN_MARKERS,
    depends_on_unknown,
    is_excessive,
    names_unknown,
    parse_requirement,
)
from bundler.runtime.errors import ContentError, UsageError

if TYPE_CHECKING:
    from bundler.runtime.targets import Target
    from bundler.wheels.wheel_reader import Wheel


def check_requires_dist(wheel: Wheel, target: Target) -> None:
    """Refuse a wheel whose requirements are excessive, or depend on what is known only when the bundle boots."""
    for line in wheel.requires:
        if is_excessive(line):
            raise ContentError(wheel.filename, f"has a requirement that {EXCESSIVE}", got=f"{line[:80]}…", rule="A2")
        if _depends_on_unknown(line, target):
            raise UsageError(
                f"{wheel.name} {wheel.version}",
                f"has a requirement that depends on {' or '.join(UNKNOWN_MARKERS)}, which nobody knows before boot",
                got=line,
                hint="choose another version of it, or make a wheel of it that says what it needs",
            )


def _depends_on_unknown(line: str, target: Target) -> bool:
    try:
        marker = parse_requirement(line).marker
    except InvalidRequirement:
        return names_unknown(line) is not None  # otherwise uv has understood it, or has left it out
    return marker is not None and depends_on_unknown(marker, target)
