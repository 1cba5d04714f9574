"""D26 and D30: a create that finds no room, may not write, or is interrupted leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support.locked_wheels import lock_of, three_wheels
from support.wheel_factory import make_wheel, pin_of


@pytest.fixture
def locked(tmp_path):
    return lock_of(three_wheels(tmp_path / "wheels"))


ON_A_SMALL_DISK = """
cp -r "$1" "$1.kept" && mount -t tmpfs -o size=1m tmpfs "$1" && cp -r "$1.kept/." "$1" &&
cd "$2" && shift 2 && exec "$@"
"""


@pytest.mark.parametrize("full", ["output", "cache"])
@pytest.mark.parametrize("form", ["pyz", "packed", "tree"])
@pytest.mark.slow
def test_d26_a_full_disk_leaves_nothing_behind(locked, cache, tmp_path, form, full):
    """The output, or the cache with the layers, is on a real file system of 1 MiB."""
    (tmp_path / "pylock.toml").write_text(locked.to_toml())
    (tmp_path / "target.json").write_text(json.dumps(locked.target.to_json()))
    out = tmp_path / "out"
    out.mkdir()
    place = out if full == "output" else cache.root
    check = 'import sys, os; from bundler.cli import main; code = main(); print(os.listdir("out")); sys.exit(code)'
    name = "out/deps.pyz" if form == "pyz" else "out/deps"
    command = [sys.executable, "-c", check, "create", "--no-index", "--lock", "pylock.toml", "-o", name]
    command += ["--format", form, "--cache-dir", str(cache.root), "--target", "target.json", "-q"]
    wrapped = ["unshare", "-rm", "bash", "-c", ON_A_SMALL_DISK, "bash", str(place), str(tmp_path), *command]
    answer = subprocess.run(wrapped, capture_output=True, text=True, check=False)
    assert answer.returncode == (6 if form == "tree" and full == "output" else 1), answer.stderr
    assert "No space left on device" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == "[]\n"


def test_an_output_that_cannot_be_written_is_refused(locked, cache, tmp_path):
    """On a read-only file system, since root may write wherever that is not the reason."""
    (tmp_path / "pylock.toml").write_text(locked.to_toml())
    (tmp_path / "target.json").write_text(json.dumps(locked.target.to_json()))
    (tmp_path / "out").mkdir()
    program = "import sys; from bundler.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "create", "--lock", "pylock.toml", "-o", "out/deps.pyz"]
    command += ["--cache-dir", str(cache.root), "--target", "target.json", "-q"]
    wrapped = ["unshare", "-rm", "bash", "-c", 'mount -t tmpfs -o ro tmpfs out && exec "$@"', "bash", *command]
    answer = subprocess.run(wrapped, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "is not writable" in answer.stderr


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
@pytest.mark.slow
def test_d30_an_interrupted_create_leaves_nothing_behind(locked, cache, tmp_path, signal_name):
    """The signal arrives while layers are being compressed."""
    text = b"".join(b"%d " % n for n in range(2 << 20))
    slow = pin_of(make_wheel(tmp_path / "wheels", "slow", "1.0", {"slow.txt": text}))
    pins = tuple(sorted((*locked.pins, slow), key=lambda pin: pin.name))
    (tmp_path / "pylock.toml").write_text(replace(locked, pins=pins).to_toml())
    (tmp_path / "target.json").write_text(json.dumps(locked.target.to_json()))
    before = sorted(path.name for path in tmp_path.iterdir())
    command = [sys.executable, "-c", "import sys; from bundler.cli import main; sys.exit(main())", "create"]
    command += ["--no-index", "--lock", "pylock.toml", "-o", "deps.pyz", "--cache-dir", str(cache.root)]
    command += ["--target", "target.json", "--level", "15"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while "packed" not in (line := process.stderr.readline()):
        assert line, "it ended too early"
    time.sleep(0.2)
    process.send_signal(getattr(signal, signal_name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.endswith("interrupted: nothing was left behind\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    leftovers = [path for path in cache.root.rglob("*") if "partial" in path.name or "slow" in path.name]
    assert leftovers == []
