"""``bundle check``, and ``--baseline`` of ``create`` and ``lock``, as a user types them; without the package index."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tomllib

import pytest
from support import commands
from support.interpreters import python, target_of
from support.wheel_factory import make_wheel

FORMATS = {"pyz": "deps.pyz", "packed": "deps", "tree": "deps"}
EACH_FORMAT = ["pyz", pytest.param("packed", marks=pytest.mark.slow), pytest.param("tree", marks=pytest.mark.slow)]


@pytest.fixture
def shelf(tmp_path):
    directory = tmp_path / "shelf"
    for name, version, requires in (
        ("app", "1.0", ["lib"]),
        ("lib", "1.0", []),
        ("lib", "1.5", []),
        ("lib", "2.0", []),
        ("server", "0.8", ["lib~=1.0", "wrapt==1.12.1"]),
    ):
        make_wheel(directory, name, version, {f"{name}.py": b"x = 1\n"}, requires=requires)
    return directory


@pytest.fixture
def bundle(cache, shelf, tmp_path):
    """Run ``bundle`` in tmp_path with the test's own cache and wheels."""
    (tmp_path / "target.json").write_text(json.dumps(target_of("3.7").to_json()))
    (tmp_path / "freeze.txt").write_text("server==0.8\nlib==1.0\nwrapt==1.12.1\n")

    def run(command, *arguments):
        extra = []
        if command in ("create", "lock"):
            extra = ["--target", "target.json"]
        if command in ("create", "lock", "check"):
            extra += ["--no-index", "--find-links", shelf, "--cache-dir", cache.root]
        return commands.bundle(command, *extra, *arguments, cwd=tmp_path)

    return run


@pytest.fixture
def create(bundle):
    def create(*arguments, form="pyz"):
        answer = bundle("create", *arguments, "--format", form, "-o", FORMATS[form], "--compile", "never", "--json")
        assert answer.returncode == 0, answer.stderr
        return FORMATS[form], json.loads(answer.stdout)

    return create


@pytest.mark.parametrize("form", EACH_FORMAT)
def test_a_conflict_is_shown_with_the_command_that_pins_around_it(bundle, create, form, tmp_path):
    path, _ = create("app", "lib>=2", form=form)
    answer = bundle("check", path, "--baseline", "freeze.txt")
    assert answer.returncode == 1
    assert answer.stdout.splitlines()[:5] == [
        f"{path} over freeze.txt, 3 packages: 1 conflict",
        "  overrides  image  bundle",
        "  lib        1.0    2.0",
        "  broken: server 0.8 requires lib~=1.0 of the image; the bundle has 2.0",
        "  not checked: wrapt 1.12.1: the package index has no wheel of it, which would tell what it requires",
    ]
    command = shlex.split(answer.stdout.splitlines()[-1])
    assert command[:3] == ["bundle", "create", "app==1.0"]
    again = bundle("create", "--compile", "never", *command[2:])
    assert again.returncode == 0, again.stderr
    assert (tmp_path / command[-1]).exists()
    answer = bundle("check", command[-1], "--baseline", "freeze.txt")
    assert (answer.returncode, answer.stdout) == (
        0,
        f"{command[-1]} over freeze.txt, 3 packages: no conflict\n  the same in both: lib\n",
    )


def test_check_as_json_says_the_same(bundle, create):
    path, _ = create("lib==2.0")
    answer = bundle("check", path, "--baseline", "freeze.txt", "--json")
    assert answer.returncode == 1
    document = json.loads(answer.stdout)
    assert document["conflict"] is True
    assert document["overrides"] == [{"name": "lib", "image": "1.0", "bundle": "2.0"}]
    assert document["broken"] == [
        {"package": "server", "version": "0.8", "requires": "lib~=1.0", "name": "lib", "found": "2.0"}
    ]
    assert [item["name"] for item in document["unchecked"]] == ["wrapt"]
    assert document["command"].startswith("bundle create 'lib~=1.0' ")


def test_a_bundle_that_overrides_nothing_is_fine_without_any_index(bundle, create):
    path, _ = create("app", "lib==1.0")
    answer = bundle("check", path, "--baseline", "freeze.txt", "--offline")
    assert answer.returncode == 0, answer.stderr
    assert "not checked" not in answer.stdout


def test_offline_and_uncached_nothing_is_known_and_that_is_no_success(bundle, create):
    path, _ = create("lib==1.5")
    answer = bundle("check", path, "--baseline", "freeze.txt", "--offline")
    assert answer.returncode == 1
    assert "nothing could be checked" in answer.stdout
    assert "not checked: server 0.8, wrapt 1.12.1: its requirements are not in the cache" in answer.stdout
    assert bundle("check", path, "--baseline", "freeze.txt").returncode == 0
    assert bundle("check", path, "--baseline", "freeze.txt", "--offline").returncode == 0


@pytest.mark.slow
def test_a_live_interpreter_needs_no_index(bundle, create, tmp_path, shelf):
    venv = tmp_path / "venv"
    subprocess.run([python("3.7"), "-m", "venv", "--without-pip", venv], check=True)
    site = venv / "lib" / "python3.7" / "site-packages"
    for name, version, requires in (("server", "0.8", "Requires-Dist: lib<2\n"), ("lib", "1.0", "")):
        (site / f"{name}-{version}.dist-info").mkdir()
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{requires}")
    path, _ = create("lib==2.0")
    answer = bundle("check", path, "--baseline", venv / "bin" / "python", "--offline")
    assert answer.returncode == 1
    assert "broken: server 0.8 requires lib<2 of the image; the bundle has 2.0" in answer.stdout


@pytest.mark.slow
def test_a_baseline_of_another_python_is_refused(bundle, create):
    path, _ = create("lib==2.0")
    answer = bundle("check", path, "--baseline", sys.executable)
    assert answer.returncode == 2
    assert "is the baseline of another Python" in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("form", EACH_FORMAT)
def test_what_is_left_to_the_image_is_recorded_and_checked(bundle, create, form, tmp_path):
    path, made = create("app", "--baseline", "freeze.txt", "--skip-provided", form=form)
    assert [package["name"] for package in made["packages"]] == ["app"]
    assert made["provided"] == [{"name": "lib", "version": "1.0"}]
    assert "the image's  lib 1.0" in bundle("inspect", path).stdout
    assert json.loads(bundle("inspect", path, "--json").stdout)["provided"] == made["provided"]
    answer = bundle("check", path, "--baseline", "freeze.txt")
    assert (answer.returncode, answer.stdout.splitlines()[1]) == (0, "  left to the image: lib 1.0")
    (tmp_path / "other.txt").write_text("server==0.8\nwrapt==1.12.1\n")
    answer = bundle("check", path, "--baseline", "other.txt")
    assert answer.returncode == 1
    assert "unmet: app 1.0 requires lib of the bundle; there is none" in answer.stdout
    assert "lost: the bundle leaves lib 1.0 to the image, which has none" in answer.stdout
    assert " --skip-provided " in answer.stdout


@pytest.mark.slow
def test_the_image_in_the_way_is_an_error_and_nothing_is_written(bundle, tmp_path):
    answer = bundle("create", "lib>=2", "--baseline", "freeze.txt", "-o", "deps.pyz")
    assert answer.returncode == 1
    assert "the image is in the way: server 0.8 requires lib~=1.0" in answer.stderr
    assert not (tmp_path / "deps.pyz").exists()


@pytest.mark.slow
def test_lock_says_what_it_leaves_to_the_image_and_create_keeps_it(bundle, tmp_path):
    answer = bundle("lock", "app", "--baseline", "freeze.txt", "--skip-provided", "-o", "pylock.toml")
    assert answer.returncode == 0, answer.stderr
    assert "left to the image: lib 1.0" in answer.stderr
    tool = tomllib.loads((tmp_path / "pylock.toml").read_text())["tool"]["bundler"]
    assert tool["provided"] == [{"name": "lib", "version": "1.0"}]
    answer = bundle("create", "--lock", "pylock.toml", "-o", "deps.pyz", "--json")
    assert json.loads(answer.stdout)["provided"] == tool["provided"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lib", "--skip-provided"], "--skip-provided: needs a --baseline"),
        (["--lock", "pylock.toml", "--baseline", "freeze.txt"], "--lock: is resolved already"),
        (["lib", "--baseline", "."], ".: is a directory"),
        (["lib", "--baseline", "empty.txt"], "empty.txt: names no package"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(bundle, tmp_path, arguments, words):
    (tmp_path / "empty.txt").touch()
    answer = bundle("create", *arguments, "-o", "deps.pyz")
    assert answer.returncode == 2
    assert words in answer.stderr
