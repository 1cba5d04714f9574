"""A directory → a Python that tells uv what it is and refuses to do anything else.

uv asks a source that does not say its metadata by running its build backend, with the network and all that the user
has. With this interpreter it cannot: it names the source and stops, and the source is built in the sandbox instead
(``building``).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from bundler.runtime.errors import BundleError

_REFUSE = """\
import os, sys
if not any("get_interpreter_info" in argument for argument in sys.orig_argv):
    os.write(2, b"nothing is built here")
    os._exit(97)
"""


def no_build_python(root: Path) -> Path:
    """Return the interpreter below *root*, which is made the first time."""
    own = f"{sys.version}\n{sys.executable}\n{_REFUSE}"
    final = root / f"no-build-{hashlib.sha256(own.encode()).hexdigest()[:16]}"
    if not final.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as directory:
            new = Path(directory, "new")
            _make(new)
            try:
                new.rename(final)
            except OSError:
                if not final.is_dir():  # else another process was quicker
                    raise
    return final / "bin" / "python"


def _make(directory: Path) -> None:
    command = [sys.executable, "-I", "-m", "venv", "--without-pip", str(directory)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if answer.returncode != 0:
        hint = "Debian: apt-get install python3-venv; or go without building: --build never"
        raise BundleError(sys.executable, f"makes no environment: {answer.stderr.strip()[-300:]}", hint=hint)
    site = directory / "lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages"
    (site / "sitecustomize.py").write_text(_REFUSE, encoding="utf-8")
