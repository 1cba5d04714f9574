"""The verifier alone: for every Python, in every form, and the same bytes each time."""

from __future__ import annotations

import subprocess

import pytest
from support.image_factory import make_image
from support.interpreters import VERSIONS, python, target_of
from support.wheel_factory import pin_of

from bundler.images.carriers import write_carrier
from bundler.images.standalone_verifier import write_verifier, write_wheel
from bundler.runtime.errors import BundleError, UsageError
from bundler.wheels.wheel_reader import Wheel


@pytest.fixture
def deps(decode, tmp_path):
    image = make_image(tmp_path / "layers", {"site-packages/mod.py": b"value = 42\n"}, target=target_of("3.7"))
    write_carrier(image, tmp_path / "deps", form="packed", force=False, decode=decode, jobs=1)
    return tmp_path / "deps", image.digest


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_verifies_what_it_does_not_belong_to(version, deps, tmp_path):
    path, digest = deps
    write_verifier(tmp_path / "verifier.pyz")
    answer = run(python(version), "-I", tmp_path / "verifier.pyz", "verify", path, "--expect", digest)
    # Another Python than the target verifies everything, and then says that it is another.
    assert answer.returncode == (0 if version == "3.7" else 5), answer.stderr
    assert run(python(version), tmp_path / "verifier.pyz", "unpack", path, tmp_path / "tree").returncode == 0
    assert (tmp_path / "tree/site-packages/mod.py").exists()


def test_it_finds_a_runtime_inside_the_artifact_that_was_changed(deps, tmp_path):
    path, digest = deps
    write_verifier(tmp_path / "verifier.pyz")
    evil = "def main(*_):\n    print('all is well')\n    return 0\n"
    (path / "bundle_runtime/cli.py").write_text(evil)
    assert run(python("3.7"), path, "verify", "--expect", digest).stdout == "all is well\n"
    answer = run(python("3.7"), tmp_path / "verifier.pyz", "verify", path, "--expect", digest)
    assert answer.returncode == 3
    assert "bundle_runtime/cli.py: differs from the image's own copy" in answer.stderr


def test_a_directory_is_a_package_that_mounts(deps, tmp_path):
    path, _ = deps
    write_verifier(tmp_path / "bundle_runtime")
    code = f"import bundle_runtime; bundle_runtime.mount({str(path)!r}); import mod; print(mod.value)"
    assert run(python("3.7"), "-c", code, cwd=tmp_path).stdout == "42\n"


@pytest.mark.slow
def test_a_wheel_brings_the_command(deps, tmp_path):
    path, digest = deps
    wheel = write_wheel(tmp_path)
    Wheel.open(wheel, pin_of(wheel), warn=pytest.fail).close()
    venv = tmp_path / "venv"
    assert run(python("3.7"), "-m", "venv", venv).returncode == 0
    pip = run(venv / "bin/pip", "install", "--no-index", "--disable-pip-version-check", wheel)
    assert pip.returncode == 0, pip.stdout + pip.stderr
    bundle = venv / "bin/bundle"
    assert ": verified: " in run(bundle, "verify", path, "--expect", digest).stdout
    ran = run(bundle, "run", path, "--", "python", "-c", "import mod; print(mod.value)")
    assert ran.stdout == "42\n", ran.stderr
    assert run(bundle, "unpack", path, tmp_path / "tree").returncode == 0
    assert "usage: bundle " in run(bundle, "--help").stdout


def test_the_same_bytes_each_time(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert write_wheel(tmp_path / "a").read_bytes() == write_wheel(tmp_path / "b").read_bytes()
    for name in ("a", "b"):
        write_verifier(tmp_path / name / "verifier.pyz")
    assert (tmp_path / "a/verifier.pyz").read_bytes() == (tmp_path / "b/verifier.pyz").read_bytes()


def test_what_is_there_stays_unless_forced(tmp_path):
    for out in (tmp_path / "verifier.pyz", tmp_path / "bundle_runtime"):
        write_verifier(out)
        with pytest.raises(BundleError, match="exists already"):
            write_verifier(out)
        write_verifier(out, force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/bundle_runtime").mkdir()
    with pytest.raises(BundleError, match="exists already"):
        write_verifier(tmp_path / "other/bundle_runtime", force=True)
    with pytest.raises(UsageError, match="is no name for it"):
        write_verifier(tmp_path / "verifier")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle_runtime", "other", "verifier.pyz"]


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BundleError, match="cannot be written"):
        write_verifier(tmp_path / "gone" / "verifier.pyz")
