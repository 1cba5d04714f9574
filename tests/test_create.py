"""From wheels to a bundle that boots, without the package index."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.interpreters import python, target_of
from support.wheel_factory import make_wheel, pin_of

from bundler.caching.build_cache import Cache
from bundler.create import Options, create
from bundler.fetching.index_options import IndexOptions
from bundler.layers.layer_plans import LAYER_FORMAT, Settings
from bundler.locks import Lock
from bundler.reporters import Reporter
from bundler.runtime.carriers import open_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, ContentError, TargetError, UsageError
from bundler.runtime.images import load_image
from bundler.runtime.verifying import verify


def no_index():
    return IndexOptions(no_index=True)


@pytest.fixture
def wheels(tmp_path):
    directory = tmp_path / "wheels"
    directory.mkdir()
    generator = random.Random(5)
    return [
        make_wheel(
            directory, "alpha", "1.0", {"alpha.py": b"import beta\nvalue = beta.value + 1\n"}, requires=["beta"]
        ),
        make_wheel(
            directory,
            "beta",
            "2.0",
            {
                "beta/__init__.py": b"value = 41\n",
                "beta/cli.py": b"def main():\n    print('tool')\n",
                "beta/data.txt": b"text",
                "beta-2.0.data/scripts/beta-tool": b"#!python\nprint('tool')\n",
            },
            entry_points="[console_scripts]\nbeta = beta.cli:main\n",
        ),
        make_wheel(directory, "big", "3.0", {"big.bin": generator.randbytes(3 << 20), "big.py": b"x = 1\n"}),
    ]


@pytest.fixture
def locked(wheels):
    return Lock(target=target_of("3.7"), pins=tuple(sorted(map(pin_of, wheels), key=lambda pin: pin.name)))


def options(cache, **changes):
    return Options(target=target_of("3.7"), indexes=no_index, cache=cache, **changes)


def test_a_bundle_boots_on_its_target(locked, cache, tmp_path):
    bundle = create(locked, tmp_path / "deps.pyz", options=options(cache))
    assert bundle.bytecode is not None
    verify(str(bundle.path), Demands(bundle.digest))
    answer = subprocess.run(
        [
            python("3.7"),
            bundle.path,
            "run",
            "--expect",
            bundle.digest,
            "--",
            "python",
            "-v",
            "-c",
            "import alpha; print(alpha.value)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "42\n"
    assert "matches" in answer.stderr  # a .pyc was used


def test_the_installed_record_lists_exactly_what_is_there(locked, cache, tmp_path):
    import base64
    import csv
    import hashlib

    create(locked, tmp_path / "tree", form="tree", options=options(cache))
    site = tmp_path / "tree" / "site-packages"
    listed = {}
    for dist_info in site.glob("*.dist-info"):
        assert (dist_info / "INSTALLER").read_text() == "bundler\n"
        for path, hashed, size in csv.reader((dist_info / "RECORD").read_text().splitlines()):
            file = site / path
            listed[os.path.normpath(file)] = None
            if hashed:
                digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
                assert hashed == f"sha256={digest}"
                assert int(size) == file.stat().st_size
            else:
                assert file == dist_info / "RECORD"
    there = {str(path) for path in (tmp_path / "tree").rglob("*") if path.is_file() and ".bundle" not in path.parts}
    own = {path for path in there if "/site-packages/bundle_runtime/" in path or "sitecustomize." in path}
    assert set(listed) == there - own
    assert any(path.endswith(".cpython-37.pyc") for path in there)


def test_layers_of_other_bytes_are_of_another_format(locked, cache, tmp_path):
    """Else a layer that an older bundler has left in the cache would be taken: same lock, other bytes."""
    bundle = create(locked, tmp_path / "tree", form="tree", options=options(cache, compile="never"))
    with open_carrier(str(bundle.path)) as carrier:
        diff_ids = "".join(layer.diff_id for layer in load_image(carrier).tree.layers)
    seen = hashlib.sha256(diff_ids.encode()).hexdigest()
    assert (LAYER_FORMAT, seen) == (6, "c69a3616dc6d6610ed95f9a0553a7a6f925ae602081bfea0a481d8bcce59778e")


def test_scripts_run_and_hold_no_path_of_this_host(locked, cache, tmp_path):
    bundle = create(locked, tmp_path / "tree", form="tree", options=options(cache))
    for script in (bundle.path / "bin").iterdir():
        text = script.read_text()
        assert text.startswith("#!/usr/bin/env python3\n")
        assert str(tmp_path) not in text
        assert script.stat().st_mode & 0o111
    moved = tmp_path / "elsewhere" / "tree"
    moved.parent.mkdir()
    bundle.path.rename(moved)
    before = sorted(moved.rglob("*"))
    for version, script in (("3.7", "beta-tool"), ("3.7", "beta"), ("3.12", "beta")):
        command = [python(version), moved / "bin" / script]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "tool\n"
    assert sorted(moved.rglob("*")) == before, "it stays the tree that was verified"


@pytest.mark.parametrize("form", ["pyz", "packed"])
def test_the_runtime_inside_is_compiled_and_another_python_takes_its_sources(locked, cache, tmp_path, form):
    bundle = create(locked, tmp_path / f"deps.{form}", form=form, options=options(cache))
    shown = {}
    for version in ("3.7", "3.8"):
        command = [python(version), "-v", bundle.path, "info"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert "alpha 1.0" in answer.stdout
        shown[version] = [line for line in answer.stderr.splitlines() if "bundle_runtime" in line and "images" in line]
    assert any(".pyc" in line for line in shown["3.7"])
    verify(str(bundle.path), Demands(bundle.digest))


def everything(path):
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("form", ["pyz", "packed", "tree"])
def test_two_creates_of_one_lock_are_identical(locked, cache, tmp_path, form):
    """Other directory, hash seed, umask, job count, time and cache: the same bytes."""
    first = create(locked, tmp_path / f"one.{form}", form=form, options=options(cache, jobs=1))
    other = tmp_path / "other" / "place"
    other.mkdir(parents=True)
    (other / "pylock.toml").write_text(locked.to_toml())
    cold = tmp_path / "cold"
    shutil.copytree(cache.root, cold)
    shutil.rmtree(cold / "wheels")
    for blob in list((cold / "layers").rglob("blob")):
        shutil.rmtree(blob.parent)
    target = tmp_path / "target.json"
    target.write_text(json.dumps(locked.target.to_json()))
    command = [
        sys.executable,
        "-c",
        "from bundler.cli import main; main()",
        "create",
        "--lock",
        "pylock.toml",
        "--jobs",
        "3",
    ]
    command += [
        "-o",
        "deps" if form != "pyz" else "deps.pyz",
        "--format",
        form,
        "--cache-dir",
        cold,
        "--no-index",
        "--target",
        target,
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(command, cwd=other, env=environment, umask=0o077, check=True, capture_output=True)
    assert everything(other / ("deps" if form != "pyz" else "deps.pyz")) == everything(first.path)


def test_changing_one_pin_builds_one_layer(locked, cache, tmp_path):
    create(locked, tmp_path / "one.pyz", options=options(cache))
    newer = pin_of(make_wheel(tmp_path / "wheels", "big", "3.1", {"big.bin": random.Random(6).randbytes(2 << 20)}))
    pins = tuple(newer if pin.name == "big" else pin for pin in locked.pins)
    second = create(replace(locked, pins=pins), tmp_path / "two.pyz", options=options(cache))
    assert [layer.name for layer in second.layers if not layer.cached] == ["big"]
    assert len(second.layers) > 1


def test_a_cached_layer_needs_no_wheel(locked, cache, tmp_path, wheels):
    create(locked, tmp_path / "one.pyz", options=options(cache))
    for wheel in wheels:
        wheel.unlink()
    shutil.rmtree(cache.root / "wheels")
    again = create(locked, tmp_path / "two.pyz", options=options(cache))
    assert all(layer.cached for layer in again.layers)
    assert again.digest == create(locked, tmp_path / "three.pyz", options=options(cache)).digest


def test_a_damaged_layer_in_the_cache_never_gets_into_a_bundle(locked, cache, tmp_path):
    create(locked, tmp_path / "one.pyz", options=options(cache))
    blob = max((cache.root / "layers").rglob("blob"), key=lambda path: path.stat().st_size)
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(ContentError, match="damaged in the cache"):
        create(locked, tmp_path / "two.pyz", options=options(cache))
    assert not (tmp_path / "two.pyz").exists()


def test_exclude_leaves_files_out_of_tree_and_record(locked, cache, tmp_path):
    settings = Settings(exclude=("site-packages/beta/*.txt", "*/__pycache__/*"))
    bundle = create(locked, tmp_path / "tree", form="tree", options=options(cache, settings=settings))
    assert not (bundle.path / "site-packages/beta/data.txt").exists()
    assert "data.txt" not in (bundle.path / "site-packages/beta-2.0.dist-info/RECORD").read_text()
    assert not list(bundle.path.glob("site-packages/beta/**/*.pyc"))
    verify(str(bundle.path), Demands(bundle.digest))


def test_a14_one_path_with_different_bytes_names_both_owners_and_the_remedy(locked, cache, tmp_path):
    clash = pin_of(make_wheel(tmp_path / "wheels", "gamma", "1.0", {"beta/data.txt": b"other"}))
    both = replace(locked, pins=tuple(sorted((*locked.pins, clash), key=lambda pin: pin.name)))
    with pytest.raises(ContentError) as caught:
        create(both, tmp_path / "deps.pyz", options=options(cache))
    assert caught.value.rule == "A14"
    assert "beta 2.0" in str(caught.value)
    assert "gamma 1.0" in str(caught.value)
    settings = Settings(exclude=("site-packages/beta/data.txt",))
    assert "--exclude 'site-packages/beta/data.txt'" in str(caught.value)
    create(both, tmp_path / "deps.pyz", options=options(cache, settings=settings))


@pytest.mark.parametrize("other", ["gamma", "delta"])
def test_a14_one_path_with_the_same_bytes_belongs_to_both(locked, cache, tmp_path, other):
    same = pin_of(make_wheel(tmp_path / "wheels", other, "1.0", {"beta/data.txt": b"text"}))
    both = replace(locked, pins=tuple(sorted((*locked.pins, same), key=lambda pin: pin.name)))
    bundle = create(both, tmp_path / "tree", form="tree", options=options(cache))
    verify(str(bundle.path), Demands(bundle.digest))
    for name in ("beta-2.0", f"{other}-1.0"):
        assert "beta/data.txt" in (bundle.path / f"site-packages/{name}.dist-info/RECORD").read_text()


@pytest.mark.parametrize(
    ("marker", "refused"),
    [
        ("platform_release > '5'", True),
        ("platform_version == 'v1'", True),
        ("sys_platform == 'darwin' and platform_release > '20'", False),
        ("platform_release > '5' and extra == 'more'", False),
        ("platform_release >< '5'", True),  # not understood: whatever it means, it is not known
        ("os_name >< 'platform_release'", False),
    ],
)
def test_a_requirement_that_nobody_can_evaluate_before_boot_is_refused(cache, tmp_path, marker, refused):
    (tmp_path / "wheels").mkdir()
    wheel = make_wheel(tmp_path / "wheels", "app", "1.0", {"app.py": b""}, requires=[f"plain ; {marker}"])
    lock = Lock(target=target_of("3.7"), pins=(pin_of(wheel),))
    if not refused:
        create(lock, tmp_path / "deps.pyz", options=options(cache))
        return
    with pytest.raises(UsageError, match="plain") as caught:
        create(lock, tmp_path / "deps.pyz", options=options(cache))
    assert caught.value.where == "app 1.0"
    assert not (tmp_path / "deps.pyz").exists()


def test_a_lock_for_another_target_is_refused(locked, cache, tmp_path):
    with pytest.raises(UsageError, match="another target"):
        create(locked, tmp_path / "deps.pyz", options=replace(options(cache), target=target_of("3.11")))


def test_a1_a_wheel_that_is_not_the_locked_one_is_refused(locked, cache, tmp_path, wheels):
    wheels[0].write_bytes(wheels[1].read_bytes())
    with pytest.raises(ContentError) as caught:
        create(locked, tmp_path / "deps.pyz", options=options(cache))
    assert caught.value.rule == "A1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["builder-cache", "wheels"]


@pytest.mark.parametrize("form", ["pyz", "packed", "tree"])
def test_an_existing_output_stays_unless_forced(locked, cache, tmp_path, form):
    out = tmp_path / "out"
    first = create(locked, out, form=form, options=options(cache))
    before = everything(out)
    with pytest.raises(BundleError, match="exists already"):
        create(locked, out, form=form, options=options(cache))
    assert everything(out) == before
    other = create(locked, out, form=form, options=options(cache, compile="never"), force=True)
    assert other.digest != first.digest
    verify(str(out), Demands(other.digest))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["builder-cache", "out", "wheels"]


def test_force_does_not_replace_a_directory_that_is_no_bundle(locked, cache, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is not a bundle"):
        create(locked, tmp_path / "out", form="packed", options=options(cache), force=True)
    assert (tmp_path / "out" / "thesis.txt").exists()


def test_an_output_in_a_missing_directory_is_refused_before_any_work(locked, cache, tmp_path):
    class Loud(Reporter):
        def fetching(self, pins, size):
            pytest.fail("work was done")

    with pytest.raises(BundleError, match="directory does not exist"):
        create(locked, tmp_path / "missing" / "deps.pyz", options=options(cache), reporter=Loud())


def test_require_without_the_targets_interpreter_is_refused(locked, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    with pytest.raises(TargetError) as caught:
        create(locked, tmp_path / "deps.pyz", options=options(cache, compile="require"))
    assert caught.value.exit_code == 5


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
    import signal
    import time

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


def test_layers_are_planned_by_names_and_sizes_alone(locked):
    from bundler.layers.layer_plans import plan_layers

    pins = list(locked.pins)
    plans = plan_layers(pins)
    random.Random(1).shuffle(pins)
    assert plan_layers(pins) == plans
    assert [plan.name for plan in plans if len(plan.pins) == 1 and plan.pins[0].name == "big"] == ["big"]


def test_at_most_98_layers_whatever_the_wheels(locked):
    from bundler.layers.layer_plans import plan_layers

    pins = [replace(locked.pins[0], name=f"p{n}", size=(n + 1) << 20) for n in range(300)]
    plans = plan_layers(pins)
    assert len(plans) == 98
    assert sorted(pin.name for plan in plans for pin in plan.pins) == sorted(pin.name for pin in pins)


def test_default_cache_follows_the_environment(tmp_path):
    assert Cache.default({"BUNDLE_CACHE_DIR": str(tmp_path)}).root == tmp_path
    assert Cache.default({"XDG_CACHE_HOME": str(tmp_path)}).root == tmp_path / "bundler"
    assert Path.home() in Cache.default({"HOME": str(Path.home())}).root.parents
