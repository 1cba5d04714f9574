"""An interpreter and wheels → an environment in which a source is built.

* Made by the interpreter's own ``venv``, without pip: of every Python from 3.7 on, where virtualenv has given up the
  older ones (20.26.6 is the last that makes working environments for 3.7).
* Build requirements are installed by our own rules: nothing runs, and pip need not run on that Python.
* Each has its RECORD: some find their own programs by it (cmake, which scikit-build-core runs).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.runtime.errors import BundleError
from bundler.runtime.sites import SITE_PACKAGES
from bundler.wheels.install import chunks_of, files_of, record_text
from bundler.wheels.wheel_reader import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bundler.interpreters import Interpreter
    from bundler.pins import Pin


def make_environment(
    interpreter: Interpreter, wheels: Iterable[tuple[Pin, Path]], directory: Path, warn: Callable[[str], None]
) -> None:
    """Make an environment of *interpreter* with *wheels* in *directory*, which is not there yet."""
    command = [str(interpreter.path), "-I", "-m", "venv", "--without-pip", str(directory)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if answer.returncode != 0:
        hint = "Debian: apt-get install python3-venv"
        raise BundleError(interpreter.path, f"makes no environment: {answer.stderr.strip()[-300:]}", hint=hint)
    major, minor = interpreter.version.split(".")[:2]
    site = Path("lib", f"python{major}.{minor}", "site-packages")
    (directory / SITE_PACKAGES).symlink_to(site)  # where console scripts look
    for pin, path in wheels:
        with Wheel.open(path, pin, warn=warn) as wheel:
            rows = []
            for file in files_of(wheel):
                place = directory / file.path
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("wb") as out:
                    out.writelines(chunks_of(wheel, file))
                place.chmod(0o755 if file.executable else 0o644)
                # RECORD's paths start at site-packages, which lies three levels deeper here than in a tree.
                inside = file.path.startswith(f"{SITE_PACKAGES}/")
                rows.append((file.path if inside else f"{SITE_PACKAGES}/../../../{file.path}", file.sha256, file.size))
            (directory / site / wheel.dist_info / "RECORD").write_bytes(record_text(rows, wheel.dist_info))
