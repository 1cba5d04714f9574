"""Packages as pip has installed them: what is missing, dead, stale or for another Python."""

from __future__ import annotations

import pytest
from support.deployment_factory import deployment, dist_info, make_folder
from support.doctor_cases import LIB, PLAIN, Case, under

from bundler.azureml.doctor import diagnose

CASES = [
    # In a bundle
    Case("pip-bundled", "warning", "pip 23.0", "leave pip out", {LIB: "d"}, bundles={"d": {"pip": "23.0"}}),
    Case(
        "pip-bundled",
        "fails",
        "pip 24.1, which is too new for Python 3.7",
        "leave",
        {LIB: "d"},
        bundles={"d": {"pip": "24.1"}},
    ),
    # In a directory
    Case(
        "pip-bundled", "warning", "pip 23.0", "rm -r deps/pip", {LIB: "deps"}, under("deps", dist_info("pip", "23.0"))
    ),
    Case(
        "pip-bundled",
        "fails",
        "too new",
        "rm -r deps/pip",
        {LIB: "deps"},
        under("deps", dist_info("pip", "24.1", requires_python=">=3.8")),
    ),
    Case(
        "editable-install",
        "fails",
        "__editable__.a-1.pth",
        "--no-deps .",
        {LIB: "deps"},
        {**PLAIN, "deps/__editable__.a-1.pth": "/src"},
    ),
    Case(
        "editable-install", "fails", "a.egg-link", "--no-deps .", {LIB: "deps"}, {**PLAIN, "deps/a.egg-link": "/src\n."}
    ),
    Case(
        "editable-install",
        "fails",
        "alpha-1.0.dist-info",
        "--no-deps .",
        {LIB: "deps"},
        {**PLAIN, "deps/alpha-1.0.dist-info/direct_url.json": '{"url": "file:///a", "dir_info": {"editable": true}}'},
    ),
    Case(
        "pth-is-dead",
        "fails",
        "adds /elsewhere",
        "when it is mounted",
        {LIB: "deps"},
        {**PLAIN, "deps/x.pth": "/elsewhere\n"},
    ),
    Case(
        "pth-is-dead",
        "warning",
        "runs code",
        "when it is mounted",
        {LIB: "deps"},
        {**PLAIN, "deps/x.pth": "import x\n"},
    ),
    Case(
        "packages-need-another-python",
        "fails",
        "beta",
        "--python 3.7.16",
        {LIB: "deps"},
        under("deps", dist_info("beta", requires_python=">=3.8")),
    ),
    Case(
        "wheels-for-another-target",
        "fails",
        "beta (cp38-cp38-manylinux2014_x86_64)",
        "--python 3.7.16",
        {LIB: "deps"},
        under("deps", dist_info("beta", tags=["cp38-cp38-manylinux2014_x86_64"])),
    ),
    Case(
        "wheels-for-another-target",
        "fails",
        "macosx",
        "bundle create",
        {LIB: "deps"},
        under("deps", dist_info("beta", tags=["cp37-cp37m-macosx_10_9_x86_64"])),
    ),
    Case(
        "wheels-for-newer-glibc",
        "warning",
        "manylinux_2_28",
        "manylinux_2_27",
        {LIB: "deps"},
        under("deps", dist_info("beta", tags=["cp37-cp37m-manylinux_2_28_x86_64"])),
    ),
    Case(
        "requirements-missing",
        "warning",
        "gamma (for beta)",
        "pip install --target deps gamma",
        {LIB: "deps"},
        under("deps", dist_info("beta", requires_dist="gamma; python_version < '3.8'")),
    ),
    Case(
        "bytecode-goes-stale",
        "warning",
        "__pycache__/__init__",
        "unchecked-hash",
        {LIB: "deps"},
        {"deps/a/__init__.py": "", "deps/a/__pycache__/__init__.cpython-37.pyc": b"B\r\r\n" + bytes(12)},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)


def test_packages_that_have_what_they_require_and_pyc_that_stay_valid_are_right(tmp_path):
    beta = under("deps", dist_info("beta", requires_dist="Alpha>=1"))
    pyc = {"deps/a/__init__.py": "", "deps/a/__pycache__/__init__.cpython-37.pyc": b"B\r\r\n\1" + bytes(11)}
    assert diagnose(deployment(make_folder(tmp_path, {**PLAIN, **beta, **pyc}), **{LIB: "deps"})) == ()


def test_metadata_that_makes_no_sense_is_passed_over(tmp_path):
    odd = dist_info("odd", tags=["nonsense"], requires_python="about 3", requires_dist="=== !")
    odder = dist_info("odder", requires_dist="a; os_name >= 'x' and no_such == '1'")
    files = {"deps/odd.py": "", **under("deps", {**odd, **odder}), "deps/x-1.dist-info/direct_url.json": "[]"}
    assert diagnose(deployment(make_folder(tmp_path, files), **{LIB: "deps"})) == ()
