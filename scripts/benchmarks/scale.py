"""How time and memory grow: with bytes and files, in made wheels; with processes that boot at once from one cache."""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.peers import Place, find_python37
from benchmarks.results import Results, machine, versions
from benchmarks.workloads import size_of

ROOT = Path(__file__).resolve().parent.parent.parent
WHEEL = 250_000_000
FILES = 3_750  # in a wheel: 300 000 in 20 GB
GIGABYTES = (1.25, 2.5, 5.0, 10.0, 20.0)
PROCESSES = (1, 10, 100, 1000)
PLAIN, BUNDLE = "ready directory", "bundle"


def make_wheel(directory: Path, number: int) -> str:
    """Write a wheel of *WHEEL* bytes, half of them for zstd to remove; return its requirement.

    It has one large file and many small ones, none of them like another, and is not compressed: making it takes longer
    than reading it as it is.
    """
    name = f"made{number:03}"
    numbers = random.Random(number)
    small = WHEEL // 2 // (FILES - 1)
    sizes = {f"{name}/data.bin": WHEEL // 2, **{f"{name}/p{n % 60}/m{n}.dat": small for n in range(1, FILES)}}
    rows = io.StringIO()
    record = csv.writer(rows, lineterminator="\n")
    with zipfile.ZipFile(directory / f"{name}-1.0-py3-none-any.whl", "w") as wheel:

        def add(path: str, data: bytes) -> None:
            wheel.writestr(zipfile.ZipInfo(path), data)
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.writerow((path, f"sha256={sha256}", len(data)))

        for path, size in sizes.items():
            add(path, numbers.randbytes(size // 2).hex().encode())
        info = f"{name}-1.0.dist-info"
        add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode())
        add(f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: scale\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        record.writerow((f"{info}/RECORD", "", ""))
        wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD"), rows.getvalue())
    return f"{name}==1.0"


def grow(place: Place, results: Results, gigabytes: float) -> dict[str, Any]:
    """Create a packed directory of so many made wheels, verify it and unpack it, each once."""
    count = max(1, round(gigabytes * 1e9 / WHEEL))
    shutil.rmtree(place.cache, ignore_errors=True)
    shutil.copytree(place.work / "small-cache", place.cache)  # has the decoder
    place.wheels.mkdir()
    requirements = place.work / "requirements.txt"
    with ProcessPoolExecutor(2) as pool:  # a child's peak memory begins with what its parent has: this stays small
        pins = pool.map(make_wheel, [place.wheels] * count, range(count))
        requirements.write_text("\n".join(pins) + "\n")
    lock = [place.bundle, "lock", "-q", "--no-index", "-f", place.wheels, "-r", requirements, "-o", place.lock]
    subprocess.run([*lock, "--cache-dir", place.cache], check=True)
    for package in tomllib.loads(place.lock.read_text())["packages"]:  # cached, without a copy of them all
        wheel = package["wheels"][0]
        cached = place.cache / "wheels" / wheel["hashes"]["sha256"][:2] / wheel["hashes"]["sha256"]
        cached.parent.mkdir(parents=True, exist_ok=True)
        (place.wheels / wheel["name"]).rename(cached)
    out, tree = place.work / "packed", place.work / "tree"
    options = ["--format", "packed", "--compile", "never", "-o", out, "--cache-dir", place.cache]
    steps = {
        "create": [place.bundle, "create", "-q", "--lock", place.lock, "--offline", *options],
        "verify": [place.python, out, "verify"],
        "unpack": [place.python, out, "unpack", tree],
        "verify a tree": [place.bundle, "verify", tree],
    }
    point: dict[str, Any] = {"wheels": size_of(place.cache / "wheels"), "files": count * FILES}
    for step, command in steps.items():
        print(f"{time.strftime('%H:%M:%S')} {gigabytes} GB: {step}", file=sys.stderr)
        row = results.run(step, f"{gigabytes}", command, place)
        point[step] = {"seconds": row.seconds[-1], "peak_mib": row.peak_mib}
        if step == "create":  # room for what follows
            shutil.rmtree(place.cache)
            shutil.rmtree(place.wheels)
            point["artifact"] = size_of(out)
    shutil.rmtree(out)
    subprocess.run(["chmod", "-R", "u+w", tree], check=True)
    shutil.rmtree(tree)
    return point


def boot_together(place: Place, count: int) -> dict[str, Any]:
    """Start *count* Pythons at once: with a ready directory on their path, then with a bundle not yet unpacked."""
    packed, plain = place.work / "small", place.work / "plain"
    if not packed.exists():
        requirements = ROOT / "fixtures" / "requirements" / "small.txt"
        create = [place.bundle, "create", "-q", "-r", requirements, "--format", "packed", "-o", packed]
        subprocess.run([*create, "--cache-dir", place.work / "small-cache"], check=True, stdout=subprocess.DEVNULL)
        tree = place.work / "small-tree"
        subprocess.run([place.python, packed, "unpack", tree], check=True, stdout=subprocess.DEVNULL)
        shutil.copytree(tree / "site-packages", plain, ignore=shutil.ignore_patterns("sitecustomize*"))
    program = [place.python, "-c", "import requests, click, attr"]
    seconds: dict[str, float] = {}
    for name, path in ((PLAIN, plain), (BUNDLE, packed)):
        reports = place.work / "reports"
        reports.mkdir()
        unpacked = place.work / "unpacked" / "bundle"
        subprocess.run(["bash", "-c", f"chmod -R u+w {unpacked} 2> /dev/null; rm -rf {unpacked}"], check=True)
        before = time.perf_counter()
        running = [
            subprocess.Popen(
                program,
                env={**place.environ, "PYTHONPATH": str(path), "BUNDLE_REPORT": str(reports / str(number))},
            )
            for number in range(count)
        ]
        codes = [process.wait() for process in running]
        if any(codes):
            sys.exit(f"{count} processes with {name}: not all of them started")
        seconds[name] = time.perf_counter() - before
        decisions = [json.loads(path.read_text())["decision"] for path in reports.iterdir()]
        shutil.rmtree(reports)
    kept = [
        path
        for path in unpacked.rglob("*")
        if path.name == "site-packages" and path.parent.parent.name != "site-packages"
    ]
    return {"processes": count, **seconds, "unpacked": decisions.count("unpacked"), "trees": len(kept)}


def to_table(facts: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    about = ", ".join(f"{key} {value}" for key, value in {**facts["machine"], **facts["versions"]}.items())
    lines = ["# Scale", "", f"{about}.", "", "## Bytes and files", ""]
    lines += ["Made wheels, stored in the zip, half of each for zstd to remove; verify and unpack by CPython 3.7.", ""]
    steps = ("create", "verify", "unpack", "verify a tree")
    lines += ["| GB of wheels | files | artifact GB |" + "".join(f" {step} | s/GB | MiB |" for step in steps)]
    lines += ["|---:|---:|---:|" + "---:|---:|---:|" * len(steps)]
    for point in facts["growth"]:
        size = point["wheels"] / 1e9
        cells = "".join(
            f" {point[step]['seconds']:.1f} s | {point[step]['seconds'] / size:.2f} | {point[step]['peak_mib']:.0f} |"
            for step in steps
        )
        lines.append(f"| {size:.2f} | {point['files']} | {point['artifact'] / 1e9:.2f} |{cells}")
    lines += ["", "## Processes", ""]
    lines += ["Pythons that start at once and import the small set, from one cache that is empty before.", ""]
    lines += ["| processes | bundle | ready directory | ratio | of them unpacked | trees |", "|---:|" + "---:|" * 5]
    for row in facts["boots"]:
        seconds = f"{row[BUNDLE]:.2f} s | {row[PLAIN]:.2f} s | {row[BUNDLE] / row[PLAIN]:.2f}"
        lines.append(f"| {row['processes']} | {seconds} | {row['unpacked']} | {row['trees']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/scale", description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--gigabytes", type=float, action="append")
    parser.add_argument("--processes", type=int, action="append")
    parser.add_argument("--on", type=Path, default=Path(tempfile.gettempdir()), help="where to work; 45 GB for 20")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks")
    options = parser.parse_args()
    python, bundle = find_python37(), Path(sys.executable).with_name("bundle")
    results = Results()
    with tempfile.TemporaryDirectory(dir=options.on, prefix="bundle-scale-") as directory:
        work = Path(directory)
        place = Place(
            work=work,
            cache=work / "cache",
            wheels=work / "wheels",
            lock=work / "pylock.toml",
            python=python,
            bundle=bundle,
            peers=options.peers,
        )
        facts: dict[str, Any] = {
            "title": "scale",
            "machine": machine(options.on),
            "versions": versions(options.peers, python, bundle),
            "boots": [boot_together(place, count) for count in options.processes or PROCESSES],
            "growth": [grow(place, results, size) for size in options.gigabytes or GIGABYTES],
        }
        subprocess.run(["chmod", "-R", "u+w", work], check=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scale.json").write_text(json.dumps(facts, indent=1) + "\n")
    (options.out / "scale.md").write_text(to_table(facts))
    plot = Path(__file__).with_name("plot_scale.py")
    subprocess.run([options.peers / "python", plot, options.out / "scale.json", options.out / "scale.svg"], check=True)
    print(to_table(facts))


if __name__ == "__main__":
    main()
