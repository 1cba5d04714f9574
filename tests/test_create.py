"""From wheels to a bundle that boots, without the package index."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from support.interpreters import python, target_of
from support.locked_wheels import lock_of, options, three_wheels
from support.wheel_factory import make_wheel, pin_of

from bundler.create import create
from bundler.layers.layer_plans import Settings
from bundler.locks import Lock
from bundler.reporters import Reporter
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, ContentError, TargetError, UsageError
from bundler.runtime.verifying import verify


@pytest.fixture
def wheels(tmp_path):
    return three_wheels(tmp_path / "wheels")


@pytest.fixture
def locked(wheels):
    return lock_of(wheels)


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
                assert file == dist_info / "RECORD" or file.suffix == ".pyc"  # as pip lists them
    there = {str(path) for path in (tmp_path / "tree").rglob("*") if path.is_file() and ".bundle" not in path.parts}
    own = {path for path in there if "/site-packages/bundle_runtime/" in path or "sitecustomize." in path}
    assert set(listed) == there - own
    assert any(path.endswith(".cpython-37.pyc") for path in there)


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


def test_a14_namespace_stubs_that_differ_in_their_line_ends_are_one(cache, tmp_path):
    stub = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)"
    (tmp_path / "wheels").mkdir()
    made = [
        make_wheel(tmp_path / "wheels", name, "1.0", {"space/__init__.py": stub + end, f"space/{name}.py": b""})
        for name, end in (("one", b"\r\n"), ("two", b"\n"))
    ]
    lock = Lock(target=target_of("3.7"), pins=tuple(map(pin_of, made)))
    bundle = create(lock, tmp_path / "tree", form="tree", options=options(cache))
    verify(str(bundle.path), Demands(bundle.digest))
    code = f"import sys; sys.path.insert(0, {str(bundle.path / 'site-packages')!r}); import space.one, space.two"
    subprocess.run([python("3.7"), "-I", "-c", code], check=True)


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
