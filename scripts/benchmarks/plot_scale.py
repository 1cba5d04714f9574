"""The JSON of ``scale`` → an SVG: seconds and memory over gigabytes, seconds over processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from plot import save

STEPS = {"create": "#2f6f4f", "verify": "#8a5a9e", "unpack": "#b5651d", "verify a tree": "#3f6fa8"}


def main(source: Path, target: Path) -> None:
    """Draw *source* into *target*."""
    facts = json.loads(source.read_text())
    figure, (seconds, memory, together) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    sizes = [point["wheels"] / 1e9 for point in facts["growth"]]
    for step, colour in STEPS.items():
        seconds.plot(sizes, [point[step]["seconds"] for point in facts["growth"]], "o-", color=colour, label=step)
        memory.plot(sizes, [point[step]["peak_mib"] for point in facts["growth"]], "o-", color=colour, label=step)
    seconds.set(title="seconds", xlabel="GB of wheels", ylim=0)
    memory.set(title="peak memory, MiB", xlabel="GB of wheels", ylim=0)
    for tool, colour in (("bundle", "#2f6f4f"), ("ready directory", "#b8b8b8")):
        rows = [(row["processes"], row[tool]) for row in facts["boots"]]
        together.loglog(*zip(*rows, strict=True), "o-", color=colour, label=tool)
    together.set(title="seconds until all have imported", xlabel="processes at once")
    for axis in (seconds, memory, together):
        axis.legend(fontsize=8, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, target)


main(Path(sys.argv[1]), Path(sys.argv[2]))
