"""Pins become few layers, each a function of its wheels, made once and cached."""

from __future__ import annotations

import hashlib
import random
import shutil
from dataclasses import replace

import pytest
from support.locked_wheels import lock_of, options, three_wheels
from support.wheel_factory import make_wheel, pin_of

from bundler.create import create
from bundler.layers.layer_plans import LAYER_FORMAT, plan_layers
from bundler.runtime.carriers import open_carrier
from bundler.runtime.errors import ContentError
from bundler.runtime.images import load_image


@pytest.fixture
def wheels(tmp_path):
    return three_wheels(tmp_path / "wheels")


@pytest.fixture
def locked(wheels):
    return lock_of(wheels)


def test_layers_are_planned_by_names_and_sizes_alone(locked):
    pins = list(locked.pins)
    plans = plan_layers(pins)
    random.Random(1).shuffle(pins)
    assert plan_layers(pins) == plans
    assert [plan.name for plan in plans if len(plan.pins) == 1 and plan.pins[0].name == "big"] == ["big"]


def test_at_most_98_layers_whatever_the_wheels(locked):
    pins = [replace(locked.pins[0], name=f"p{n}", size=(n + 1) << 20) for n in range(300)]
    plans = plan_layers(pins)
    assert len(plans) == 98
    assert sorted(pin.name for plan in plans for pin in plan.pins) == sorted(pin.name for pin in pins)


def test_layers_of_other_bytes_are_of_another_format(locked, cache, tmp_path):
    """Else a layer that an older bundler has left in the cache would be taken: same lock, other bytes."""
    bundle = create(locked, tmp_path / "tree", form="tree", options=options(cache, compile="never"))
    with open_carrier(str(bundle.path)) as carrier:
        diff_ids = "".join(layer.diff_id for layer in load_image(carrier).tree.layers)
    seen = hashlib.sha256(diff_ids.encode()).hexdigest()
    assert (LAYER_FORMAT, seen) == (9, "c69a3616dc6d6610ed95f9a0553a7a6f925ae602081bfea0a481d8bcce59778e")


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
