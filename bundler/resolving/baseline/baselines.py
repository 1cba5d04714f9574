"""What an image has already → a baseline: its packages with their versions and, where known, their requirements.

* A baseline is read from the output of ``pip freeze``, ``pip list --format=json`` or ``pip inspect``, or from a live
  interpreter. Only the last two know requirements; ``baseline_requirements`` completes the others.
* Lenient, as these are no documents of ours, but never silent: what is not understood is a note, and a package whose
  version or requirements are not known is one that says so.
"""

from __future__ import annotations

import codecs
import email.parser
import json
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from bundler.fetching.index_options import redacted_text
from bundler.markers import parse_requirement
from bundler.resolving.baseline import list_installed
from bundler.runtime.errors import BundleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from bundler.runtime.targets import Target

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PIN = re.compile(rf"(?P<name>{_NAME})\s*===?\s*(?P<version>[^\s;#]+)", re.ASCII)
_PLACED = re.compile(rf"(?P<name>{_NAME})\s*@\s*(?P<place>\S+)", re.ASCII)
_EDITABLE = re.compile(rf"# Editable .*\((?P<name>{_NAME})==(?P<version>[^)]+)\)", re.ASCII)
_EGG = re.compile(rf"[#&]egg=(?P<name>{_NAME})", re.ASCII)
_OPTION = re.compile(r"--?(?:i|f|index-url|extra-index-url|find-links|trusted-host|no-index|pre|prefer-binary)\b")
_SECTION = re.compile(r"\[(?P<extra>[^:\]]*):?(?P<marker>[^\]]*)\]")
_PROGRAM = (b"\x7fELF", b"#!")
_PATIENCE = 60
NOT_SAID = "its requirements are not listed"
_HOW = "in the image, without the bundle: python -m pip inspect > baseline.json, or python -m pip freeze --all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A package of the image. *version* and *requires* are None where they are not known.

    *unknown* says why, or what else is not known of it; *absent* that the package index has no wheel of it.
    """

    name: NormalizedName
    version: Version | None
    requires: tuple[Requirement, ...] | None = None
    unknown: str | None = None
    absent: bool = False

    @classmethod
    def of(cls, name: str, version: str | None, requires: Sequence[str] | None = None, why: str = NOT_SAID) -> Self:
        """Return the package, with what of *requires* is a requirement; *why* tells why one of them is None."""
        parsed, wrong = [], []
        for line in requires or ():
            try:
                parsed.append(parse_requirement(line))
            except InvalidRequirement:
                wrong.append(line)
        unknown = why if version is None or requires is None else None
        if wrong:
            unknown = f"its requirement is not understood: {', '.join(map(repr, wrong))}"
        try:
            known = Version(version) if version is not None else None
        except InvalidVersion:
            known, unknown = None, f"its version is no version: {version!r}"
        return cls(
            name=canonicalize_name(name),
            version=known,
            requires=None if requires is None else tuple(parsed),
            unknown=unknown,
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version or '(unknown version)'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The packages of an image, sorted by name; *python* is its version, if that is known.

    *notes* are what was not understood, a line each.
    """

    where: str
    packages: Mapping[NormalizedName, Installed]
    python: str | None = None
    notes: tuple[str, ...] = ()

    def check_target(self, target: Target) -> None:
        """Raise ``UsageError`` if the image has another Python than *target*."""
        if self.python is not None and self.python.split(".")[:2] != target.python.split(".")[:2]:
            raise UsageError(
                self.where,
                "is the baseline of another Python",
                got=self.python,
                want=target.python,
                hint="name the target that the image has, or the baseline of the image that is the target",
            )

    def with_requirements(self, known: Mapping[NormalizedName, Installed]) -> Baseline:
        """Return the baseline with *known* in place of the packages of the same names."""
        return replace(self, packages={name: known.get(name, item) for name, item in self.packages.items()})


def read_baseline(place: str) -> Baseline:
    """Return what *place* says: a file, or an interpreter, which is run.

    Raise ``BundleError`` if it cannot be read, and ``UsageError`` if it names no package.
    """
    path = Path(place)
    if path.is_dir():
        raise UsageError(place, "is a directory", hint=f"name its interpreter, such as {path / 'bin/python'}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(place, f"cannot be read: {error.strerror}", hint=_HOW) from error
    return ask_interpreter(path) if data.startswith(_PROGRAM) else parse_baseline(data, place)


def is_interpreter(path: Path) -> bool:
    """Tell whether ``read_baseline`` would run what is at *path*."""
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, _PROGRAM))).startswith(_PROGRAM)
    except OSError:  # a missing file, a directory: reading it has the better error
        return False


def parse_baseline(data: bytes, where: str) -> Baseline:
    """Return the baseline in *data*: text of ``pip freeze``, or JSON of ``pip list`` or ``pip inspect``."""
    # What PowerShell redirects into a file is UTF-16.
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise UsageError(where, "is no text", hint=_HOW) from None
    if not text.lstrip().startswith(("{", "[")):
        return _baseline(where, _read_freeze(text))
    try:
        document = json.loads(text)
    except RecursionError:
        raise UsageError(where, "is nested too deeply", hint=_HOW) from None
    except ValueError as error:
        raise UsageError(where, f"is not JSON: {error}", hint=_HOW) from None
    if isinstance(document, list):
        return _baseline(where, _read_list(document))
    environment = document.get("environment")
    python = environment.get("python_full_version") if isinstance(environment, dict) else None
    return _baseline(where, _read_inspection(document), python=python if isinstance(python, str) else None)


def ask_interpreter(path: Path) -> Baseline:
    """Return what the interpreter at *path* has, apart from what ``PYTHONPATH`` adds."""
    code = Path(list_installed.__file__).read_text(encoding="utf-8")
    try:
        answer = subprocess.run(
            [path, "-I", "-c", code], capture_output=True, check=False, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
        document = json.loads(answer.stdout)
        python, items = str(document["python"]), document["distributions"]
    except OSError as error:
        raise BundleError(path, f"cannot be run: {error.strerror}", hint=_HOW) from error
    except subprocess.TimeoutExpired:
        raise BundleError(path, f"does not answer in {_PATIENCE} s", hint=_HOW) from None
    except (ValueError, KeyError, TypeError):
        said = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(
            path, "is no Python interpreter that answers", got=said[-1] if said else None, hint=_HOW
        ) from None
    return _baseline(str(path), map(_from_metadata, items), python=python)


def _baseline(where: str, read: Iterable[Installed | str], python: str | None = None) -> Baseline:
    packages: dict[NormalizedName, Installed] = {}
    notes = []
    for item in read:
        if isinstance(item, str):
            notes.append(item)
        elif packages.setdefault(item.name, item) != item and python is None:
            notes.append(f"{item.name} is listed again: {item.version}")
    if not packages:
        what = "names no package" + (f": {notes[0]}" if notes else "")
        raise UsageError(where, what, hint=_HOW)
    return Baseline(where=where, packages=dict(sorted(packages.items())), python=python, notes=tuple(notes))


def _read_freeze(text: str) -> Iterator[Installed | str]:
    editable = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if match := _EDITABLE.fullmatch(line):
            editable = match
        elif line and not line.startswith("#") and not _OPTION.match(line):
            if line.startswith("-e ") and editable:
                yield Installed.of(editable["name"], editable["version"])
            else:
                yield _read_line(line) or f"line {number} is not understood: {redacted_text(line)}"
            editable = None


def _read_line(line: str) -> Installed | None:
    if match := _PIN.match(line):
        return Installed.of(match["name"], match["version"])
    if match := _PLACED.match(line):
        version = _version_in(match["place"])
        return Installed.of(match["name"], version, why=NOT_SAID if version else _no_version(match["place"]))
    match = _EGG.search(line)
    if line.startswith("-e ") and match:
        return Installed.of(match["name"], None, why=_no_version("a repository"))
    return None


def _no_version(place: str) -> str:
    return f"its version is not listed, only {redacted_text(place)}: pip list --format=freeze says it"


def _version_in(place: str) -> str | None:
    """Return the version that the file name at the end of *place* says."""
    filename = unquote(urlsplit(place).path).rpartition("/")[2]
    try:
        if filename.endswith(".whl"):
            return str(parse_wheel_filename(filename)[1])
        return str(parse_sdist_filename(filename)[1])
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def _read_list(document: list[Any]) -> Iterator[Installed | str]:
    for n, item in enumerate(document):
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("version"), str):
            yield Installed.of(item["name"], item["version"])
        else:
            yield f"[{n}] has no name and version"


def _read_inspection(document: dict[str, Any]) -> Iterator[Installed | str]:
    found = document.get("installed")
    for n, item in enumerate(found if isinstance(found, list) else ()):
        metadata = item.get("metadata") if isinstance(item, dict) else None
        fields = metadata if isinstance(metadata, dict) else {}
        name, version, requires = fields.get("name"), fields.get("version"), fields.get("requires_dist", [])
        if isinstance(name, str) and isinstance(version, str) and isinstance(requires, list):
            yield Installed.of(name, version, list(map(str, requires)))
        else:
            yield f"installed[{n}] has no name and version"


def _from_metadata(item: Mapping[str, str | None]) -> Installed | str:
    """Return what *item*, which ``list_installed`` has printed, says."""
    headers = email.parser.HeaderParser().parsestr(item["headers"] or "")
    name, version = headers["Name"], headers["Version"]
    if not name or not version:
        return "a distribution without name and version is left out"
    requires = item["requires"]
    listed = list(map(str, headers.get_all("Requires-Dist", []))) if requires is None else list(_of_egg(requires))
    return Installed.of(str(name), str(version), listed)


def _of_egg(text: str) -> Iterator[str]:
    """Yield the requirements of a ``requires.txt``; its sections are ``[extra]``, ``[:marker]``, ``[extra:marker]``."""
    conditions: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if match := _SECTION.fullmatch(line):
            conditions = [f"({match['marker']})"] if match["marker"] else []
            conditions += [f"extra == {match['extra']!r}"] if match["extra"] else []
        else:
            yield f"{line} ; {' and '.join(conditions)}" if conditions else line


def requires_of(metadata: str) -> list[str]:
    """Return the Requires-Dist lines of the text of a METADATA."""
    return list(map(str, email.parser.HeaderParser().parsestr(metadata).get_all("Requires-Dist", [])))
