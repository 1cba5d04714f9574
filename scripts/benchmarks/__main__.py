"""Measure a set, and write its table, JSON and plot."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import Place, find_python37
from benchmarks.results import Results, machine, to_json, to_table, versions
from benchmarks.workloads import IMPORTS, WORKLOADS, Bench, prepare

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> None:
    """Run the chosen workloads."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--set", choices=IMPORTS, default="sklearn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--on", type=Path, default=Path("/dev/shm"), help="where to work (default: tmpfs)")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="measure this workload (and create)")
    parser.add_argument("--tool", action="append", help="measure this tool")
    parser.add_argument("--name", help="of the files to write (default: that of the set)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks")
    options = parser.parse_args()
    bundle = Path(sys.executable).with_name("bundle")
    python = find_python37()
    results = Results()
    with tempfile.TemporaryDirectory(dir=options.on, prefix="bundle-bench-", ignore_cleanup_errors=True) as directory:
        work = Path(directory)
        (work / "unpacked").mkdir()
        cache = ROOT / ".cache" / "bench" / options.set
        if options.on == Path("/dev/shm") and cache.exists():
            shutil.copytree(cache, work / "cache")  # all on one file system
        place = Place(
            work=work,
            cache=work / "cache",
            wheels=work / "wheels",
            lock=work / "pylock.toml",
            python=python,
            bundle=bundle,
            peers=options.peers,
        )
        wheels = prepare(place, ROOT / "fixtures" / "requirements" / f"{options.set}.txt")
        if not cache.exists():
            shutil.copytree(place.cache, cache)
        bench = Bench(place, results, options.set, options.rounds, set(options.tool or ()) or None)
        facts = {
            "title": f"{options.set}, on {machine(options.on)['file system']}",
            "imports": IMPORTS[options.set],
            "wheels": wheels,
            "rounds": options.rounds,
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine(options.on),
            "versions": versions(options.peers, python, bundle),
        }
        for workload in WORKLOADS:
            if workload == "create" or not options.only or workload in options.only:
                print(f"{time.strftime('%H:%M:%S')} {workload}", file=sys.stderr)
                getattr(bench, workload)()
                write(results, facts, options)  # what follows may fail
        subprocess.run(["chmod", "-R", "u+w", work], check=True)
    print(to_table(results, facts))


def write(results: Results, facts: dict[str, Any], options: argparse.Namespace) -> None:
    """Write table, JSON and plot."""
    name = options.name or options.set
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{name}.json").write_text(to_json(results, facts))
    (options.out / f"{name}.md").write_text(to_table(results, facts))
    plot = Path(__file__).with_name("plot.py")
    files = [options.out / f"{name}.{suffix}" for suffix in ("json", "svg")]
    subprocess.run([options.peers / "python", plot, *files], check=True)


main()
