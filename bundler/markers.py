"""Requirement lines and markers → parsed, or refused if they are excessive or depend on what is known only at boot.

* What is too long or too deep is refused before it is parsed (rule A2): each version of the parser, and of Python,
  gives up at another depth.
* Of the marker variables, two say which kernel runs. A lock cannot know them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from bundler.targets import marker_environment

if TYPE_CHECKING:
    from packaging.markers import Marker

    from bundler.runtime.targets import Target

UNKNOWN_MARKERS = ("platform_release", "platform_version")
EXCESSIVE = "is too long or too deep"
_MAX_LENGTH = 16 << 10
_MAX_DEPTH = 32
_QUOTED = re.compile("'[^']*'|\"[^\"]*\"")
_UNKNOWN = re.compile(rf"\b(?:{'|'.join(UNKNOWN_MARKERS)})\b")


def parse_requirement(line: str) -> Requirement:
    """Parse *line*; raise ``InvalidRequirement`` if it is none, or excessive."""
    if is_excessive(line):
        raise InvalidRequirement(f"{line[:80]}… {EXCESSIVE}")
    return Requirement(line)


def is_excessive(text: str) -> bool:
    """Tell whether the requirement or marker *text* is longer, or has deeper parentheses, than anybody needs."""
    if len(text) > _MAX_LENGTH:
        return True
    depth = 0
    for char in _QUOTED.sub("", text):
        depth += (char in "([") - (char in ")]")
        if depth > _MAX_DEPTH:
            return True
    return False


def names_unknown(text: str) -> str | None:
    """Return the first variable in the requirement or marker *text* that nobody knows before the bundle boots."""
    found = _UNKNOWN.search(_QUOTED.sub("", text))
    return found[0] if found else None


def depends_on_unknown(marker: Marker, target: Target) -> bool:
    """Tell whether the value of *marker* on *target* depends on what is known only when the bundle boots.

    It is tried with the values that it compares with, and with some that are smaller and larger than any.
    """
    text = str(marker)
    if names_unknown(text) is None:
        return False
    values = {"", "0", "99999", *re.findall("[\"']([^\"']*)[\"']", text)}
    environment = {**marker_environment(target), "extra": ""}
    results = {marker.evaluate({**environment, **dict.fromkeys(UNKNOWN_MARKERS, value)}) for value in values}
    return len(results) > 1
