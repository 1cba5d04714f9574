"""Bundles in the code folder: damaged, for another target, or never mounted."""

from __future__ import annotations

import pytest
from support.deployment_factory import PY37, deployment, make_bundle, make_folder
from support.doctor_cases import LIB, Case

from bundler.azureml.doctor import diagnose
from bundler.targets import PRESETS

CASES = [
    Case(
        "bundle-target",
        "fails",
        "another Python",
        "--python 3.7.16",
        {LIB: "d"},
        bundles={"d": {"target": PRESETS["azureml-py38"]}},
    ),
    Case(
        "bundle-target",
        "fails",
        "newer glibc",
        "manylinux_2_27",
        {LIB: "d"},
        bundles={"d": {"target": PY37._replace(libc_version="2.28"), "libc_version": "2.28"}},
    ),
    Case("bundle-does-not-mount", "fails", "sitecustomize", 'mount("d")', {LIB: "d"}, bundles={"d": {"mounts": False}}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)


@pytest.mark.parametrize("form", ["packed", "tree"])
def test_a_damaged_bundle_is_sent_to_verify(form, tmp_path):
    folder = make_folder(tmp_path / "code")
    make_bundle(folder / "deps", form=form)
    settings = {LIB: "deps" if form == "packed" else "deps/site-packages"}
    victim = (
        max((folder / "deps/blobs/sha256").iterdir()) if form == "packed" else folder / "deps/site-packages/alpha.py"
    )
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes() + b"more")
    (finding,) = diagnose(deployment(folder, **settings))
    assert finding.name == "bundle-damaged"
    assert finding.type.startswith("bundle verify deps")
    victim.unlink()
    (finding,) = diagnose(deployment(folder, **settings))
    assert finding.name == "bundle-damaged"


def test_a_bundle_needs_the_glibc_of_its_wheels_and_not_that_of_its_target(tmp_path):
    folder = make_folder(tmp_path / "code")
    make_bundle(folder / "deps", target=PY37._replace(libc_version="2.31"), libc_version="2.17")
    assert diagnose(deployment(folder, **{LIB: "deps"})) == ()


def test_a_line_in_the_entry_script_is_enough(tmp_path):
    folder = make_folder(tmp_path, {"score.py": "import bundle_runtime\nbundle_runtime.mount('deps')\n"})
    make_bundle(folder / "deps", mounts=False)
    assert diagnose(deployment(folder)) == ()
