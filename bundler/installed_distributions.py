"""A directory of installed packages, or a virtual environment → what their own files say of them.

* Files are read, and nothing else: no interpreter of the environment runs, nothing in it is imported.
* Lenient: what is missing, no file or larger than metadata can be says nothing. Who needs it looks for it.
"""

from __future__ import annotations

import email
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import InvalidTag, parse_tag
from packaging.utils import canonicalize_name

from bundler.markers import parse_requirement
from bundler.targets import compatibility_tags, marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message
    from pathlib import Path

    from packaging.requirements import Requirement
    from packaging.tags import Tag

    from bundler.runtime.targets import Target

MAX_METADATA = 16 << 20
_DASHES_IN_TAG = 2
_MAX_PARTS = 1000  # of the tags of one line, and of lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An installed project: its metadata directory, version, and headers of METADATA and WHEEL."""

    info: Path
    version: str
    metadata: Message
    wheel: Message

    @classmethod
    def read(cls, info: Path) -> Distribution:
        """Read the ``.dist-info`` or ``.egg-info`` *info*; what is missing is empty."""
        metadata = next((found for name in ("METADATA", "PKG-INFO", "") if (found := _headers(info / name))), _NOTHING)
        version = metadata.get("Version") or info.stem.partition("-")[2]
        return cls(info=info, version=version, metadata=metadata, wheel=_headers(info / "WHEEL"))

    def python_fits(self, target: Target) -> bool:
        """Tell whether it says that it works with the Python of *target*."""
        try:
            return SpecifierSet(self.metadata.get("Requires-Python") or "").contains(target.python, prereleases=True)
        except InvalidSpecifier:
            return True

    def tags(self) -> frozenset[Tag]:
        """Return the tags of the wheel that it was; none if it does not say them."""
        lines = [line for line in self.wheel.get_all("Tag", []) if line.count("-") == _DASHES_IN_TAG]
        try:
            return frozenset(
                tag for line in lines[:_MAX_PARTS] if line.count(".") < _MAX_PARTS for tag in parse_tag(line)
            )
        except InvalidTag:
            return frozenset()

    def tags_fit(self, target: Target) -> bool:
        """Tell whether pip would have installed its wheel on *target*."""
        tags = self.tags()
        return not tags or not tags.isdisjoint(compatibility_tags(target))

    def requirements(self, target: Target) -> Iterator[Requirement]:
        """Yield what it requires on *target*, extras aside."""
        environment = {**marker_environment(target), "extra": ""}
        for line in self.metadata.get_all("Requires-Dist", []):
            try:
                requirement = parse_requirement(line)
                needed = requirement.marker is None or requirement.marker.evaluate(environment)
            except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
                continue
            if needed:
                yield requirement


def distributions_in(path: Path) -> Mapping[str, Distribution]:
    """Return the projects that are installed in *path*, by normal name."""
    return {
        canonicalize_name(info.name.partition("-")[0].removesuffix(info.suffix)): Distribution.read(info)
        for pattern in ("*.dist-info", "*.egg-info")
        for info in sorted(path.glob(pattern))
    }


def pyvenv_settings(root: Path) -> dict[str, str]:
    """Return what ``pyvenv.cfg`` in *root* says, if there is one."""
    pairs = (line.split("=", 1) for line in _text(root / "pyvenv.cfg").splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}


def _headers(file: Path) -> Message:
    return email.message_from_string(_text(file).partition("\n\n")[0])


def _text(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        data = opened.read(MAX_METADATA + 1)
    return data.decode("utf-8", "replace").replace("\r\n", "\n") if len(data) <= MAX_METADATA else ""


_NOTHING = email.message_from_string("")
