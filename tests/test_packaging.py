"""What is published: a source distribution and a wheel, which work where there is no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
from support.commands import REQUIREMENTS, ROOT, without_network
from support.interpreters import python

from bundler.targets import PRESETS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
pytestmark = [pytest.mark.slow, pytest.mark.network]


def run(*command, cwd, code=0, **options):
    answer = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, **options)
    assert answer.returncode == code, (command, answer.stdout[-2000:], answer.stderr[-2000:])
    return answer


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """Return an environment with the wheel and the pinned dependencies, and without any extra."""
    where = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", where / "venv", cwd=where)
    pip = [where / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--require-hashes", "-r", ROOT / "scripts/locks/project.txt", cwd=where)
    (wheel,) = dist.glob("*.whl")
    run(*pip, "--no-deps", wheel, cwd=where)
    return where


def test_the_source_distribution_has_what_its_documents_name(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    for needed in ("scripts/bundle", "scripts/test", "scripts/locks/project.txt", "CONTRIBUTING.md", "docs/format.md"):
        assert needed in names
    assert {name for name in names if name.startswith("tests/")} >= {"tests/conftest.py", "tests/faults/shim.c"}


def test_the_wheel_holds_the_package_and_nothing_else(dist):
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
    info = path.name[: path.name.index("-py3")] + ".dist-info"
    assert {name.partition("/")[0] for name in names} == {"bundler", info}
    for needed in ("bundler/py.typed", "bundler/images/decoders.toml", "bundler/images/launch/sitecustomize.py"):
        assert needed in names
    assert {f"bundler/resolving/baseline/images/{preset}.json" for preset in PRESETS} <= set(names)


def test_an_installed_wheel_makes_verifies_and_boots_a_bundle(installed, tmp_path):
    bundle = installed / "venv/bin/bundle"
    environ = {**os.environ, "BUNDLE_CACHE_DIR": str(tmp_path / "cache")}
    run(bundle, "create", "-r", REQUIREMENTS / "small.txt", "-o", "deps.pyz", "-q", cwd=tmp_path, env=environ)
    assert "self-consistent" in run(bundle, "verify", "deps.pyz", cwd=tmp_path, env=environ).stdout
    code = "import requests; print(requests.__version__)"
    command = (python("3.7"), "deps.pyz", "run", "--", "python", "-c", code)
    answer = without_network(*command, cwd=tmp_path, env={**environ, "BUNDLE_CACHE": str(tmp_path / "trees")})
    assert re.fullmatch(r"[0-9.]+\n", answer.stdout), answer.stderr


def test_python_m_bundler_is_the_command(installed, tmp_path):
    answer = run(installed / "venv/bin/python", "-m", "bundler", "--version", cwd=tmp_path)
    assert answer.stdout.startswith("bundle ")


def test_without_the_extra_a_place_that_needs_it_says_what_to_install(installed, tmp_path):
    answer = run(installed / "venv/bin/bundle", "pull", "s3://models/deps:v1", "deps.pyz", cwd=tmp_path, code=1)
    (extra,) = PROJECT["optional-dependencies"]["objects"]
    assert f"hint: pip install '{extra}'" in answer.stderr
