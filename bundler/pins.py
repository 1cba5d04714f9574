"""A wheel with its hash, and how it was made if it was built here; ↔ a table of a lock or of the cache.

* A wheel that was built is nowhere but in the cache: its pin has neither URL nor path, but what it was built from.
* What built it are pins too, so that another machine can do the same.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.runtime.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.utils import NormalizedName

HEX = re.compile("[0-9a-f]{64}", re.ASCII)
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One file with its hash: a wheel, or the source of one. *size* is in bytes, if it is known.

    Exactly one of *url*, *path* and *build* is set. *environment* is where the wheel was packed from, if it was
    installed there; *path* then is in the cache of the machine that packed it.
    """

    name: NormalizedName
    version: Version
    filename: str
    sha256: str
    size: int | None = None
    url: str | None = None
    path: Path | None = None
    build: Build | None = None
    environment: Path | None = None

    @property
    def made_of(self) -> str:
        """What the wheel was made of here; empty if it was published."""
        if self.environment is not None:
            return "environment"
        if self.build is None:
            return ""
        if self.build.repository is not None:
            return f"git {self.build.repository.commit}"
        return f"{'directory' if self.build.is_directory else 'sdist'} sha256:{self.build.source.sha256}"

    def to_table(self, locate: Callable[[Pin], dict[str, str]]) -> dict[str, Any]:
        """Return the pin as a table; *locate* says where a file is."""
        table: dict[str, Any] = {"name": self.name, "version": str(self.version), "filename": self.filename}
        table |= {"sha256": self.sha256} | ({} if self.size is None else {"size": self.size})
        return table | (locate(self) if self.build is None else {"build": self.build.to_table(locate)})

    @classmethod
    def from_table(cls, table: object, where: str, directory: Path) -> Pin:
        """Read what ``to_table`` has written; relative paths are relative to *directory*.

        Raise ``ContentError`` if it is something else.
        """
        want = "name, version, filename, sha256 and url, path or build"
        fields = table if isinstance(table, dict) else {}
        path, size = fields.get("path"), fields.get("size")
        try:
            pin = cls(
                name=canonicalize_name(fields["name"], validate=True),
                version=Version(fields["version"]),
                filename=str(fields["filename"]),
                sha256=str(fields["sha256"]),
                size=size,
                url=fields.get("url"),
                path=None if path is None else Path(os.path.normpath(directory / path)),
                build=Build.from_table(fields["build"], f"{where}.build", directory) if "build" in fields else None,
            )
        except (TypeError, KeyError, InvalidName, InvalidVersion):
            raise ContentError(where, "is no pin", want=want, rule="B15") from None
        if not HEX.fullmatch(pin.sha256) or not (size is None or (isinstance(size, int) and size >= 0)):
            raise ContentError(where, "has no valid sha256 or size", rule="A1")
        return pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A commit of a git repository, and the directory of the project in it (empty: its top)."""

    url: str
    commit: str
    subdirectory: str = ""

    def to_table(self) -> dict[str, str]:
        """Return the repository as a table."""
        table = {"url": self.url, "commit": self.commit}
        return table | ({"subdirectory": self.subdirectory} if self.subdirectory else {})

    @classmethod
    def from_table(cls, table: object, where: str) -> Repository:
        """Read what ``to_table`` has written."""
        fields = table if isinstance(table, dict) else {}
        values = [fields.get("url"), fields.get("commit"), fields.get("subdirectory", "")]
        if not all(isinstance(value, str) for value in values) or not COMMIT.fullmatch(str(values[1])):
            raise ContentError(f"{where}.repository", "is no commit of a repository", rule="B15")
        return cls(url=str(values[0]), commit=str(values[1]), subdirectory=str(values[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How a wheel was built: from which *source*, by which *python* (its version), with what installed.

    A source that is no source distribution is a directory, or a *commit* of the git repository at *url*; its bytes are
    then those of the archive that is made of its files.
    """

    source: Pin
    python: str
    requires: tuple[Pin, ...]
    repository: Repository | None = None
    is_directory: bool = False

    def to_table(self, locate: Callable[[Pin], dict[str, str]]) -> dict[str, Any]:
        """Return the build as a table; *locate* says where a file is."""
        table = {
            "source": self.source.to_table(locate),
            "python": self.python,
            "requires": [pin.to_table(locate) for pin in self.requires],
        }
        if self.repository is not None:
            table["repository"] = self.repository.to_table()
        return table | ({"directory": True} if self.is_directory else {})

    @classmethod
    def from_table(cls, table: object, where: str, directory: Path) -> Build:
        """Read what ``to_table`` has written, as ``Pin.from_table`` does."""
        if not isinstance(table, dict) or not isinstance(table.get("requires"), list):
            raise ContentError(where, "is no build", want="source, python and requires", rule="B15")
        return cls(
            source=Pin.from_table(table.get("source"), f"{where}.source", directory),
            python=str(table.get("python")),
            requires=tuple(
                Pin.from_table(item, f"{where}.requires[{n}]", directory) for n, item in enumerate(table["requires"])
            ),
            repository=Repository.from_table(table["repository"], where) if "repository" in table else None,
            is_directory=table.get("directory") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A package that was resolved, and left out because the user said so."""

    name: NormalizedName
    version: Version

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """A package that is relied on and that the image has."""

    name: NormalizedName
    version: Version

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
