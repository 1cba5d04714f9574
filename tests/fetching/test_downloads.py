"""A wheel on its way: what is resumed, retried and refused, and what a failure leaves."""

from __future__ import annotations

import hashlib
import multiprocessing
import resource
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.version import Version
from support.fetching import SECRET, Heard, blob, fails, left, pin_of, program, run
from support.package_servers import (
    BLOCK,
    Site,
    chunked,
    cut,
    drip,
    html,
    no_ranges,
    other_bytes,
    serving,
    stall,
    status,
    wrong_range,
)

from bundler.caching.build_cache import Cache
from bundler.pins import Pin
from bundler.runtime.errors import ContentError

# Faults that pass


@pytest.mark.parametrize("reset", [False, True], ids=["truncated", "reset"])
def test_d29_a_broken_body_is_resumed_where_it_broke(site, cache, reset):
    data = blob(3_000_000)
    pin = pin_of(data, url=site.add("/w", data, cut(1_000_000, reset=reset), cut(500_000, reset=reset)))
    heard = Heard()
    ((_, path),) = run(pin, cache, reporter=heard)
    assert path.read_bytes() == data
    assert site.sent() == len(data)
    assert heard.received_bytes == len(data)
    assert [request.headers.get("range") for request in site.requests] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert site.requests[1].headers["if-range"].startswith('"')
    assert left(cache) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 120_000), max_size=5), size=st.integers(10, 300_000))
def test_d29_whatever_the_cuts_bytes_are_the_same_and_sent_once(tmp_path_factory, cuts, size):
    data = blob(size)
    cache = Cache(tmp_path_factory.mktemp("cuts"))
    with serving(Site()) as site:
        remaining = size
        faults = []
        for length in cuts:
            if length < remaining:
                faults.append(cut(length))
                remaining -= length
        pin = pin_of(data, url=site.add("/w", data, *faults))
        ((_, path),) = run(pin, cache, retries=10)
        assert path.read_bytes() == data
        assert site.sent() == size
        assert len(site.requests) == len(faults) + 1


def test_d29_another_run_goes_on_with_the_part(site, cache):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data, cut(200_000)))
    fails(pin, cache, retries=0)
    assert left(cache) == [f"{pin.sha256}.part", f"{pin.sha256}.validator"]
    assert not cache.wheel(pin.sha256).exists()
    ((_, path),) = run(pin, cache)
    assert path.read_bytes() == data
    assert site.sent() == len(data)
    assert left(cache) == []


@pytest.mark.parametrize("size", [True, False], ids=["size known", "size unknown"])
def test_d29_a_part_that_is_complete_is_verified_and_used(site, cache, size):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data), size=size)
    cache.part(pin.sha256).parent.mkdir(parents=True)
    cache.part(pin.sha256).write_bytes(data)
    run(pin, cache)
    assert site.requests == []


@pytest.mark.parametrize("part", [b"x" * 100_000, b"x" * 500_000, b"x" * 900_000], ids=["short", "full", "long"])
def test_d29_a_damaged_part_costs_one_restart(site, cache, part):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data))
    cache.part(pin.sha256).parent.mkdir(parents=True)
    cache.part(pin.sha256).write_bytes(part)
    ((_, path),) = run(pin, cache)
    assert path.read_bytes() == data
    assert ("range" in site.requests[0].headers) == (len(part) < len(data))
    assert left(cache) == []


@pytest.mark.parametrize(
    "fault",
    [no_ranges, wrong_range, status(416), status(206, {"Content-Type": "multipart/byteranges"})],
    ids=["ranges ignored", "another range", "416", "no range named"],
)
def test_d29_a_server_that_does_not_resume_starts_again(site, cache, fault):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data, cut(200_000), fault))
    heard = Heard()
    ((_, path),) = run(pin, cache, reporter=heard)
    assert path.read_bytes() == data
    assert heard.received_bytes == len(data)


def test_d29_a_file_that_changed_between_requests_starts_again(site, cache):
    data = blob(500_000)

    def changed(handler, _):
        site.etag = '"new"'
        return True

    pin = pin_of(data, url=site.add("/w", data, cut(200_000), changed))
    ((_, path),) = run(pin, cache)
    assert path.read_bytes() == data
    assert len(site.requests) == 2
    assert site.requests[1].sent == len(data)


def test_d29_a_range_of_a_changed_file_is_not_joined(site, cache):
    data = blob(500_000)

    def ignores_if_range(handler, _):
        where = f"bytes 200000-{len(data) - 1}/{len(data)}"
        handler.answer(206, {"ETag": '"new"', "Content-Range": where}, bytes(300_000))

    # Bad contents are forgiven once: that is not what makes this work.
    pin = pin_of(data, url=site.add("/w", data, cut(200_000), ignores_if_range, other_bytes))
    ((_, path),) = run(pin, cache)
    assert path.read_bytes() == data
    assert len(site.requests) == 4


def test_d29_another_range_than_asked_for_is_not_joined(site, cache):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data, cut(200_000), wrong_range, other_bytes))
    ((_, path),) = run(pin, cache)
    assert path.read_bytes() == data
    assert len(site.requests) == 4


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_d29_a_server_in_trouble_is_asked_again(site, cache, code):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data, status(code), status(code)))
    run(pin, cache)
    assert len(site.requests) == 3


def test_d29_retry_after_is_kept(site, cache):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data, status(429, {"Retry-After": "1"})))
    started = time.monotonic()
    run(pin, cache)
    assert time.monotonic() - started >= 1


def test_d29_retries_end(site, cache):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data, *[status(503)] * 9))
    error = fails(pin, cache, retries=2)
    assert "503" in str(error)
    assert "3 attempts" in str(error)
    assert len(site.requests) == 3
    assert left(cache) == []


def test_d29_progress_renews_patience(site, cache):
    data = blob(5_000_000)
    pin = pin_of(data, url=site.add("/w", data, *[cut(1_100_000)] * 4))
    run(pin, cache, retries=1)
    assert site.sent() == len(data)


def test_d29_a_slow_server_is_waited_for_while_something_comes(site, cache):
    data = blob(100_000)
    pin = pin_of(data, url=site.add("/w", data, drip(6, 0.2)))
    run(pin, cache, timeout=0.6, retries=0)


def test_d29_a_silent_server_is_a_timeout_and_is_resumed(site, cache):
    data = blob(200_000)
    pin = pin_of(data, url=site.add("/w", data, stall(1.5, after=BLOCK)))
    run(pin, cache, timeout=0.5)
    assert site.requests[1].headers["range"] == f"bytes={BLOCK}-"
    assert "no answer in time" in str(
        fails(pin_of(blob(9), url=site.add("/x", blob(9), stall(1.5))), cache, timeout=0.3, retries=0)
    )


# Wrong contents


def test_a1_other_contents_are_fetched_once_more_then_refused(site, cache):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data, *[other_bytes] * 9) + f"?sig={SECRET}")
    error = fails(pin, cache, ContentError)
    assert (error.exit_code, error.rule) == (3, "A1")
    assert error.where == f"{site.base}/w"
    assert error.got == f"sha256:{hashlib.sha256(data[::-1]).hexdigest()}"
    assert error.want == f"sha256:{pin.sha256}"
    assert len(site.requests) == 2
    assert left(cache) == []
    assert not cache.wheel(pin.sha256).exists()


def test_a1_other_contents_once_are_survived(site, cache):
    data = blob(1000)
    run(pin_of(data, url=site.add("/w", data, other_bytes)), cache)
    assert len(site.requests) == 2


@pytest.mark.parametrize("extra", [b"?", b"?" * 20_000_000], ids=["one", "many"])
def test_a1_more_bytes_than_promised_end_the_download_at_once(site, cache, extra):
    data = blob(1_000_000)
    pin = pin_of(data, url=site.add("/w", data, chunked(extra), chunked(extra)))
    assert "more bytes" in fails(pin, cache, ContentError).what
    assert site.sent() < 2 * len(data) + 16_000_000
    assert left(cache) == []


def test_a1_a_wrong_length_is_refused_before_the_body(site, cache):
    data = blob(1000)
    pin = pin_of(data, url=site.add("/w", data + b"?"))
    error = fails(pin, cache, ContentError)
    assert (error.got, error.want, error.rule) == ("1001 bytes", "1000 bytes", "A1")


@pytest.mark.parametrize("size", [True, False])
def test_a1_a_page_in_place_of_a_wheel_is_called_one(site, cache, size):
    pin = pin_of(blob(1000), url=site.add("/w", blob(1000), html, html), size=size)
    assert "an HTML page" in str(fails(pin, cache, ContentError))


def test_a1_a_page_with_another_type_is_called_one(site, cache):
    page = b"\n<html>no</html>"
    pin = pin_of(blob(1000), url=site.add("/w", page), size=False)
    assert "an HTML page" in str(fails(pin, cache, ContentError))


def test_a_body_without_length_is_taken_and_its_end_is_not_believed(site, cache):
    data = blob(300_000)
    pin = pin_of(data, url=site.add("/w", data, chunked(drop=100_000)))
    run(pin, cache)
    assert site.requests[1].headers["range"] == "bytes=100000-"


# Full disks, and memory


def _limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_write_that_fails_is_an_error_and_nothing_gets_the_final_name(site, cache):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data))
    process = program(pin, cache, preexec_fn=_limit_files)
    _, err = process.communicate(timeout=20)
    assert "BundleError" in err
    assert str(cache.part(pin.sha256)) in err
    assert not cache.wheel(pin.sha256).exists()
    run(pin, cache)
    assert site.sent("/w") <= 2 * len(data)


MOUNT = 'mkdir -p "$0" && mount -t tmpfs -o size=200k none "$0" && exec "$@"'


def test_d26_a_full_disk_is_an_error_with_a_hint(site, cache):
    private = ["unshare", "-rm", "sh", "-c", MOUNT, str(cache.root)]
    data = blob(500_000)
    process = program(pin_of(data, url=site.add("/w", data)), cache, inside=private)
    _, err = process.communicate(timeout=20)
    assert ".part: cannot be written: No space left on device" in err
    assert "hint: free some space" in err


def _peak(url, sha256, size, root, queue):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pin = Pin(name="demo", version=Version("1"), filename="demo.whl", sha256=sha256, size=size, url=url)
    run(pin, Cache(Path(root)))
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def test_memory_does_not_grow_with_the_wheel(site, cache):
    size = 100_000_000
    data = bytes(size)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    url = site.add("/w", data)
    process = context.Process(target=_peak, args=(url, hashlib.sha256(data).hexdigest(), size, str(cache.root), queue))
    process.start()
    assert queue.get(timeout=60) < 20_000  # KiB
    process.join()
