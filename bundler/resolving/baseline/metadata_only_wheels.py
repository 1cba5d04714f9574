"""A baseline → a directory of wheels with metadata and nothing else, one for each package of the image.

A resolver that finds them takes what the image has into account although no index has it, such as ``wrapt 1.12.1``
(published as source only) or ``torch 1.13.1+cpu``. One stands for what is left to the image: none is ever installed.
* What the image itself meets is no requirement there: a package that is left to the image is left with all that it
  needs, of which the resolver hears nothing and asks no index. What an extra needs is one all the same: which extras
  are asked for is known only when everything is resolved.
* A package whose requirements are not known has one only where nothing else can tell the resolver about it.
* The directory is named by what is in it: written once, kept in the cache, so that uv's cache knows the wheels again.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.requirements import Requirement

    from bundler.resolving.baseline.baselines import Baseline, Installed

_TAG = "py3-none-any"
_EXTRA = re.compile(r"extra == [\"']([^\"']+)")
_TIME = (1980, 1, 1, 0, 0, 0)


def write_metadata_only_wheels(baseline: Baseline, root: Path) -> Path:
    """Write the wheels of *baseline* into a directory below *root*; return it."""
    wheels: dict[str, str] = {}
    for item in baseline.packages.values():
        if item.version is not None and (item.requires is not None or item.absent):
            unmet = [requirement for requirement in item.requires or () if not _is_met(requirement, baseline)]
            wheels[f"{item.name.replace('-', '_')}-{item.version}"] = _metadata(item, unmet)
    final = root / hashlib.sha256(repr(sorted(wheels.items())).encode()).hexdigest()[:32]
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as directory:
        new = Path(directory, "new")
        new.mkdir()
        for stem, metadata in wheels.items():
            _write(new / f"{stem}-{_TAG}.whl", stem, metadata)
        try:
            new.rename(final)
        except OSError:
            if not final.is_dir():  # else another process was quicker
                raise
    return final


def _is_met(requirement: Requirement, baseline: Baseline) -> bool:
    """Return whether the image of *baseline* has what *requirement* asks for, whoever asks."""
    item = baseline.packages.get(canonicalize_name(requirement.name))
    if item is None or item.version is None or requirement.url or requirement.extras:
        return False
    return not _EXTRA.search(str(requirement.marker or "")) and requirement.specifier.contains(
        item.version, prereleases=True
    )


def _metadata(item: Installed, requires: Sequence[Requirement]) -> str:
    extras = {canonicalize_name(extra) for extra in _extras(item)}
    return "".join(
        [
            f"Metadata-Version: 2.1\nName: {item.name}\nVersion: {item.version}\n",
            *(f"Requires-Dist: {requirement}\n" for requirement in requires),
            *(f"Provides-Extra: {extra}\n" for extra in sorted(extras)),
        ]
    )


def _extras(item: Installed) -> list[str]:
    """Return the extras that the markers of *item* know."""
    found = []
    for requirement in item.requires or ():
        found += _EXTRA.findall(str(requirement.marker or ""))
    return found


def _write(path: Path, stem: str, metadata: str) -> None:
    files: Mapping[str, str] = {
        "METADATA": metadata,
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: bundler\nRoot-Is-Purelib: true\nTag: {_TAG}\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{name}", _TIME), text)
