"""Real virtualenvs of real interpreters, used the way Azure's documentation says: their packages go onto the path."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.deployment_factory import deployment, make_folder
from support.doctor_cases import LIB
from support.interpreters import python
from support.wheel_factory import make_wheel

from bundler.azureml.doctor import diagnose
from bundler.targets import PRESETS

pytestmark = pytest.mark.slow
SETUP = "from setuptools import setup\nsetup(name='alpha', version='1.0', py_modules=['alpha'])\n"
PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "alpha"
version = "1.0"
"""
BACKEND = """\
import os
import shutil

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return os.path.basename(shutil.copy({0!r}, wheel_directory))

build_wheel = build_editable
"""


def run(*command, **options):
    answer = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert answer.returncode == 0, answer.stderr


def virtualenv(path, version, *options):
    run(sys.executable, "-m", "virtualenv", "--quiet", "--no-seed", "-p", python(version), *options, path)
    return path / f"lib/python{version}/site-packages"


def venv_with_pip(path, version):
    run(python(version), "-I", "-m", "venv", path)
    return path / f"lib/python{version}/site-packages"


def pip_install(path, *arguments, **environ):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    command = [path / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--no-index", *arguments]
    run(*command, env={**clean, "PIP_CONFIG_FILE": os.devnull, **environ})


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "code")


def found(folder, value, **options):
    return {finding.name: finding for finding in diagnose(deployment(folder, **{LIB: value}, **options))}


def failing(findings):
    return sorted(name for name, finding in findings.items() if finding.severity == "fails")


def test_a_clean_one_with_packages_does_not_fail(folder, tmp_path):
    venv_with_pip(folder / "myenv", "3.7")
    wheel = make_wheel(tmp_path, "alpha", "1.0")
    pip_install(folder / "myenv", wheel)
    findings = found(folder, "myenv/lib/python3.7/site-packages")
    assert failing(findings) == []
    # What the upload carries for nothing, or changes.
    assert set(findings) == {
        "bytecode-goes-stale",
        "pip-bundled",
        "symlink-directory",
        "symlink-file",
        "virtualenv-uploaded-whole",
    }
    assert "pip-" in findings["pip-bundled"].type


@pytest.mark.parametrize("value", ["myenv", "myenv/lib", "myenv/lib/python3.7", "myenv/bin"])
def test_only_its_site_packages_are_the_packages(value, folder):
    virtualenv(folder / "myenv", "3.7")
    finding = found(folder, value)["not-the-packages"]
    assert finding.severity == "fails"
    assert finding.type == f"{LIB}: myenv/lib/python3.7/site-packages"


def test_one_that_no_setting_mentions_is_looked_at_where_settings_are_unknown(folder):
    virtualenv(folder / "myenv", "3.8")
    unknown = deployment(folder)
    object.__setattr__(unknown, "settings", None)
    findings = {finding.name: finding for finding in diagnose(unknown)}
    assert findings["nothing-puts-it-on-the-path"].severity == "warning"
    assert "environment-python" in findings


def test_one_for_another_python_is_refused(folder):
    virtualenv(folder / "myenv", "3.8")
    findings = found(folder, "myenv/lib/python3.8/site-packages")
    assert "was made with Python 3.8" in findings["environment-python"].what
    assert "--python 3.7" in findings["environment-python"].type
    fitting = found(folder, "myenv/lib/python3.8/site-packages", target=PRESETS["azureml-py38"])
    assert failing(fitting) == []


def test_packages_of_the_host_that_it_only_sees_are_named(folder, tmp_path):
    site = virtualenv(folder / "myenv", "3.7", "--system-site-packages")
    assert found(folder, "myenv/lib/python3.7/site-packages")["system-site-packages"].severity == "warning"
    # The same with a host whose Python has more than pip.
    base = make_folder(
        tmp_path / "base",
        {
            "lib/python3.7/site-packages/numpy-1.21.6.dist-info/METADATA": "",
            "lib/python3.7/site-packages/alpha-1.0.dist-info/METADATA": "",
            "bin": None,
        },
    )
    config = folder / "myenv/pyvenv.cfg"
    lines = [f"home = {base}/bin" if line.startswith("home") else line for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines))
    (site / "alpha-1.0.dist-info").mkdir()
    finding = found(folder, "myenv/lib/python3.7/site-packages")["system-site-packages"]
    assert (finding.severity, finding.files) == ("fails", ("numpy",))


def test_a_requirement_that_pip_found_through_pythonpath_is_missed(folder, tmp_path):
    venv_with_pip(folder / "myenv", "3.7")
    gamma = make_wheel(tmp_path / "wheels", "gamma", "1.0")
    beta = make_wheel(tmp_path / "wheels", "beta", "1.0", requires=["gamma", "delta; python_version >= '3.8'"])
    pip_install(folder / "myenv", "--target", tmp_path / "outside", gamma)
    pip_install(folder / "myenv", beta, PYTHONPATH=str(tmp_path / "outside"))
    finding = found(folder, "myenv/lib/python3.7/site-packages")["requirements-missing"]
    assert finding.files == ("gamma",)
    assert "gamma (for beta)" in finding.what


def test_an_editable_install_by_setuptools_is_found(folder, tmp_path):
    venv_with_pip(folder / "myenv", "3.7")
    project = make_folder(tmp_path / "project", {"setup.py": SETUP, "alpha.py": ""})
    pip_install(folder / "myenv", "--no-build-isolation", "--no-deps", "-e", project)
    findings = found(folder, "myenv/lib/python3.7/site-packages")
    assert failing(findings) == ["editable-install"]
    assert findings["editable-install"].files == ("alpha.egg-link", "easy-install.pth")


def test_an_editable_install_by_any_other_backend_is_found(folder, tmp_path):
    """What the wheel of such an install holds is the backend's affair; pip writes down that it was one."""
    venv_with_pip(folder / "myenv", "3.7")
    wheel = make_wheel(tmp_path, "alpha", "1.0", {"_alpha.pth": f"{tmp_path}/project\n".encode()})
    project = make_folder(tmp_path / "project", {"pyproject.toml": PYPROJECT, "backend.py": BACKEND.format(str(wheel))})
    pip_install(folder / "myenv", "--no-build-isolation", "--no-deps", "-e", project)
    findings = found(folder, "myenv/lib/python3.7/site-packages")
    assert failing(findings) == ["editable-install", "pth-is-dead"]
    assert findings["editable-install"].files == ("alpha-1.0.dist-info",)


@pytest.mark.parametrize(
    ("mark", "severity"),
    [
        ("code/myenv/conda-meta/history", "fails"),
        ("code/conda-meta/history", "fails"),
        ("base/conda-meta/history", "warning"),
    ],
)
def test_conda_in_it_beside_it_or_below_it_is_named(mark, severity, folder, tmp_path):
    virtualenv(folder / "myenv", "3.7")
    make_folder(tmp_path, {mark: "", "base/bin": None})
    config = folder / "myenv/pyvenv.cfg"
    config.write_text(f"home = {tmp_path}/base/bin\nversion = 3.7.16\n")
    assert found(folder, "myenv/lib/python3.7/site-packages")["conda-mixed-in"].severity == severity


def test_a_usual_gitignore_drops_it(folder):
    virtualenv(folder / "myenv", "3.7")
    (folder / ".gitignore").write_text("lib/\n")
    finding = found(folder, "myenv/lib/python3.7/site-packages")["upload-drops-files"]
    assert "myenv/lib/python3.7/site-packages/_virtualenv.py" in finding.files
    run("bash", "-c", finding.type, cwd=folder)
    assert "upload-drops-files" not in found(folder, "myenv/lib/python3.7/site-packages")
