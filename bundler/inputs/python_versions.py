"""The Python that a file asks for → the target that has it.

* A complete version is taken as it is, on the preset of its minor version; an incomplete one gets the preset's patch.
* A range gets the oldest preset that it admits, because the default target is the oldest.
* A target that somebody has named stays, if it is admitted; of a complete version, if it has the same minor version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from bundler.runtime.errors import UsageError
from bundler.targets import MINORS, PRESETS

if TYPE_CHECKING:
    from bundler.runtime.targets import Target

_COMPLETE = re.compile(r"==(?P<version>(?P<minor>3\.[0-9]+)\.[0-9]+)(?:\.\*)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPython:
    """The versions of Python that a file admits; *text* is its own word for them."""

    where: str
    text: str
    versions: SpecifierSet

    @classmethod
    def of(cls, versions: str, *, text: str, where: str) -> WantedPython:
        """Return what *versions* admits, which *text* says at *where*; ``==3.7`` means any 3.7."""
        if re.fullmatch(r"==[0-9]+(?:\.[0-9]+)?", versions, re.ASCII):
            versions += ".*"
        try:
            return cls(where=where, text=text, versions=SpecifierSet(versions))
        except InvalidSpecifier:
            raise UsageError(where, "names no versions of Python", got=text, want=">=3.8 or the like") from None

    def find_target(self) -> tuple[str | None, str | None]:
        """Return the names of a preset and of a complete version, as ``targets.find_target`` takes them.

        No preset: the default one; no version: that of the preset. Raise ``UsageError`` if there is nothing to choose.
        """
        if complete := _COMPLETE.fullmatch(str(self.versions)):
            of_minor = (name for name, preset in PRESETS.items() if preset.python.startswith(f"{complete['minor']}."))
            return next(of_minor, None), complete["version"]
        for name, preset in PRESETS.items():
            if preset.python in self.versions:
                return name, None
        known = ", ".join(preset.python.rpartition(".")[0] for preset in PRESETS.values())
        raise UsageError(
            self.where,
            "asks for a Python that no preset has",
            got=self.text,
            want=known,
            hint=f"name the target's Python: --python X.Y.Z, 3.{MINORS[0]} to 3.{MINORS[-1]}",
        )

    def check(self, target: Target, named_by: str) -> None:
        """Raise ``UsageError`` if *target*, which *named_by* has named, has a version that is not admitted."""
        complete = _COMPLETE.fullmatch(str(self.versions))
        versions = SpecifierSet(f"=={complete['minor']}.*") if complete else self.versions
        if Version(target.python) not in versions:
            raise UsageError(
                self.where,
                f"asks for another Python than {named_by}",
                got=self.text,
                want=target.python,
                hint="change one of them: a bundle is for one minor version",
            )
