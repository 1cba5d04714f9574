"""Rule A14: what two distributions bring in different bytes is one error, whose remedy leaves one of them whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from packaging.version import Version
from support.interpreters import target_of
from support.locked_wheels import options
from support.wheel_factory import make_wheel, pin_of

from bundler.create import create
from bundler.layers.conflicts import Conflicts, Owner, check_twins
from bundler.layers.layer_plans import Settings, plan_layers
from bundler.layers.twins import find_twins
from bundler.locks import Lock
from bundler.runtime.demands import Demands
from bundler.runtime.errors import ContentError, Faults
from bundler.runtime.verifying import verify

A, B, C = Owner("a", "1.0"), Owner("b", "2"), Owner("c", "3")


def message(conflicts):
    with pytest.raises(ContentError) as caught:
        conflicts.check()
    return caught.value


def test_a14_many_paths_of_two_distributions_are_one_error_with_the_first_of_them():
    conflicts = Conflicts()
    for n in range(8, 0, -1):
        conflicts.add(f"site-packages/m/{n}.py", A, B)
    error = message(conflicts)
    assert str(error) == (
        "a 1.0 and b 2: have different contents for 8 paths; got site-packages/m/1.py, site-packages/m/2.py,"
        " site-packages/m/3.py and 5 more [A14]\nhint: if one of them is enough, --drop b or --drop a"
    )


def test_a14_a_few_files_may_be_excluded_as_well():
    conflicts = Conflicts()
    conflicts.add("site-packages/tests/x.py", A, B)
    conflicts.add("site-packages/README", A, B)
    assert message(conflicts).hint == (
        "if one of them is enough, --drop b or --drop a; if nobody needs what differs,"
        " --exclude 'site-packages/README' --exclude 'site-packages/tests/x.py'"
    )


def test_a14_each_two_distributions_are_an_error():
    conflicts = Conflicts()
    conflicts.add("site-packages/x", B, C)
    conflicts.add("site-packages/x", A, B)
    error = message(conflicts)
    assert isinstance(error, Faults)
    assert [fault.where for fault in error.faults] == ["a 1.0 and b 2", "b 2 and c 3"]


def test_nothing_in_conflict_is_no_error():
    Conflicts().check()


@pytest.mark.parametrize(("other", "layers"), [("gamma", 1), ("delta", 2)])
def test_a14_what_remains_after_drop_is_whole(other, layers, cache, tmp_path):
    first = make_wheel(tmp_path, "alpha", "1.0", {"m/__init__.py": b"x = 1\n", "m/lib.so": b"1"})
    second = make_wheel(tmp_path, other, "2.0", {"m/__init__.py": b"x = 2\n", "m/lib.so": b"2"})
    lock = Lock(target=target_of("3.7"), pins=(pin_of(first), pin_of(second)))
    assert len(plan_layers(lock.pins)) == layers
    with pytest.raises(ContentError, match=rf"alpha 1\.0 and {other} 2\.0: have different contents for 2 p") as caught:
        create(lock, tmp_path / "deps", form="tree", options=options(cache))
    assert caught.value.rule == "A14"
    assert "--drop alpha" in caught.value.hint
    bundle = create(lock.without(["alpha"]), tmp_path / "deps", form="tree", options=options(cache))
    verify(str(bundle.path), Demands(bundle.digest))
    assert (bundle.path / "site-packages/m/__init__.py").read_bytes() == b"x = 2\n"
    assert (bundle.path / "site-packages/m/lib.so").read_bytes() == b"2"


def twins(tmp_path, *names):
    return [pin_of(make_wheel(tmp_path, name, "4.5", {"cv2/__init__.py": name.encode()})) for name in names]


CV = ("opencv_python", "opencv_python_headless")


def test_a14_known_twins_are_refused_before_anything_is_fetched(cache, tmp_path):
    pins = twins(tmp_path, *CV)
    for pin in pins:
        pin.path.unlink()
    with pytest.raises(ContentError) as caught:
        create(Lock(target=target_of("3.7"), pins=tuple(pins)), tmp_path / "deps.pyz", options=options(cache))
    assert str(caught.value) == (
        "opencv-python 4.5 and opencv-python-headless 4.5: are one package in 2 builds, each of which brings cv2 [A14]"
        "\nhint: keep opencv-python-headless, which needs no library of a desktop, which containers lack:"
        " --drop opencv-python"
    )


def test_a14_where_files_are_excluded_the_files_decide(cache, tmp_path):
    lock = Lock(target=target_of("3.7"), pins=tuple(twins(tmp_path, *CV)))
    settings = Settings(exclude=("*/tests/*",))
    with pytest.raises(ContentError, match="have different contents for one path") as caught:
        create(lock, tmp_path / "deps.pyz", options=options(cache, settings=settings))
    assert caught.value.hint.endswith("--drop opencv-python"), "no single files: cv2 could not be imported"
    settings = Settings(exclude=("site-packages/cv2/*",))
    create(lock, tmp_path / "deps.pyz", options=options(cache, settings=settings))


def test_a14_of_three_builds_two_are_dropped_and_each_package_is_an_error(tmp_path):
    names = (*CV, "opencv_contrib_python_headless", "psycopg2", "psycopg2_binary", "numpy")
    pins = [replace(pin, version=Version("1")) for pin in twins(tmp_path, *names)]
    with pytest.raises(Faults) as caught:
        check_twins(pins, exclude=())
    first, second = caught.value.faults
    assert first.hint.endswith("--drop opencv-python-headless --drop opencv-python")
    assert second.hint.endswith("--drop psycopg2")


@pytest.mark.parametrize("names", [set(), {"numpy"}, {"opencv-python"}, {"psycopg2", "tensorflow", "pillow"}])
def test_what_is_there_once_has_no_twin(names):
    assert find_twins(names) == []
