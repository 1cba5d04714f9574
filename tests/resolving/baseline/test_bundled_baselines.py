"""The lists of what Azure ML's images have, which travel with bundler."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import pytest
from support.commands import ROOT

from bundler.resolving.baseline.baselines import Baseline
from bundler.resolving.baseline.bundled_baselines import LISTS, BundledBaseline, baseline_at, bundled_baseline
from bundler.resolving.baseline.conflicts import demands, members
from bundler.targets import PRESETS

SERVER = "azureml-inference-server-http"


def test_there_is_a_list_for_each_preset_and_for_nothing_else():
    assert {path.stem for path in LISTS.glob("*.json")} == set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_list_says_where_it_is_from_and_when_it_was_made(preset):
    document = json.loads((LISTS / f"{preset}.json").read_bytes())
    about = document["baseline"]
    assert about["preset"] == preset
    assert dt.date.fromisoformat(about["resolved"]) > dt.date(2026, 1, 1)
    published = re.search("conda_dependencies.yaml at commit [0-9a-f]{40}", about["source"])
    assert published or "no file of" in about["source"]
    assert document["environment"]["python_full_version"] == PRESETS[preset].python
    bundled = BundledBaseline.of(preset)
    assert (bundled.image, bundled.source, bundled.resolved) == (about["image"], about["source"], about["resolved"])
    (note,) = bundled.baseline.notes
    assert about["resolved"] in note
    assert "may differ" in note


@pytest.mark.parametrize("preset", PRESETS)
def test_a_list_holds_a_server_that_has_all_it_needs_on_the_presets_python(preset):
    baseline, target = BundledBaseline.of(preset).baseline, PRESETS[preset]
    baseline.check_target(target)
    assert SERVER in baseline.packages
    for item in baseline.packages.values():
        assert (item.version, item.requires, item.unknown) == (item.version, item.requires, None)
        assert item.version is not None
        assert item.requires is not None
    for demand in demands(members(baseline).values(), target):
        assert demand.name in baseline.packages, demand
        assert demand.fits(baseline.packages[demand.name].version), demand


@pytest.mark.parametrize("preset", PRESETS)
def test_a_list_names_no_place(preset):
    assert "://" not in (LISTS / f"{preset}.json").read_text(encoding="utf-8")


def test_the_list_of_python_3_7_is_the_server_that_the_tests_run():
    text = (ROOT / "scripts/locks/inference-server-0.8.4.2.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    listed = BundledBaseline.of("azureml-py37").baseline.packages
    assert {name: str(item.version) for name, item in listed.items()} == pins, "run scripts/baselines azureml-py37"


def test_a_target_is_its_preset_whatever_its_patch_release_and_no_other():
    py37 = PRESETS["azureml-py37"]
    assert bundled_baseline(py37).preset == "azureml-py37"
    assert bundled_baseline(py37._replace(python="3.7.4")).preset == "azureml-py37"
    assert bundled_baseline(PRESETS["azureml-py312"]).preset == "azureml-py312"
    for changed in ({"arch": "aarch64"}, {"libc_version": "2.31"}, {"python": "3.13.0", "abi": "cp313"}):
        assert bundled_baseline(py37._replace(**changed)) is None


def test_a_presets_name_is_the_preset_and_a_path_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("azureml-py37").write_text("lib==1.0\n")
    assert SERVER in baseline_at("azureml-py37").packages
    found = baseline_at("./azureml-py37")
    assert isinstance(found, Baseline)
    assert list(found.packages) == ["lib"]
