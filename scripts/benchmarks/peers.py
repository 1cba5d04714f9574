"""Each tool's commands: wheels in a directory → an artifact; an artifact → the end of a program that imports.

Every tool installs the same wheels for the same CPython 3.7, without a network. What it has unpacked for an earlier
boot lies in one directory, which is removed before a cold boot.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Command = list[str | Path]
BUNDLES = ("bundle", "bundle, no .pyc")
UNVERIFIED = "unverified: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a set of wheels is measured: *work* is on the file system to be measured, *cache* is bundler's."""

    work: Path
    cache: Path
    wheels: Path
    lock: Path
    python: str
    bundle: Path
    peers: Path

    @property
    def environ(self) -> dict[str, str]:
        """Return an environment in which no tool finds what lies elsewhere."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("BUNDLE_", "PIP_", "UV_"))},
            "BUNDLE_CACHE": str(self.work / "unpacked" / "bundle"),
            "PEX_ROOT": str(self.work / "unpacked" / "pex"),
            "SHIV_ROOT": str(self.work / "unpacked" / "shiv"),
            "HOME": str(self.work),
            "UV_CACHE_DIR": str(self.work / "uv-cache"),
            "PIP_NO_INDEX": "1",
        }

    def artifact(self, tool: str) -> Path:
        """Return where *tool* writes its artifact."""
        return self.work / (re.sub("[^a-z0-9]+", "-", tool) + (".pyz" if tool in BUNDLES else ".out"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How a tool creates its artifact, and boots a program from it, cold and again."""

    create: Command
    boot: Callable[[Path], Command]
    again: Callable[[Path], Command]


def find_python37() -> str:
    """Return a CPython 3.7."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for path in [*sorted(root.glob("3.7.*/bin/python")), shutil.which("python3.7")]:
        if path:
            return str(path)
    sys.exit("error: CPython 3.7 is missing; install it, for example with: pyenv install 3.7")


def tools_of(place: Place) -> dict[str, Tool]:
    """Return the tools by name; bundler is the first."""
    names = " ".join(sorted(str(path) for path in place.wheels.iterdir()))
    uv = f"rm -rf tree uv-cache; {place.peers}/uv pip install -q --python {place.python} --no-index --no-deps"
    pip = f"{place.peers}/python -m pip --python {place.python} install -q --no-compile --no-deps --no-index"
    pack = "tar -C tree -c . | zstd -q -9 -T0 -f -o OUT"
    return {
        "bundle": _bundle(place, "bundle"),
        "bundle, no .pyc": _bundle(place, "bundle, no .pyc", "--compile", "never"),
        "uv + tar | zstd -9": _tar(place, "uv + tar | zstd -9", f"{uv} --target tree {names}; {pack}"),
        "uv, .pyc + tar | zstd -9": _tar(
            place, "uv, .pyc + tar | zstd -9", f"{uv} --compile-bytecode --target tree {names}; {pack}"
        ),
        "venv-pack": _venv_pack(place, names),
        "shiv": _zipapp(
            place,
            "shiv",
            f"rm -rf site; {pip} --target site {names};"
            f" {place.peers}/shiv --python {place.python} --site-packages site --reproducible -o OUT",
        ),
        "pex": _zipapp(
            place,
            "pex",
            f"rm -rf unpacked/pex; {place.peers}/pex --python {place.python} --no-index -f {place.wheels}"
            f" --intransitive -o OUT {names}",
        ),
    }


def _shell(script: str, out: Path) -> Command:
    return ["bash", "-c", f"set -e; {script} 2>&1 >/dev/null".replace("OUT", str(out))]


def _bundle(place: Place, name: str, *more: str) -> Tool:
    out = place.artifact(name)
    create = [place.bundle, "create", "-q", "--lock", place.lock, "--offline", "--force", "--cache-dir", place.cache]

    def boot(program: Path) -> Command:
        return [place.python, out, "run", "--", "python", program]

    return Tool(create=[*create, *more, "-o", out], boot=boot, again=boot)


def _tar(place: Place, name: str, script: str) -> Tool:
    out = place.artifact(name)
    tree = place.work / "unpacked" / "tar"

    def again(program: Path) -> Command:
        return ["env", f"PYTHONPATH={tree}", place.python, "-B", program]

    def boot(program: Path) -> Command:
        unpack = f"mkdir -p {tree} && zstd -q -d -c {out} | tar -C {tree} -x"
        return ["bash", "-c", f"{unpack} && PYTHONPATH={tree} exec {place.python} -B {program}"]

    return Tool(create=_shell(script, out), boot=boot, again=again)


def _venv_pack(place: Place, names: str) -> Tool:
    out = place.artifact("venv-pack")
    tree = place.work / "unpacked" / "venv"
    script = (
        f"rm -rf venv uv-cache; {place.python} -m venv --without-pip venv;"
        f" {place.peers}/uv pip install -q --compile-bytecode --python venv --no-index --no-deps {names};"
        f" {place.peers}/venv-pack -q -f -p venv --format tar.gz -o OUT"
    )

    def again(program: Path) -> Command:
        return [tree / "bin" / "python", "-B", program]

    def boot(program: Path) -> Command:
        return ["bash", "-c", f"mkdir -p {tree} && tar -C {tree} -xzf {out} && exec {tree}/bin/python -B {program}"]

    return Tool(create=_shell(script, out), boot=boot, again=again)


def _zipapp(place: Place, name: str, script: str) -> Tool:
    out = place.artifact(name)

    def boot(program: Path) -> Command:
        return ["env", "PEX_INTERPRETER=1", "SHIV_INTERPRETER=1", place.python, out, program]

    return Tool(create=_shell(script, out), boot=boot, again=boot)


def forget_unpacked(place: Place) -> None:
    """Remove what any tool has unpacked."""
    shutil.rmtree(place.work / "unpacked", onerror=_make_writable)
    (place.work / "unpacked").mkdir()


def _make_writable(function: Callable[[str], object], path: str, _: object) -> None:
    for each in (Path(path).parent, Path(path)):
        if each.exists():
            each.chmod(0o700)
    if Path(path).exists():
        if Path(path).is_dir():
            shutil.rmtree(path, onerror=_make_writable)
        else:
            function(path)
