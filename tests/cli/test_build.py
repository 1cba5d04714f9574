"""Sources on the command line: what may be built, what is said of it, and what a bundle tells afterwards."""

from __future__ import annotations

import json

import pytest
from support import commands
from support.interpreters import target_of
from support.sdist_factory import make_sdist
from support.wheel_factory import make_wheel


@pytest.fixture
def bundle(cache, tmp_path):
    """Run ``bundle`` in tmp_path, with a shelf that has a source and what it requires."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    make_sdist(shelf, "app", "2.0", {"app.py": ""}, requires=["helper"])
    make_wheel(shelf, "app", "1.0", {"app.py": b""})
    make_wheel(shelf, "helper", "1.0", {"helper.py": b""})
    (tmp_path / "target.json").write_text(json.dumps(target_of("3.7").to_json()))

    def run(command, *arguments):
        extra = []
        if command in ("create", "lock"):
            extra = ["--no-index", "-f", "shelf", "--target", "target.json", "--cache-dir", str(cache.root)]
        return commands.bundle(command, *extra, *arguments, cwd=tmp_path)

    return run


def test_what_is_built_is_said_and_a_bundle_tells_it(bundle):
    answer = bundle("create", "app", "-o", "deps.pyz")
    assert answer.returncode == 0, answer.stderr
    assert "building app 2.0: it has no wheel\n" in answer.stderr
    shown = bundle("inspect", "deps.pyz").stdout
    assert "built        app 2.0, by CPython 3.7.16, from app-2.0.tar.gz sha256:" in shown
    (built,) = json.loads(bundle("inspect", "deps.pyz", "--json").stdout)["built"]
    assert (built["name"], built["version"], built["python"]) == ("app", "2.0", "3.7.16")


def test_nothing_is_built_where_that_is_wanted(bundle, tmp_path):
    answer = bundle("lock", "app", "--build", "never", "-o", "pylock.toml")
    assert answer.returncode == 0, answer.stderr
    assert "building" not in answer.stderr
    assert 'version = "1.0"' in (tmp_path / "pylock.toml").read_text()
    assert bundle("lock", "app", "-o", "pylock.toml", "-q").returncode == 0
    answer = bundle("create", "--lock", "pylock.toml", "--build", "never", "-o", "deps.pyz")
    assert answer.returncode == 0, "it is in the cache"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--build", "helper"], "app 2.0: exists as source only, and may not be built"),
        (["--build", "auto", "--build", "app"], "--build: says two things"),
        (["--build-requires", "numpy"], "--build-requires: is not understood; got numpy, want NAME:REQ"),
    ],
)
def test_wrong_use_has_a_clear_error(bundle, tmp_path, arguments, words):
    answer = bundle("create", "app", "-o", "deps.pyz", *arguments)
    assert answer.returncode == 2
    assert words in answer.stderr
    assert not (tmp_path / "deps.pyz").exists()
