"""Commands → seconds and peak memory; these → JSON and a table of medians and ratios."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.peers import Place


@dataclass(kw_only=True)
class Row:
    """What one tool needed for one workload: *seconds* of each round, the most MiB of its largest process."""

    workload: str
    tool: str
    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    size: int | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Return how far the rounds are apart, in parts of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


class Results:
    """The rows of one set, by workload and tool."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}

    def row(self, workload: str, tool: str) -> Row:
        """Return the row, made if need be."""
        return self.rows.setdefault((workload, tool), Row(workload=workload, tool=tool))

    def run(self, workload: str, tool: str, command: Iterable[object], place: Place, **environ: str) -> Row:
        """Run *command*, and note its time and the peak memory of its largest process."""
        row = self.row(workload, tool)
        text = [str(part) for part in command]
        env = {**place.environ, **environ}
        before = time.perf_counter()
        process = subprocess.Popen(text, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=place.work, env=env)
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        row.seconds.append(time.perf_counter() - before)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{workload} with {tool} failed:\n{' '.join(text)}\n{errors.decode()[-2000:]}")
        row.peak_mib = max(row.peak_mib, usage.ru_maxrss / 1024)
        return row

    def together(self, workload: str, tool: str, command: Iterable[object], count: int, place: Place) -> None:
        """Start *command* *count* times at once; note when the last has ended."""
        text = [str(part) for part in command]
        before = time.perf_counter()
        options = {"stdout": subprocess.DEVNULL, "cwd": place.work, "env": place.environ}
        running = [subprocess.Popen(text, **options) for _ in range(count)]
        codes = [process.wait() for process in running]
        self.row(workload, tool).seconds.append(time.perf_counter() - before)
        if any(codes):
            sys.exit(f"{workload} with {tool} failed: {codes}")


def machine(on: Path) -> dict[str, str]:
    """Say what this was measured on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    kind = subprocess.run(["stat", "-f", "-c", "%T", on], capture_output=True, text=True, check=True).stdout.strip()
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    return {"processors": f"{len(os.sched_getaffinity(0))} × {cpu}", "memory": f"{memory} GiB", "file system": kind}


def versions(peers: Path, python: str, bundle: Path) -> dict[str, str]:
    """Return the version of every tool."""
    commands = {
        "bundler": [bundle, "--version"],
        "CPython": [python, "--version"],
        **{name: [peers / name, "--version"] for name in ("uv", "pex", "shiv")},
        "tar": ["tar", "--version"],
        "zstd": ["zstd", "--version"],
    }
    found = {}
    for name, command in commands.items():
        if shutil.which(command[0]):
            answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            number = re.search(r"\d+(\.\d+)+", answer.stdout)
            found[name] = number[0] if number else "?"
    return found


def to_json(results: Results, facts: dict[str, Any]) -> str:
    """Return everything."""
    return json.dumps({**facts, "rows": [asdict(row) for row in results.rows.values()]}, indent=1) + "\n"


def to_table(results: Results, facts: dict[str, Any]) -> str:
    """Return medians and ratios, as Markdown, workload by workload; a ratio over 1 is in favour of bundler."""
    lines = [f"# {facts['title']}", ""]
    about = {**facts["machine"], **facts["versions"]}
    lines += [f"{facts['wheels'] / 1e6:.1f} MB of wheels, {facts['rounds']} rounds in alternation, medians. "]
    lines[-1] += ", ".join(f"{key} {value}" for key, value in about.items()) + "."
    lines += ["", "| workload | tool | seconds | spread | × bundle | peak MiB | MB | × wheels | |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|---:|---|"]
    for workload in dict.fromkeys(row.workload for row in results.rows.values()):
        rows = [row for row in results.rows.values() if row.workload == workload]
        reference = next((row for row in rows if row.tool == "bundle"), rows[0])
        for row in sorted(rows, key=lambda row: row.median):
            size = f"{row.size / 1e6:.1f} | {row.size / facts['wheels']:.3f}" if row.size else "|"
            peak = f"{row.peak_mib:.0f}" if row.peak_mib else ""
            tool = row.tool.replace("|", "\\|")
            ratio = row.median / reference.median
            measured = f"{row.median:.3f} | {row.spread:.0%} | {ratio:.2f} | {peak} | {size}"
            lines.append(f"| {workload} | {tool} | {measured} | {row.note} |")
    return "\n".join(lines) + "\n"
