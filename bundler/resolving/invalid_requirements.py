"""Requirements that no standard knows any more → what they ask for, as pip read them when they were published.

* Their version specifiers are of the time before PEP 440: ``pytz (>=2011k)``. What is a specifier stays; what is none
  is left out, and said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bundler.markers import parse_requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMED = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?)\s*\(?(?P<specifiers>[<>=!~][^;()@]*)\)?\s*(?P<marker>;.*)?",
    re.ASCII,
)


def valid_requirements(requirements: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return *requirements* in the standard's form, and what each that had another one is read as."""
    read_as: dict[str, str] = {}
    valid = []
    for text in requirements:
        try:
            parse_requirement(text)
        except InvalidRequirement:
            read_as[text] = _valid(text)
        valid.append(read_as.get(text, text))
    return tuple(valid), read_as


def _valid(text: str) -> str:
    """Return *text* without what is no specifier; raise ``InvalidRequirement`` if it is no requirement even so."""
    match = _NAMED.fullmatch(text)
    if match is None:
        raise InvalidRequirement(text)
    specifiers = ",".join(part.strip() for part in match["specifiers"].split(",") if _is_specifier(part))
    valid = f"{match['name'].strip()}{specifiers}{' ' + match['marker'] if match['marker'] else ''}"
    parse_requirement(valid)
    return valid


def _is_specifier(text: str) -> bool:
    try:
        return bool(SpecifierSet(text))
    except InvalidSpecifier:
        return False
