"""Target → an interpreter of it on this host: from ``PATH``, pyenv or uv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.runtime.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.runtime.targets import Target

_IDENTIFY = (
    "import json, sys; print(json.dumps([sys.implementation.name, '.'.join(map(str, sys.version_info[:3])),"
    " 'cp%d%d%s' % (sys.version_info[:2] + (getattr(sys, 'abiflags', ''),)), sys.implementation.cache_tag]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter on this host: its program, ``3.7.16``, ``cp37m`` and ``cpython-37``."""

    path: Path
    implementation: str
    version: str
    abi: str
    cache_tag: str

    def __str__(self) -> str:
        return f"{self.implementation} {self.version} {self.abi}"


def find_interpreter(target: Target, *, python: Path | None, environ: Mapping[str, str]) -> Interpreter | None:
    """Return an interpreter of *target*: *python* if given, else from ``PATH``, pyenv or uv; the same version first.

    Raise ``TargetError`` if *python* is another one.
    """
    found: list[Interpreter] = []
    for candidate in [python] if python else _candidates(target, environ):
        interpreter = identify(candidate)
        fits = interpreter is not None and (interpreter.implementation, interpreter.abi) == ("cpython", target.abi)
        if interpreter is not None and fits:
            found.append(interpreter)
            if interpreter.version == target.python:
                break
        elif python:
            raise TargetError(
                python, "is not an interpreter of the target", got=interpreter or "nothing that runs", want=target
            )
    return min(found, key=lambda item: item.version != target.python, default=None)


def _candidates(target: Target, environ: Mapping[str, str]) -> Iterator[Path]:
    short = "{}.{}".format(*target.python_minor)
    suffix = "t" if target.abi.endswith("t") else ""
    home = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")
    yield home / "versions" / (target.python + suffix) / "bin" / "python"
    for directory in environ.get("PATH", os.defpath).split(os.pathsep):
        # A shim of pyenv is a shell script that may refuse; the real one was, or will be, tried.
        if (
            directory
            and Path(directory).name != "shims"
            and (path := Path(directory) / f"python{short}{suffix}").is_file()
        ):
            yield path
    if (home / "versions").is_dir():
        yield from (path / "bin" / "python" for path in sorted((home / "versions").glob(f"{short}.*"), reverse=True))
    uv = shutil.which("uv", path=environ.get("PATH"))
    if uv:
        command = [uv, "python", "find", "--no-python-downloads", "--no-project", f"cpython@{short}{suffix}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())


def identify(python: Path) -> Interpreter | None:
    """Return which interpreter the program *python* is; None if it is none that answers."""
    try:
        answer = subprocess.run([python, "-I", "-S", "-c", _IDENTIFY], capture_output=True, timeout=30, check=False)
        return Interpreter(python, *json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None
