"""Poetry's words for versions → PEP 440's.

    ^1.2.3   >=1.2.3,<2.0.0     up to the next change of the first number that is not zero
    ~1.2.3   >=1.2.3,<1.3       up to the next minor version
    1.2.*    ==1.2.*            * is any version, and a version alone is that one

* ``||`` joins ranges. PEP 440 has no word for it; in a marker it is ``or``.
"""

from __future__ import annotations

import re

from packaging.markers import Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bundler.runtime.errors import UsageError

_BLANKS = re.compile(r"(?<=[=<>!~^,|])\s+|\s+(?=[,|])")
_RANGE = re.compile(r"(?P<operator>[\^~])(?P<numbers>[0-9]{1,9}(?:\.[0-9]{1,9}){0,5})(?P<rest>[\w.+-]*)", re.ASCII)
_PLAIN = re.compile(r"(?P<operator>===?|!=|~=|>=|<=|=|>|<|)(?P<version>v?[0-9][\w.!+*-]*)", re.ASCII)


def specifiers(text: str, where: str) -> str:
    """Return the specifiers of the versions *text*, empty for any; raise ``UsageError`` if PEP 440 has none."""
    ranges = _ranges(text, where)
    if len(ranges) > 1:
        hint = "write one range, or name poetry.lock instead"
        raise UsageError(where, "asks for versions that no requirement can name", got=text, hint=hint)
    return ranges[0]


def python_marker(text: str, where: str) -> Marker | None:
    """Return the marker of the versions of Python *text*; None if any will do."""
    ranges = _ranges(text, where)
    if "" in ranges:
        return None
    alternatives = [" and ".join(_clause(clause) for clause in versions.split(",")) for versions in ranges]
    return Marker(" or ".join(f"({alternative})" for alternative in alternatives))


def _clause(clause: str) -> str:
    operator = re.match(r"[=<>!~]+", clause)
    assert operator is not None  # noqa: S101 - as _ranges writes them
    return f"python_full_version {operator[0]} '{clause[operator.end() :]}'"


def _ranges(text: str, where: str) -> list[str]:
    """Return the ranges of *text*, each in PEP 440's words."""
    ranges = []
    for part in _BLANKS.sub("", text.strip()).split("||"):
        clauses = [_specifier(clause, text, where) for clause in re.split(r"[,\s]+", part.strip(" ,"))]
        ranges.append(",".join(clause for clause in clauses if clause))
    return ranges


def _specifier(clause: str, text: str, where: str) -> str:
    """Return *clause*, a part of *text*, in PEP 440's words."""
    if clause in ("", "*"):
        return ""
    if match := _RANGE.fullmatch(clause):
        numbers = [int(number) for number in match["numbers"].split(".")]
        last = min(1, len(numbers) - 1)
        if match["operator"] == "^":
            last = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
        above = ".".join(map(str, (*numbers[:last], numbers[last] + 1)))
        clause = f">={match['numbers']}{match['rest']},<{above}"
    elif match := _PLAIN.fullmatch(clause):
        operator = "==" if match["operator"] in ("", "=") else match["operator"]
        clause = f"{operator}{match['version']}"
    try:
        SpecifierSet(clause)
    except InvalidSpecifier:
        raise UsageError(where, "has versions that are not understood", got=text, want="^1.2 or >=1.2,<2") from None
    return clause
