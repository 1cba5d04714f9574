"""``--drop``, as a user types it: one package is left out, and who misses it is said; without the package index."""

from __future__ import annotations

import json
import tomllib

import pytest
from support import commands
from support.interpreters import target_of
from support.wheel_factory import make_wheel

MISSED = "warning: lib 2.0 was dropped, and is required by app 1.0\n"


@pytest.fixture
def bundle(cache, tmp_path):
    """Run ``bundle`` in tmp_path with the test's own cache and wheels."""
    make_wheel(tmp_path / "shelf", "app", "1.0", {"app.py": b"x = 1\n"}, requires=["lib"])
    make_wheel(tmp_path / "shelf", "lib", "2.0", {"lib.py": b"x = 1\n"})
    (tmp_path / "target.json").write_text(json.dumps(target_of("3.7").to_json()))

    def run(command, *arguments):
        extra = []
        if command in ("create", "lock"):
            extra = ["--target", "target.json", "--no-index", "--find-links", "shelf", "--cache-dir", cache.root]
        return commands.bundle(command, *extra, *arguments, cwd=tmp_path)

    return run


def test_create_leaves_a_package_out_and_says_who_misses_it(bundle):
    answer = bundle("create", "app", "--drop", "Lib", "-o", "deps.pyz", "-q", "--compile", "never")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == MISSED
    assert "  dropped      lib 2.0\n" in answer.stdout
    assert "dropped      lib 2.0\n" in bundle("inspect", "deps.pyz").stdout
    shown = json.loads(bundle("inspect", "deps.pyz", "--json").stdout)
    assert shown["dropped"] == [{"name": "lib", "version": "2.0"}]
    assert [item["name"] for item in shown["distributions"]] == ["app"]


def test_lock_records_it_and_create_keeps_it(bundle, tmp_path):
    answer = bundle("lock", "app", "--drop", "lib", "-o", "pylock.toml")
    assert answer.returncode == 0, answer.stderr
    assert MISSED in answer.stderr
    assert "  dropped: lib 2.0\n" in answer.stderr
    document = tomllib.loads((tmp_path / "pylock.toml").read_text())
    assert [item["name"] for item in document["packages"]] == ["app"]
    assert document["tool"]["bundler"]["dropped"] == [{"name": "lib", "version": "2.0"}]
    answer = bundle("create", "--lock", "pylock.toml", "-o", "deps.pyz", "--json", "--compile", "never")
    assert answer.stderr == MISSED
    assert json.loads(answer.stdout)["dropped"] == [{"name": "lib", "version": "2.0"}]


def test_a_lock_may_be_narrowed_when_a_bundle_is_made_of_it(bundle):
    assert bundle("lock", "app", "-o", "pylock.toml", "-q").returncode == 0
    answer = bundle("create", "--lock", "pylock.toml", "--drop", "lib", "-o", "deps.pyz", "--json")
    assert [item["name"] for item in json.loads(answer.stdout)["packages"]] == ["app"]


def test_what_nobody_requires_is_dropped_without_a_word(bundle):
    answer = bundle("lock", "app", "--drop", "app", "-q")
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["lock", "create"])
def test_a_name_that_is_not_in_the_lock_is_a_usage_error(bundle, command, tmp_path):
    answer = bundle(command, "app", "--drop", "liv", "-o", "out.pyz", "-q")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --drop: names what is not in the lock; got liv\n")
    assert not (tmp_path / "out.pyz").exists()


@pytest.mark.slow
def test_pip_would_ask_for_what_a_wheelhouse_lacks(bundle, tmp_path):
    answer = bundle("create", "app", "--drop", "lib", "--format", "wheelhouse", "-o", "house")
    assert answer.returncode == 2
    assert "leaves out what pip would ask for where it is installed; got lib 2.0" in answer.stderr
    assert not (tmp_path / "house").exists()
