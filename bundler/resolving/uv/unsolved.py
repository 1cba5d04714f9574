"""What uv prints when it finds no solution, read. Nothing else knows uv's wording.

* No credentials: uv's output was redacted before.
* What is found is a help to explain. That there is no solution is what uv's exit status says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

# A name, with extras where the requirement has some.
_NAMED = r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?"
_NO_WHEEL = re.compile(rf"{_NAMED}==(?P<version>[\w.!+]+) has no (?:usable )?wheels", re.ASCII)
_ANY_NO_WHEEL = re.compile(rf"{_NAMED}\S* has no (?:usable )?wheels", re.ASCII)
_NOT_FOUND = re.compile(
    r"(?:(?P<name>[A-Za-z0-9][\w.-]*) was not found in the (?:package registry|provided package locations)"
    r"|there are no versions of (?P<empty>[A-Za-z0-9][\w.-]*))",
    re.ASCII,
)
_NO_VERSION = re.compile(
    r"(?:there is no version of|only(?: the following versions of)?) (?P<name>[A-Za-z0-9][\w.-]*)(?=[<>=!~\[\s])",
    re.ASCII,
)
_INVALID = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+]+) has (?:invalid metadata|an invalid package format)", re.ASCII
)
_BUILD = re.compile(r"Failed to (?:download and )?build `(?P<name>[\w.-]+)==(?P<version>[^`\s]+)`", re.ASCII)
_PYTHON = re.compile(r"(?:does not satisfy Python|requires? Python )(?P<specifier>[<>=!~][\w.<>=!~,*]*[\w*])", re.ASCII)
_DEPENDS = re.compile(
    rf"{_NAMED}(?P<version>[<>=!~]\S*)? (?:depends? on|requires?) (?P<needed>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?"
    r" ?(?P<specifier>[<>=!~][\w.<>=!~,*+]*[\w*])?",
    re.ASCII,
)
_YANKED = re.compile(r"^warning: `(?P<name>[\w.-]+)==(?P<version>[^`]+)` is yanked(?: \(reason: \"(?P<reason>.*)\"\))?")


class Unsolved(Exception):  # noqa: N818 - it is no error yet: it may be asked again in another way
    """What uv printed when it failed, without credentials."""

    @property
    def is_about_wheels(self) -> bool:
        """Whether a version that is needed has no wheel."""
        return bool(self.without_wheels)

    @property
    def is_about_places(self) -> bool:
        """Whether an index or a file could not be read."""
        return "://" in str(self)

    @property
    def is_offline(self) -> bool:
        """Whether it failed since it might not use the network."""
        return "was not found in the cache" in str(self) or "network was disabled" in str(self)

    @property
    def is_no_solution(self) -> bool:
        """Whether everything could be read, and there is no solution."""
        return "No solution found" in str(self)

    @property
    def needed_build(self) -> tuple[NormalizedName, str] | None:
        """Name and version of the source whose metadata uv wanted to learn by building it."""
        match = _BUILD.search(str(self))
        return None if match is None else (canonicalize_name(match["name"]), match["version"])

    @property
    def invalid_metadata(self) -> tuple[NormalizedName, str] | None:
        """Name and version of the wheel whose metadata uv does not accept."""
        match = _INVALID.search(str(self))
        return None if match is None else (canonicalize_name(match["name"]), match["version"])

    @property
    def hints(self) -> list[str]:
        """What uv proposes."""
        return [line.removeprefix("hint: ") for line in self._told if line.startswith("hint: ")]

    @property
    def reasons(self) -> list[str]:
        """Uv's reasons, a line each."""
        return [line for line in self._told if line and not line.startswith(("hint:", "No solution"))]

    @property
    def explanation(self) -> str:
        """The reasons in one line, without the markers that uv shows with names."""
        text = re.sub(r"\{[^}]*\}", "", " ".join(self.reasons))
        return re.sub(r",? we can conclude that your requirements are unsatisfiable\.?", ".", text)

    @property
    def no_wheel(self) -> tuple[NormalizedName, str] | None:
        """Name and version of what has no wheel for the target."""
        match = _NO_WHEEL.search(self.explanation)
        return None if match is None else (canonicalize_name(match["name"]), match["version"])

    @property
    def no_version(self) -> NormalizedName | None:
        """The project of which a version is asked for that there is not."""
        match = _NO_VERSION.search(self.explanation)
        return None if match is None else canonicalize_name(match["name"])

    @property
    def not_found(self) -> str | None:
        """The project that no index has, as it was asked for."""
        match = _NOT_FOUND.search(self.explanation)
        return None if match is None else match["name"] or match["empty"]

    @property
    def pythons(self) -> list[str]:
        """The versions of Python that are asked for and that the target has not, such as ``>=3.8``."""
        return list(dict.fromkeys(match["specifier"] for match in _PYTHON.finditer(self.explanation)))

    @property
    def without_wheels(self) -> list[NormalizedName]:
        """The projects that have no wheel for the target in some version that is asked for."""
        found = _ANY_NO_WHEEL.finditer(self.explanation)
        return list(dict.fromkeys(canonicalize_name(match["name"]) for match in found))

    def names(self, name: str) -> bool:
        """Tell whether the project *name* is among the reasons."""
        return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-]*\w)", str(self), re.IGNORECASE) is not None

    def chain(self, root: NormalizedName, name: NormalizedName) -> list[str]:
        """Return how *root* leads to *name*: each step with the versions it asks for; empty if uv says nothing."""
        steps: dict[NormalizedName, dict[NormalizedName, str]] = {}
        for match in _DEPENDS.finditer(self.explanation):
            needed = canonicalize_name(match["needed"])
            text = f"{match['needed']}{match['specifier'] or ''}"
            steps.setdefault(canonicalize_name(match["name"]), {}).setdefault(needed, text)
        paths: list[tuple[NormalizedName, list[str]]] = [(root, [])]
        seen = {root}
        for at, path in paths:  # grows: breadth first
            if at == name:
                return path
            for needed, text in steps.get(at, {}).items():
                if needed not in seen:
                    seen.add(needed)
                    paths.append((needed, [*path, text]))
        return []

    @property
    def _told(self) -> list[str]:
        lines = [line.strip() for line in str(self).splitlines()]
        told = [line for line in lines if not line.startswith("warning:")]
        return [re.sub(r"^(?:error|cause|[×╰─▶├│ ]+)[:\s]*", "", line) for line in told]


def yanked(said: str) -> dict[tuple[NormalizedName, str], str]:
    """Return the yanked versions that uv warns of when it has a solution, each with the reason; that may be empty."""
    found = filter(None, map(_YANKED.match, said.splitlines()))
    return {(canonicalize_name(match["name"]), match["version"]): match["reason"] or "" for match in found}
