"""Virtual environments of real interpreters, with packages that a real installer has put there."""

from __future__ import annotations

import os
import subprocess
import sys

import uv
from support.interpreters import python

VERSION = "3.11"


def run(*command, **environ):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "UV_"))}
    env = {**clean, "PIP_CONFIG_FILE": os.devnull, **environ}
    answer = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=env)
    assert answer.returncode == 0, answer.stderr


def make_environment(path, *options, version=VERSION):
    """Make a virtual environment with nothing in it at *path*; return its ``site-packages``."""
    run(sys.executable, "-m", "virtualenv", "--quiet", "--no-seed", "-p", python(version), *options, path)
    return path / f"lib/python{version}/site-packages"


def uv_install(*arguments):
    """Install as uv does, without an index."""
    run(uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--no-index", "--no-cache", *arguments)


def pip_install(*arguments, venv=None):
    """Install as pip does, without an index; into *venv* if that is given."""
    into = ["--python", venv / "bin/python"] if venv is not None else []
    quiet = ["--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", *into, *quiet, "install", "--root-user-action", "ignore", "--no-index", *arguments)
