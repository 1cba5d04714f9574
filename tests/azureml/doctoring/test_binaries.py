"""Extension modules: what their names say, and what real ones need: those of the interpreters' own libraries."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from support.deployment_factory import PY37, deployment, make_folder
from support.doctor_cases import LIB, PLAIN, Case
from support.interpreters import python

from bundler.azureml.doctor import diagnose
from bundler.shared_objects import SharedObject
from bundler.targets import PRESETS


def module_of(version, name="_struct"):
    """Return the path of an extension module of the standard library of this Python."""
    from pathlib import Path

    code = f"import {name}; print({name}.__file__)"
    answer = subprocess.run([python(version), "-I", "-c", code], capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip())


def glibc_in(path):
    """Return the newest glibc that any string in the file names."""
    found = re.findall(rb"GLIBC_2\.(\d+)", path.read_bytes())
    return (2, max(map(int, found)))


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "code", {"deps/a/__init__.py": ""})


def found(folder, target=PY37):
    return {finding.name: finding for finding in diagnose(deployment(folder, target=target, **{LIB: "deps"}))}


def roomy(name):
    return PRESETS[name]._replace(libc_version="2.99")


CASES = [
    Case(
        "modules-for-another-python",
        "fails",
        "a/x.cpython-38-x86_64-linux-gnu.so",
        "--python 3.7.16",
        {LIB: "deps"},
        {**PLAIN, "deps/a/x.cpython-38-x86_64-linux-gnu.so": ""},
    ),
    Case(
        "modules-for-another-python",
        "fails",
        "x.cpython-37m-darwin.so",
        "bundle create",
        {LIB: "deps"},
        {**PLAIN, "deps/x.cpython-37m-darwin.so": ""},
    ),
    Case(
        "modules-for-another-python",
        "fails",
        "x.cp37-win_amd64.pyd",
        "bundle",
        {LIB: "deps"},
        {**PLAIN, "deps/x.cp37-win_amd64.pyd": ""},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)


@pytest.mark.parametrize("version", ["3.7", "3.8", "3.11"])
def test_the_glibc_that_is_needed_is_read_from_the_symbols(version):
    path = module_of(version, "_socket")
    read = SharedObject.read(path)
    assert (read.machine, read.glibc) == ("x86_64", glibc_in(path))


def test_what_is_no_shared_object_is_passed_over(tmp_path):
    for content in (b"", b"\x7fELF", b"text", b"\x7fELF\x02\x01\x01" + bytes(57)):
        (tmp_path / "x.so").write_bytes(content)
        read = SharedObject.read(tmp_path / "x.so")
        assert read is None or read.glibc is None


def test_a_module_for_another_python_does_not_load(folder):
    shutil.copy(module_of("3.8"), folder / "deps/a")
    finding = found(folder)["modules-for-another-python"]
    assert finding.severity == "fails"
    assert finding.files == (f"a/{module_of('3.8').name}",)
    shutil.copy(module_of("3.7"), folder / "deps/a")
    assert "modules-for-another-python" not in found(folder)


def test_a_module_that_needs_a_newer_glibc_is_named_with_the_version(folder):
    path = module_of("3.7", "_socket")
    shutil.copy(path, folder / "deps/a")
    major, minor = glibc_in(path)
    old = PY37._replace(libc_version=f"{major}.{minor - 1}")
    finding = found(folder, old)["newer-glibc"]
    assert finding.severity == "fails"
    assert f"GLIBC_{major}.{minor}" in finding.why
    assert finding.files == (f"a/{path.name}",)
    assert found(folder, PY37._replace(libc_version=f"{major}.{minor}")) == {}


@pytest.mark.parametrize("changed", [{"arch": "aarch64"}, {"libc": "musl", "libc_version": "1.2"}])
def test_a_module_for_another_machine_or_libc_is_named(changed, folder):
    shutil.copy(module_of("3.7"), folder / "deps/a")
    finding = found(folder, PY37._replace(**changed))["modules-for-another-system"]
    assert finding.severity == "fails"
    assert finding.files == (f"a/{module_of('3.7').name}",)
