"""The JSON of a set → an SVG: for each workload, the median of each tool, with the rounds as points."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = ("create", "cold boot", "boot again", "verify a tree", "16 cold boots at once")
OURS, THEIRS = "#2f6f4f", "#b8b8b8"


def main(source: Path, target: Path) -> None:
    """Draw *source* into *target*."""
    facts = json.loads(source.read_text())
    panels = [
        (workload, rows)
        for workload in SHOWN
        if (rows := [row for row in facts["rows"] if row["workload"] == workload])
    ]
    heights = [len(rows) + 1 for _, rows in panels]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(8, 0.36 * sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (workload, rows) in zip(axes[:, 0], panels, strict=True):
        rows.sort(key=lambda row: -statistics.median(row["seconds"]))
        medians = [statistics.median(row["seconds"]) for row in rows]
        colours = [OURS if row["tool"].startswith("bundle") else THEIRS for row in rows]
        axis.barh([row["tool"] for row in rows], medians, color=colours)
        for number, row in enumerate(rows):
            axis.plot(row["seconds"], [number] * len(row["seconds"]), "k.", markersize=3)
            axis.text(medians[number], number, f"  {medians[number]:.2f} s", va="center", fontsize=8)
        axis.set_title(f"{workload}: seconds", loc="left", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(facts["title"], fontsize=10)
    save(figure, target)


def save(figure: Figure, target: Path) -> None:
    """Write *figure* as an SVG with text as text, and without a date."""
    with mpl.rc_context({"svg.hashsalt": "bundler", "svg.fonttype": "none"}):
        figure.savefig(target, metadata={"Date": None})
    # matplotlib leaves blanks at the ends of lines
    target.write_text("\n".join(line.rstrip() for line in target.read_text().splitlines()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
