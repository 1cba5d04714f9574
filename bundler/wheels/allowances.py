"""What is refused unless somebody allows it: each case is named by the sha256 of its file or wheel.

* ``--allow sha256:…`` allows exactly one file or wheel, in exactly these bytes.
* The index of the bundle lists what was allowed, and what was known by its contents: ``bundle inspect`` shows it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.runtime.errors import UsageError
from bundler.runtime.indexes import ALLOWED, KNOWN, Allowance

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGEST = re.compile("(?:sha256:)?([0-9a-f]{64})", re.ASCII)


def parse_allowed(texts: Iterable[str]) -> frozenset[str]:
    """Return the sha256s, in hex, that ``--allow`` names; raise ``UsageError`` for any other text."""
    found = set()
    for text in texts:
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise UsageError("--allow", "is not the sha256 of a file or wheel", got=text, want="sha256:…")
        found.add(match[1])
    return frozenset(found)


def remedy(sha256: str) -> str:
    """Return the option that allows the file or wheel with this *sha256*."""
    return f"--allow sha256:{sha256}"


class Allowances:
    """What is allowed, and which of these allowances were needed so far."""

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        """Allow the files and wheels with these sha256s."""
        self._allowed = allowed
        self._used: set[Allowance] = set()

    def permit(self, rule: str, name: str, sha256: str) -> bool:
        """Tell whether *name* may break *rule*, and note that it did."""
        if sha256 not in self._allowed:
            return False
        self._used.add(Allowance(rule, name, sha256, ALLOWED))
        return True

    def know(self, rule: str, name: str, sha256: str) -> None:
        """Note that *name* would break *rule*, but is known by its contents."""
        self._used.add(Allowance(rule, name, sha256, KNOWN))

    @property
    def used(self) -> tuple[Allowance, ...]:
        """The allowances that were needed."""
        return tuple(sorted(self._used))
