"""The real interpreters that the runtime is tested with."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSIONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


@functools.cache
def python(version: str) -> str:
    """Return a working CPython of this minor version; fail the test, and say what to install, if there is none."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    on_path = shutil.which(f"python{version}")
    candidates = [str(path / "bin" / "python") for path in sorted(root.glob(f"{version}.*"))]
    for candidate in [*candidates, *([on_path] if on_path else [])]:
        answer = subprocess.run(
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.stdout.strip() == version:
            return candidate
    pytest.fail(f"CPython {version} is missing; install it, for example with: pyenv install {version}")


def target_of(version: str):
    """Return the target that ``python(version)`` is."""
    from bundler.runtime.targets import Target

    package = Path(__file__).parents[2] / "bundler"
    code = "import sys; sys.path.insert(0, sys.argv[1]); from runtime.targets import this_target; print(*this_target())"
    answer = subprocess.run([python(version), "-I", "-c", code, package], capture_output=True, text=True, check=True)
    return Target(*answer.stdout.split())
