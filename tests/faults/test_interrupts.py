"""D30: Ctrl-C and SIGTERM at random times of create, push, pull and of a boot's unpack: nothing half done is left.

What a push has sent to the store stays there without a name, and what a pull has fetched stays in ``.NAME.pull``: both
say so, the next one goes on with it, and after that nothing is left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support.bundle_factory import contents_of, make_bundle
from support.commands import bundle
from support.interpreters import target_of
from support.wheel_factory import make_wheel, pin_of

from bundler.locks import Lock
from bundler.stores.oci_layouts import LayoutStore

pytestmark = pytest.mark.slow

SIGNALS = [signal.SIGINT, signal.SIGTERM]
ROUNDS = 8
INTERRUPTED = 130


def started(*arguments, cwd):
    program = "import sys; from bundler.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupted(arguments, number, generator, *, cwd, longest):
    """Run the command, and send it the signal at a random time after its start; return its code and errors.

    While Python starts and while it ends, a signal is its own affair: nothing has begun, or all is done.
    """
    process = started(*arguments, cwd=cwd)
    time.sleep(generator.uniform(0.1, longest * 0.9))
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, INTERRUPTED, -number), errors
    assert "Traceback" not in errors or process.returncode == -number, errors
    return process.returncode, errors


def seconds_for(*arguments, cwd):
    begun = time.monotonic()
    answer = bundle(*arguments, cwd=cwd)
    assert answer.returncode == 0, answer.stderr
    return time.monotonic() - begun


def names_below(*directories):
    return sorted(str(path) for directory in directories for path in directory.rglob("*"))


@pytest.fixture
def project(tmp_path):
    """Return a directory with a lock of wheels that take a while to compress, and the arguments to create with it."""
    generator = random.Random(1)
    text = b"".join(b"%d " % generator.randrange(1 << 30) for _ in range(300_000))
    wheels = [
        make_wheel(tmp_path / "wheels", name, "1.0", {f"{name}.py": b"x = 1\n", f"{name}.txt": text * times})
        for name, times in (("small", 1), ("large", 3), ("other", 2))
    ]
    lock = Lock(target=target_of("3.7"), pins=tuple(sorted(map(pin_of, wheels), key=lambda pin: pin.name)))
    (tmp_path / "pylock.toml").write_text(lock.to_toml())
    (tmp_path / "target.json").write_text(json.dumps(lock.target.to_json()))
    return tmp_path


@pytest.mark.parametrize(
    ("form", "number"),
    [("pyz", signal.SIGINT), ("pyz", signal.SIGTERM), ("packed", signal.SIGTERM), ("tree", signal.SIGINT)],
)
def test_d30_create_interrupted_at_any_time_leaves_nothing(form, number, project, cache, record_property):
    generator = random.Random(f"{form}{number}")
    arguments = ["create", "--no-index", "--lock", "pylock.toml", "--target", "target.json", "--compile", "never"]
    arguments += ["--level", "9", "--cache-dir", cache.root, "--format", form, "-o"]
    name = "deps.pyz" if form == "pyz" else "deps"
    empty = project / "empty"
    shutil.copytree(cache.root, empty)
    longest = seconds_for(*arguments, "first.pyz" if form == "pyz" else "first", cwd=project)
    before = sorted(os.listdir(project))
    codes = []
    for turn in range(ROUNDS):
        if turn % 2 == 0:
            shutil.rmtree(cache.root)
            shutil.copytree(empty, cache.root)
        code, errors = interrupted([*arguments, name], number, generator, cwd=project, longest=longest)
        codes.append(code)
        if code == INTERRUPTED:
            assert errors.splitlines()[-1].startswith("interrupted"), errors
        elif (project / name).exists():
            assert bundle("verify", name, cwd=project).returncode == 0
            subprocess.run(["rm", "-r", project / name], check=True)
        else:
            assert code, errors
        assert sorted(os.listdir(project)) == before
        assert [path for path in names_below(cache.root) if "partial" in path] == []
    record_property("interrupted", codes.count(INTERRUPTED))
    assert codes.count(INTERRUPTED) >= 1
    answer = bundle(*arguments, name, cwd=project)
    assert answer.returncode == 0, answer.stderr
    assert contents_of(project / name) == contents_of(project / ("first.pyz" if form == "pyz" else "first"))


@pytest.fixture
def place(tmp_path):
    for n in range(2):
        make_bundle(tmp_path / f"deps-{n}.pyz", 40 << 20, 300_000, 1000, seed=n, scratch=tmp_path / "scratch")
    return tmp_path


@pytest.mark.parametrize("number", SIGNALS)
def test_d30_push_interrupted_at_any_time_names_nothing_that_is_not_complete(number, place, record_property):
    generator = random.Random(number)
    longest = seconds_for("push", "deps-0.pyz", "store:v0", cwd=place)
    before = sorted(os.listdir(place))
    codes = []
    for _ in range(ROUNDS):
        code, errors = interrupted(["push", "deps-1.pyz", "store:v1"], number, generator, cwd=place, longest=longest)
        codes.append(code)
        assert sorted(os.listdir(place)) == before
        store = LayoutStore(place / "store")
        if "v1" in store.names():
            assert bundle("pull", "store:v1", "whole.pyz", cwd=place).returncode == 0
            shutil.rmtree(place / "store")
            (place / "whole.pyz").unlink()
            assert bundle("push", "deps-0.pyz", "store:v0", cwd=place).returncode == 0
        elif code == INTERRUPTED:
            assert "interrupted" in errors
    record_property("interrupted", codes.count(INTERRUPTED))
    assert codes.count(INTERRUPTED) >= 1
    assert bundle("push", "deps-1.pyz", "store:v1", cwd=place).returncode == 0
    assert bundle("pull", "store:v1", "out.pyz", cwd=place).returncode == 0
    assert contents_of(place / "out.pyz") == contents_of(place / "deps-1.pyz")
    assert [path for path in names_below(place / "store") if "partial" in path and os.path.isfile(path)] == []


@pytest.mark.parametrize(("form", "number"), [("pyz", signal.SIGINT), ("packed", signal.SIGTERM)])
def test_d30_pull_interrupted_at_any_time_leaves_the_old_or_the_new(form, number, place, record_property):
    generator = random.Random(f"{form}{number}")
    for n in range(2):
        assert bundle("push", f"deps-{n}.pyz", f"store:v{n}", cwd=place).returncode == 0
    out = "out.pyz" if form == "pyz" else "out"
    longest = seconds_for("pull", "store:v0", out, "--format", form, cwd=place)
    wanted = {"v0": contents_of(place / out)}
    assert bundle("pull", "store:v1", out, "--force", "--format", form, cwd=place).returncode == 0
    wanted["v1"] = contents_of(place / out)
    before = there = sorted(os.listdir(place))
    codes = []
    for turn in range(ROUNDS):
        pull = ["pull", f"store:v{turn % 2}", out, "--force", "--format", form]
        code, errors = interrupted(pull, number, generator, cwd=place, longest=longest)
        codes.append(code)
        left = sorted(os.listdir(place))
        assert set(left) - set(before) <= ({f".{out}.pull"} if code == INTERRUPTED else set())
        if f".{out}.pull" in set(left) - set(there):
            assert f"is kept in .{out}.pull" in errors
        there = left
        assert contents_of(place / out) in wanted.values()
    record_property("interrupted", codes.count(INTERRUPTED))
    assert codes.count(INTERRUPTED) >= 1
    assert bundle("pull", "store:v0", out, "--force", "--format", form, cwd=place).returncode == 0
    assert contents_of(place / out) == wanted["v0"]
    assert sorted(os.listdir(place)) == before
