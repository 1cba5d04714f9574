"""What is found in a deployment: a value for each thing that would fail or that somebody should know.

* ``fails``: with these settings and files the deployment does not start or does not work. ``warning``: it may work.
* A finding says what it is, why it will fail and what to type. Its *name* stands in docs/doctor.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["fails", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. *path* is a path in the code folder or the name of a variable; *files* are all it is about."""

    name: str
    severity: Severity
    path: str
    what: str
    why: str
    type: str
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the finding for ``--json``."""
        return {**asdict(self), "files": list(self.files)}


def some(names: tuple[str, ...] | list[str], shown: int = 3) -> str:
    """Return the first few of *names* and how many more there are."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
