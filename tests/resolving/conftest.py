from __future__ import annotations

import sys

import pytest
import uv
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.reporters import Reporter
from bundler.resolving.resolver import resolve
from bundler.targets import PRESETS

PY37 = PRESETS["azureml-py37"]


@pytest.fixture
def shelf(tmp_path):
    """A directory of wheels, and a way to put one more there."""
    directory = tmp_path / "shelf"
    directory.mkdir()

    def put(name, version, tag="py3-none-any", requires=(), requires_python=""):
        files = {f"{name}.py": b""}
        return make_wheel(directory, name, version, files, tag=tag, requires=requires, requires_python=requires_python)

    put.directory = directory
    return put


@pytest.fixture
def ask(shelf, tmp_path):
    def ask(*requirements, target=PY37, files=(), constraints=(), indexes=None, offline=False):
        return resolve(
            requirements,
            requirement_files=files,
            constraint_files=constraints,
            target=target,
            indexes=indexes or IndexOptions(no_index=True, find_links=(str(shelf.directory),)),
            cache_dir=tmp_path / "uv",
            offline=offline,
            reporter=Reporter(),
        )

    return ask


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A way to put a program of some lines in the place of uv."""

    def stand_in(body):
        program = tmp_path / "uv-stand-in"
        program.write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setattr(uv, "find_uv_bin", lambda: str(program))

    return stand_in
