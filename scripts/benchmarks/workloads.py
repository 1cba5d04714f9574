"""What is measured: each function notes the rows of one workload, tool after tool, round by round."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING

from benchmarks.peers import BUNDLES, forget_unpacked, tools_of

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers import Command, Place
    from benchmarks.results import Results, Row

IMPORTS = {
    "small": "import requests, click, attr",
    "sklearn": "import pandas, sklearn, lightgbm, scipy.stats",
    "torch": "import torch, transformers, onnxruntime",
}
FIRST = {"small": "import attr", "sklearn": "import numpy", "torch": "import numpy"}
# The pin of the set that changes; a small wheel.
CHANGED = {"small": "idna==3.4", "sklearn": "threadpoolctl==3.0.0", "torch": "filelock==3.10.0"}
TOGETHER = (1, 2, 4, 16)
STARTS = 21


class Bench:
    """One set in one place; *program* imports it."""

    def __init__(self, place: Place, results: Results, name: str, rounds: int, only: set[str] | None) -> None:
        self.place = place
        self.results = results
        self.name = name
        self.rounds = rounds
        self.tools = {tool: made for tool, made in tools_of(place).items() if not only or tool in only}
        self.program = place.work / "program.py"
        self.program.write_text(IMPORTS[name] + "\n")

    def create(self) -> None:
        """Create with wheels cached and no layer; then with everything cached; then after one changed pin."""
        for _ in range(self.rounds):
            for tool, made in self.tools.items():
                if tool in BUNDLES:
                    forget_layers(self.place.cache)
                out = self.place.artifact(tool)
                _remove(out)
                row = self._run("create", tool, made.create)
                row.size = out.stat().st_size
                if tool in BUNDLES:
                    self._run("create, everything cached", tool, made.create)

    def change_one_pin(self) -> None:
        """Create once more after one pin has changed, and push what that changes."""
        place = self.place
        store = place.work / "store"
        requirements = (place.work / "requirements.txt").read_text()
        pin = CHANGED[self.name]
        project = pin.partition("==")[0]
        lines = [line for line in requirements.splitlines() if not line.startswith(project)]
        changed = place.work / "changed.txt"
        changed.write_text("\n".join([*lines, pin]) + "\n")
        lock = place.work / "changed.toml"
        command = [place.bundle, "lock", "-q", "-r", changed, "-o", lock, "--cache-dir", place.cache]
        subprocess.run(command, check=True)
        out = place.work / "changed.pyz"
        create = [place.bundle, "create", "-q", "--force", "--lock", lock, "-o", out, "--cache-dir", place.cache]
        subprocess.run(create, check=True, stdout=subprocess.DEVNULL)  # its wheel is fetched now
        for _ in range(self.rounds):
            forget_layers(place.cache)
            subprocess.run([*self.tools["bundle"].create], check=True, stdout=subprocess.DEVNULL)
            layers = _layers(place.cache)
            row = self._run("create, one pin changed", "bundle", create)
            row.note = f"{len(_layers(place.cache) - layers)} new layer beside {len(layers)}"
            shutil.rmtree(store, ignore_errors=True)
            whole = self._run("push", "bundle", [place.bundle, "push", "-q", place.artifact("bundle"), store])
            whole.size = size_of(store)
            delta = self._run("push, one pin changed", "bundle", [place.bundle, "push", "-q", out, f"{store}:next"])
            delta.size = size_of(store) - whole.size

    def boot(self) -> None:
        """Boot cold up to the end of the imports, then again; beside them, the import from a directory with .pyc."""
        place = self.place
        ready = self._ready()
        plain = place.work / "plain"
        shutil.copytree(ready / "site-packages", plain, ignore=shutil.ignore_patterns("sitecustomize*"))
        limit = ["env", f"PYTHONPATH={plain}", place.python, "-B", self.program]
        for _ in range(self.rounds):
            for tool, made in self.tools.items():
                forget_unpacked(place)
                self._run("cold boot", tool, made.boot(self.program))
                self._run("boot again", tool, made.again(self.program))
            for workload in ("cold boot", "boot again"):
                self._run(workload, "ready directory with .pyc", limit)

    def start(self) -> None:
        """Start Python with everything there already, and import nothing."""
        place = self.place
        packed = self._packed()
        forget_unpacked(place)
        starts = {"bundle": packed, "ready directory with .pyc": place.work / "plain"}
        for round_ in range(STARTS + 1):
            for tool, path in starts.items():
                command = [place.python, "-c", "pass"]
                row = self.results.run("start of Python", tool, command, place, PYTHONPATH=str(path))
                if round_ == 0:  # unpacks, or fills the page cache
                    row.seconds.clear()

    def one_import(self) -> None:
        """Boot cold up to the end of one import, without the interpreter's end: little more than the boot itself."""
        place = self.place
        packed = self._packed()
        command = [place.python, "-B", "-c", f"{FIRST[self.name]}\nimport os\nos._exit(0)"]
        for _ in range(self.rounds):
            forget_unpacked(place)
            self.results.run(f"cold boot to {FIRST[self.name]}", "bundle", command, place, PYTHONPATH=str(packed))

    def verify(self) -> None:
        """Verify a tree and a ``.pyz``; beside them, sha256sum of the same bytes with all cores."""
        place = self.place
        ready = self._ready()
        hashing = f"find {ready} -type f -print0 | xargs -0 -P{os.cpu_count()} -n 64 sha256sum"
        for _ in range(self.rounds):
            self._run("verify a tree", "bundle", [place.bundle, "verify", ready])
            self._run("verify a tree", "find | xargs sha256sum", ["bash", "-c", hashing])
            self._run("verify a .pyz", "bundle", [place.bundle, "verify", place.artifact("bundle")])
            self._run("verify a .pyz", "bundle, by python3.7", [place.python, place.artifact("bundle"), "verify"])

    def together(self) -> None:
        """Boot cold, several processes at once."""
        for _ in range(self.rounds):
            for count in TOGETHER:
                for tool in ("bundle", "shiv", "pex"):
                    if tool in self.tools:
                        forget_unpacked(self.place)
                        command = self.tools[tool].boot(self.program)
                        self.results.together(f"{count} cold boots at once", tool, command, count, self.place)

    def _ready(self) -> Path:
        """Return the tree of the bundle."""
        ready = self.place.work / "ready"
        if not ready.exists():
            unpack = [self.place.python, self.place.artifact("bundle"), "unpack", ready]
            subprocess.run(unpack, check=True, stdout=subprocess.DEVNULL)
        return ready

    def _packed(self) -> Path:
        """Return the bundle as a packed directory."""
        packed = self.place.work / "packed"
        if not packed.exists():
            create = [*self.tools["bundle"].create[:-2], "--format", "packed", "-o", packed]
            subprocess.run(list(map(str, create)), check=True, stdout=subprocess.DEVNULL)
        return packed

    def _run(self, workload: str, tool: str, command: Command) -> Row:
        return self.results.run(workload, tool, command, self.place)


WORKLOADS = ("create", "change_one_pin", "boot", "start", "one_import", "verify", "together")


def prepare(place: Place, requirements: Path) -> int:
    """Lock, fetch what is needed, and lay out the wheels; return their bytes."""
    shutil.copy(requirements, place.work / "requirements.txt")
    lock = [place.bundle, "lock", "-q", "-r", requirements, "-o", place.lock, "--cache-dir", place.cache]
    subprocess.run(lock, check=True)
    warm = place.work / "warm.pyz"
    create = [place.bundle, "create", "-q", "--lock", place.lock, "-o", warm, "--cache-dir", place.cache]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
    warm.unlink()
    place.wheels.mkdir()
    for package in tomllib.loads(place.lock.read_text())["packages"]:
        wheel = package["wheels"][0]
        sha256 = wheel["hashes"]["sha256"]
        shutil.copy(place.cache / "wheels" / sha256[:2] / sha256, place.wheels / wheel["name"])
    return size_of(place.wheels)


def forget_layers(cache: Path) -> None:
    """Leave only wheels and the decoder in bundler's cache: layers are to be built."""
    for path in _layers(cache):
        shutil.rmtree(path.parent)


def _layers(cache: Path) -> set[Path]:
    return set((cache / "layers").rglob("blob"))


def size_of(path: Path) -> int:
    """Return the bytes of all files below *path*."""
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
