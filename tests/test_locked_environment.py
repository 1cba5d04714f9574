"""The files in scripts/locks pin what pyproject.toml asks for, on every Python that builds, by hashes only."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.commands import ROOT

LOCKS = ROOT / "scripts" / "locks"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PYPROJECT["dependency-groups"]
PROJECT = PYPROJECT["project"]["dependencies"]
OBJECTS = PYPROJECT["project"]["optional-dependencies"]["objects"]
ASKED = {
    "project": [*PROJECT, *PYPROJECT["build-system"]["requires"], *GROUPS["backend"]],
    "lowest": [*PROJECT, *OBJECTS, *PYPROJECT["build-system"]["requires"], *GROUPS["backend"], *GROUPS["test"]],
    **{name: GROUPS[name] for name in GROUPS if name != "backend"},
}
TOGETHER = [name for name in ASKED if name not in ("lowest", "peers")]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
FILES = sorted(path.name for path in LOCKS.glob("*.txt"))


def pins_of(path):
    """Return the requirements that a lock pins, each with the number of its hashes."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value.strip()) for value in hashes), line
            found.append((Requirement(requirement), len(hashes)))
    return found


def environment_of(python):
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.1",
        "python_version": python,
        "sys_platform": "linux",
    }


def applies(requirement, python):
    return requirement.marker is None or requirement.marker.evaluate(environment_of(python))


def versions_for(name, python):
    """Return what the lock *name* installs: a version for each name."""
    versions = {}
    for pin, _ in pins_of(LOCKS / f"{name}.txt"):
        if applies(pin, python):
            assert canonicalize_name(pin.name) not in versions, f"{pin.name} is pinned twice"
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            versions[canonicalize_name(pin.name)] = Version(specifier.version)
    return versions


@pytest.mark.parametrize("name", FILES)
def test_every_pin_has_hashes_and_no_file_names_an_index(name):
    pins = pins_of(LOCKS / name)
    assert pins
    assert [str(pin) for pin, hashes in pins if not hashes] == []
    text = (LOCKS / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash)", text, re.MULTILINE), "an option"


def test_there_is_a_lock_for_each_group():
    servers = {name.removesuffix(".txt") for name in FILES if name.startswith("inference-server-")}
    assert {name.removesuffix(".txt") for name in FILES} == {*ASKED, *servers}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_for_is_pinned_to_what_is_admitted(name, python):
    versions = versions_for(name, python)
    for requirement in map(Requirement, ASKED[name]):
        if applies(requirement, python):
            version = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), (str(requirement), str(version))


@pytest.mark.parametrize("python", PYTHONS)
def test_the_groups_can_be_installed_together(python):
    together = {}
    for name in TOGETHER:
        for package, version in versions_for(name, python).items():
            assert together.setdefault(package, version) == version, (name, package)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lowest_are_the_bounds(python):
    versions = versions_for("lowest", python)
    for requirement in map(Requirement, [*PROJECT, *OBJECTS, *GROUPS["backend"]]):
        (bound,) = [item.version for item in requirement.specifier if item.operator == ">="]
        assert versions[canonicalize_name(requirement.name)] == Version(bound), str(requirement)


def test_nodes_lock_has_hashes_and_names_no_host():
    text = (LOCKS / "node" / "package-lock.json").read_text()
    assert "://" not in text
    lock = json.loads(text)
    asked = json.loads((LOCKS / "node" / "package.json").read_text())["dependencies"]
    assert lock["packages"].pop("")["dependencies"] == asked
    assert [path for path, package in lock["packages"].items() if not package["integrity"].startswith("sha512-")] == []
