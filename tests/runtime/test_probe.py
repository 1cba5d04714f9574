"""The probe: one file, any Python from 3.6 on, and what it prints is a target."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.interpreters import VERSIONS, python

import bundler.runtime
from bundler.runtime.targets import Target
from bundler.targets import find_target

PROBE = Path(bundler.runtime.__file__).with_name("probe.py")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_it_prints_is_taken_as_a_target(version, tmp_path):
    text = subprocess.check_output([python(version), "-I", "-W", "error", "-"], input=PROBE.read_bytes())
    (tmp_path / "target.json").write_bytes(text)
    target = find_target(str(tmp_path / "target.json"), None, None)
    assert target.python.startswith(version + ".")
    assert target.libc == "glibc"
    assert target.libc_version == os.confstr("CS_GNU_LIBC_VERSION").split()[1]


def test_it_runs_on_36_which_cannot_be_a_target():
    old = Path(python("3.7")).resolve().parents[2] / "3.6.15" / "bin" / "python"
    assert old.exists(), "install CPython 3.6.15 with pyenv"
    facts = json.loads(subprocess.check_output([old, "-"], input=PROBE.read_bytes()))
    assert Target.from_json(facts).abi == "cp36m"


def test_musl_is_asked_for_its_version(tmp_path, monkeypatch):
    """The loader of musl answers on standard error, with status 1; this stands in for it."""
    from bundler.runtime import probe

    loader = tmp_path / "ld-musl"
    loader.write_text("#!/bin/sh\necho 'musl libc (x86_64)\nVersion 1.2.4\nDynamic Program Loader' >&2; exit 1\n")
    loader.chmod(0o755)
    assert probe._musl_version(str(loader)) == "1.2"
    assert probe._musl_version(str(tmp_path / "gone")) == "0.0"
