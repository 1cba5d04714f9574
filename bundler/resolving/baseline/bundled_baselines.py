"""A preset of Azure ML → what its image has already, from the list that travels with bundler.

* ``images/PRESET.json`` has the format of ``pip inspect``, requirements included: no index is asked for anything. Its
  ``baseline`` says where the list is from and when it was resolved. ``scripts/baselines`` makes the lists.
* A list is that of a generation of images, and nobody has looked into one of them: each baseline has a note of that.
* A target with another patch release of Python is its preset's all the same; one with another libc or architecture
  is not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.resolving.baseline.baselines import parse_baseline, read_baseline
from bundler.targets import PRESETS

if TYPE_CHECKING:
    from bundler.resolving.baseline.baselines import Baseline
    from bundler.runtime.targets import Target

LISTS = Path(__file__).with_name("images")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledBaseline:
    """The list for *preset*: of which *image*, from which *source*, and *resolved* when."""

    preset: str
    image: str
    source: str
    resolved: str
    baseline: Baseline

    @classmethod
    def of(cls, preset: str) -> BundledBaseline:
        """Read the list for *preset*."""
        data = (LISTS / f"{preset}.json").read_bytes()
        about = json.loads(data)["baseline"]
        note = (
            f"{preset} is the list of {about['resolved']} for a generation of images, and yours may differ: "
            "bundle check with the pip inspect of yours as --baseline tells"
        )
        return cls(
            preset=preset,
            image=about["image"],
            source=about["source"],
            resolved=about["resolved"],
            baseline=replace(parse_baseline(data, preset), notes=(note,)),
        )


def bundled_baseline(target: Target) -> BundledBaseline | None:
    """Return the list for the preset that *target* is, whatever its patch release; None if it is none."""
    for name, preset in PRESETS.items():
        if preset.python_minor == target.python_minor and preset._replace(python=target.python) == target:
            return BundledBaseline.of(name)
    return None


def baseline_at(place: str) -> Baseline:
    """Return the baseline that *place* names: a preset, a file, or an interpreter, which is run."""
    return BundledBaseline.of(place).baseline if place in PRESETS else read_baseline(place)
