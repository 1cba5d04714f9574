"""Creates and boots the same wheels with bundler and its peers, in alternation, and prints medians and ratios.

Every tool starts from the same directory of wheels and builds for CPython 3.7; every artifact is booted by the same
CPython 3.7, cold (nothing unpacked) up to the end of the imports. Run it through scripts/bench.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
BUNDLE = ROOT / ".venv" / "bin" / "bundle"
SETS = {
    "small": "import requests, click, attrs",
    "sklearn": "import pandas, sklearn, lightgbm, scipy.stats",
    "torch": "import torch, transformers, onnxruntime",
}


@dataclass
class Results:
    """Seconds and peak memory in MiB of each (workload, tool)."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    memory: dict[tuple[str, str], float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def run(self, workload: str, tool: str, command: list[str], **options: object) -> None:
        """Run *command*, and note its time and the peak memory of its largest process."""
        before = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload]
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - before
        if process.returncode:
            sys.exit(f"{workload} with {tool} failed:\n{' '.join(map(str, command))}\n{errors.decode()[-2000:]}")
        self.seconds.setdefault((workload, tool), []).append(seconds)
        key = (workload, tool)
        self.memory[key] = max(self.memory.get(key, 0), usage.ru_maxrss / 1024)


def find_python37() -> str:
    """Return a CPython 3.7."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for path in [*sorted(root.glob("3.7.*/bin/python")), shutil.which("python3.7")]:
        if path:
            return str(path)
    sys.exit("error: CPython 3.7 is missing; install it, for example with: pyenv install 3.7")


def main() -> None:
    """Measure, print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="sklearn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--on", type=Path, default=Path("/dev/shm"), help="where to work: tmpfs by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", action="append", help="measure these tools only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.on, prefix="bundle-bench-") as directory:
        results = measure(Path(directory), options)
    report(results, options)


def measure(work: Path, options: argparse.Namespace) -> Results:
    """Create and boot, round by round, each tool once a round."""
    python = find_python37()
    cache = ROOT / ".cache" / "bench" / options.set
    wheels = work / "wheels"
    lock = work / "pylock.toml"
    requirements = ROOT / "fixtures" / "requirements" / f"{options.set}.txt"
    subprocess.run([BUNDLE, "lock", "-q", "-r", requirements, "-o", lock, "--cache-dir", cache], check=True)
    subprocess.run(
        [BUNDLE, "create", "-q", "--lock", lock, "-o", work / "warm.pyz", "--cache-dir", cache],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wheels_of(lock, cache, wheels)
    (work / "warm.pyz").unlink()
    names = sorted(str(path) for path in wheels.iterdir())
    results = Results()
    results.sizes["wheels"] = sum(path.stat().st_size for path in wheels.iterdir())
    tools = creators(python, options.peers, lock, cache, wheels, names)
    chosen = [tool for tool in tools if not options.only or tool in options.only]
    for _ in range(options.rounds):
        for tool in chosen:
            out = artifact_of(work, tool)
            remove(out)
            fresh_cache(cache)
            results.run("create", tool, tools[tool](out), cwd=work, env=environment(work))
            results.sizes[tool] = size_of(out)
    for _ in range(options.rounds):
        boot(results, chosen, work, python, SETS[options.set])
    return results


def wheels_of(lock: Path, cache: Path, wheels: Path) -> None:
    """Copy the wheels of *lock* from the cache, under their own names."""
    wheels.mkdir()
    for package in tomllib.loads(lock.read_text())["packages"]:
        wheel = package["wheels"][0]
        sha256 = wheel["hashes"]["sha256"]
        shutil.copy(cache / "wheels" / sha256[:2] / sha256, wheels / wheel["name"])


def fresh_cache(cache: Path) -> None:
    """Leave only wheels and the decoder in bundler's cache: layers are to be built."""
    for path in list((cache / "layers").rglob("blob")):
        shutil.rmtree(path.parent)


def environment(work: Path) -> dict[str, str]:
    """Return an environment in which no tool finds what an earlier run has left."""
    return {
        **os.environ,
        "PEX_ROOT": str(work / "pex-root"),
        "SHIV_ROOT": str(work / "shiv-root"),
        "HOME": str(work),
        "UV_CACHE_DIR": str(work / "uv-cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
    }


def creators(
    python: str, peers: Path, lock: Path, cache: Path, wheels: Path, names: list[str]
) -> dict[str, Callable[[Path], list[object]]]:
    """Return, for each tool, what makes the command that creates its artifact."""
    all_names = " ".join(names)

    def bundle(*more: str) -> Callable[[Path], list[object]]:
        command = [BUNDLE, "create", "-q", "--lock", lock, "--offline", "--force", "--cache-dir", cache, *more]
        return lambda out: [*command, "-o", out.with_suffix(".pyz")]

    def shell(script: str) -> Callable[[Path], list[object]]:
        return lambda out: ["bash", "-c", f"set -e; {script} 2>&1 >/dev/null".replace("OUT", str(out))]

    uv = f"rm -rf tree uv-cache; {peers}/uv pip install -q --target tree --python {python} --no-index --no-deps"
    tar = "tar -C tree -c . | zstd -q -9 -T0 -f -o OUT"
    pip = f"rm -rf site; {python} -m pip install -q --no-compile --no-deps --no-index --target site {all_names}"
    return {
        "bundle": bundle(),
        "bundle, no .pyc": bundle("--compile", "never"),
        "uv + tar | zstd -9": shell(f"{uv} {all_names}; {tar}"),
        "uv, .pyc + tar | zstd -9": shell(f"{uv} --compile-bytecode {all_names}; {tar}"),
        "pex": shell(
            f"rm -rf pex-root; {peers}/pex --python {python} --no-index -f {wheels} --intransitive -o OUT {all_names}"
        ),
        # shiv installs with the pip of the Python it runs on, so pip of the target installs for it.
        "shiv": shell(f"{pip}; {peers}/shiv --python {python} --site-packages site --reproducible -o OUT"),
    }


def boot(results: Results, tools: list[str], work: Path, python: str, imports: str) -> None:
    """Boot each artifact cold, in alternation."""
    code = work / "main.py"
    code.write_text(imports + "\n")
    for tool in tools:
        out = artifact_of(work, tool)
        for name in ("trees", "pex-root", "shiv-root", "plain"):
            remove(work / name)
        env = {**environment(work), "BUNDLE_CACHE": str(work / "trees")}
        if tool.startswith("bundle"):
            command = [python, out.with_suffix(".pyz"), "run", "--", "python", code]
        elif tool.startswith("uv"):
            command = [
                "bash",
                "-c",
                f"mkdir plain && zstd -q -d -c {out} | tar -C plain -x && PYTHONPATH=plain {python} -B {code}",
            ]
        else:
            env["PEX_INTERPRETER"] = env["SHIV_INTERPRETER"] = "1"
            command = [python, out, code]
        results.run("boot", tool, command, cwd=work, env=env)
        if tool.startswith("bundle"):
            results.run("boot again", tool, command, cwd=work, env=env)


def artifact_of(work: Path, tool: str) -> Path:
    """Return where *tool* writes its artifact."""
    return work / (re.sub("[^a-z0-9]+", "-", tool) + ".out")


def size_of(out: Path) -> int:
    """Return the bytes of the artifact."""
    path = out if out.exists() else out.with_suffix(".pyz")
    return path.stat().st_size


def remove(path: Path) -> None:
    """Remove *path*, whatever it is."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def report(results: Results, options: argparse.Namespace) -> None:
    """Print the table."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in cpus if "model name" in line), "")
    wheels = results.sizes["wheels"]
    print(f"{options.set}: {wheels / 1e6:.1f} MB of wheels, medians of {options.rounds} rounds")
    print(f"{os.cpu_count()} × {cpu}, {options.on}")
    print()
    print("| workload | tool | seconds | spread | × bundle | peak MiB | MB | × wheels |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    rows = []
    measured = sorted(results.seconds.items(), key=lambda item: (item[0][0], statistics.median(item[1])))
    for (workload, tool), seconds in measured:
        median = statistics.median(seconds)
        reference = statistics.median(results.seconds.get((workload, "bundle"), [median]))
        spread = (max(seconds) - min(seconds)) / median
        memory = results.memory[workload, tool]
        size = results.sizes[tool] if workload == "create" else None
        rows.append({"workload": workload, "tool": tool, "seconds": seconds, "peak_mib": memory, "size": size})
        sizes = f"{size / 1e6:.1f} | {size / wheels:.2f}" if size else "|"
        print(
            f"| {workload} | {tool} | {median:.2f} | {spread:.0%} | {median / reference:.2f} | {memory:.0f} | {sizes} |"
        )
    if options.json:
        facts = {"set": options.set, "wheels": wheels, "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
