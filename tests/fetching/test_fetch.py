"""Pins become verified wheels in the cache, whether they come from there, from a server or from a local file."""

from __future__ import annotations

import os
import threading

import pytest
from support.fetching import Heard, blob, fails, left, pin_of, program, run
from support.package_servers import drip, wait

from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import IndexOptions
from bundler.reporters import Reporter
from bundler.runtime.errors import ContentError


def test_wheels_arrive_verified_under_their_digest(site, cache):
    data = [blob(size, size) for size in (10, 300_000, 2_000_000)]
    pins = [pin_of(d, name=f"w{n}", url=site.add(f"/{n}.whl", d)) for n, d in enumerate(data)]
    heard = Heard()
    found = dict(run(pins, cache, reporter=heard))
    assert [found[pin].read_bytes() for pin in pins] == data
    assert all(found[pin] == cache.wheel(pin.sha256) for pin in pins)
    assert heard.totals == [(3, 2_300_010)]
    assert heard.received_bytes == 2_300_010
    assert left(cache) == []


def test_the_largest_starts_first(site, cache):
    pins = [pin_of(blob(size), name=f"w{size}", url=site.add(f"/{size}", blob(size))) for size in (1000, 3000, 2000)]
    run(pins, cache, jobs=1)
    assert [request.path for request in site.requests] == ["/3000", "/2000", "/1000"]


def test_a_wheel_is_given_before_the_others_are_complete(site, cache):
    go = threading.Event()
    slow = pin_of(blob(5000), url=site.add("/slow", blob(5000), wait(go)))
    quick = pin_of(blob(100), url=site.add("/quick", blob(100)))
    arriving = fetch(
        [slow, quick], cache=cache, indexes=IndexOptions(), jobs=2, offline=False, reporter=Reporter(), environ={}
    )
    assert next(arriving)[0] == quick
    go.set()
    assert next(arriving)[0] == slow
    assert list(arriving) == []


def test_a_cached_wheel_is_not_fetched_again_even_offline(site, cache):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data))
    run(pin, cache)
    heard = Heard()
    ((_, path),) = run(pin, cache, offline=True, reporter=heard)
    assert path.read_bytes() == data
    assert heard.done == [(pin.filename, True)]
    assert heard.totals == [(0, 0)]
    assert len(site.requests) == 1


def test_a_damaged_cache_entry_is_fetched_again_with_a_warning(site, cache):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data))
    run(pin, cache)
    cache.wheel(pin.sha256).write_bytes(data[:-1] + b"?")
    heard = Heard()
    ((_, path),) = run(pin, cache, reporter=heard)
    assert path.read_bytes() == data
    assert "damaged" in heard.warnings[0]


def test_offline_names_all_that_is_missing(site, cache):
    pins = [pin_of(blob(99, name), name=name, url=f"{site.base}/{name}") for name in ("beta", "alpha")]
    error = fails(pins, cache, offline=True)
    assert "2 wheels are not in the cache: alpha-1.0-py3-none-any.whl, beta-1.0-py3-none-any.whl" in str(error)
    assert site.requests == []


def test_offline_a_damaged_entry_is_an_error_and_nothing_is_fetched(site, cache):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data))
    run(pin, cache)
    cache.wheel(pin.sha256).write_bytes(data[:-1] + b"?")
    assert "not in the cache" in str(fails(pin, cache, offline=True))
    assert len(site.requests) == 1


@pytest.mark.parametrize("as_url", [False, True])
def test_a_local_wheel_is_copied_into_the_cache_even_offline(cache, tmp_path, as_url):
    source = tmp_path / "a b-1.0.whl"
    source.write_bytes(blob(700_000))
    where = {"url": source.as_uri()} if as_url else {"path": source}
    heard = Heard()
    ((_, path),) = run(pin_of(blob(700_000), **where), cache, offline=True, reporter=heard)
    source.write_bytes(b"changed")
    assert path.read_bytes() == blob(700_000)
    assert heard.received_bytes == 700_000
    assert left(cache) == []


def test_a1_a_local_wheel_that_changed_is_refused(cache, tmp_path):
    source = tmp_path / "w.whl"
    source.write_bytes(blob(1000)[:-1] + b"?")
    error = fails(pin_of(blob(1000), path=source), cache, ContentError)
    assert (error.where, error.rule) == (str(source), "A1")
    assert left(cache) == []


def test_a_local_wheel_that_is_not_there_is_named(cache, tmp_path):
    error = fails(pin_of(blob(9), path=tmp_path / "no.whl"), cache)
    assert error.where == str(tmp_path / "no.whl")


def test_two_processes_fetch_a_wheel_once(site, cache):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data, drip(5, 0.2)))
    processes = [program(pin, cache) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
        assert out.strip() == str(cache.wheel(pin.sha256))
    assert len(site.requests) == 1


def test_nothing_is_asked_for_nothing(cache):
    assert run([], cache) == []
    assert not os.path.lexists(cache.root)
