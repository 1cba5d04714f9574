"""D27: many boots at once on an empty cache, some of which are killed while they unpack."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time

import pytest
from support.injection import SEEN, boot, listing, make, remove, temporaries

pytestmark = pytest.mark.slow

TOGETHER = 16


@pytest.fixture(scope="module", params=["pyz", "packed"])
def bundle(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), request.param)


def start(bundle, cache, report):
    """Start a boot that reports to *report*."""
    return subprocess.Popen(
        bundle.command(),
        env=bundle.environment(cache, BUNDLE_REPORT=str(report)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    output, errors = process.communicate(timeout=100)
    return process.returncode, output.strip(), errors


@pytest.mark.parametrize("part", ["one", "two"])
def test_d27_sixteen_boots_at_once_all_succeed_and_one_unpacks(bundle, part, tmp_path):
    for turn in range(5):
        cache = tmp_path / f"cache-{turn}"
        reports = [tmp_path / f"{turn}-{n}.json" for n in range(TOGETHER)]
        processes = [start(bundle, cache, report) for report in reports]
        assert {ended(process) for process in processes} == {(0, SEEN, "")}
        decisions = [json.loads(report.read_text())["decision"] for report in reports]
        assert decisions.count("unpacked") == 1, decisions
        assert temporaries(cache) == []
        remove(cache)


@pytest.mark.parametrize("seed", range(5))
def test_d27_boots_that_are_killed_do_not_disturb_the_others(bundle, seed, tmp_path, record_property):
    """Half of them are killed at random times, most of these while somebody unpacks or waits for it."""
    generator = random.Random(seed)
    cache = tmp_path / "cache"
    processes = [start(bundle, cache, tmp_path / f"{n}.json") for n in range(TOGETHER)]
    victims = generator.sample(processes, TOGETHER // 2)
    deadline = time.monotonic() + 30
    while not cache.exists() or not any("partial" in name for name in os.listdir(cache)):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for victim in victims:
        victim.kill()
        time.sleep(generator.uniform(0, 0.02))
    answers = {process: ended(process) for process in processes}
    assert {answer for process, answer in answers.items() if process not in victims} == {(0, SEEN, "")}
    record_property("killed", sum(answer[0] == -9 for answer in answers.values()))
    assert any(answers[victim][0] == -9 for victim in victims)
    last = boot(bundle, cache)
    assert (last.returncode, last.stdout.strip(), last.stderr) == (0, SEEN, "")
    assert temporaries(cache) == []
    fresh = tmp_path / "fresh"
    boot(bundle, fresh)
    unmarked = {name: entry for name, entry in listing(cache).items() if not name.endswith(".verified")}
    assert unmarked.items() == {k: v for k, v in listing(fresh).items() if not k.endswith(".verified")}.items()
