"""Whatever a thread waits for, it ends promptly when another one says so; what has arrived stays."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import closing

import pytest
from support.fetching import blob, fails, left, pin_of, program, run
from support.package_servers import BLOCK, stall, status

from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import IndexOptions
from bundler.reporters import Reporter


@pytest.fixture
def silent():
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("where", ["headers", "body", "last body", "connect", "handshake", "pause"])
def test_the_first_failure_ends_the_others_promptly(site, cache, silent, where):
    big = blob(500_000)
    url = {
        "headers": f"http://{silent}/w",
        "body": site.add("/body", big, stall(10, after=BLOCK)),
        "last body": site.add("/last", big, stall(10, after=BLOCK, headers={"Connection": "close"})),
        "connect": "http://192.0.2.1/w",  # an address for documentation: nobody answers
        "handshake": f"https://{silent}/w",
        "pause": site.add("/pause", big, status(429, {"Retry-After": "9"})),
    }[where]

    def missing(handler, _):
        time.sleep(0.3)
        handler.answer(404)

    pins = [pin_of(big, url=url), pin_of(blob(9), url=site.add("/missing", blob(9), missing))]
    started = time.monotonic()
    error = fails(pins, cache, timeout=9.0)
    assert time.monotonic() - started < 3
    if where != "connect":  # a sandbox may have no route at all
        assert error.where.endswith("/missing")
    assert [name for name in left(cache) if not name.endswith((".part", ".validator"))] == []


def test_closing_the_iterator_ends_the_threads(site, cache):
    quick = pin_of(blob(9), url=site.add("/quick", blob(9)))
    slow = pin_of(blob(500_000), url=site.add("/slow", blob(500_000), stall(10, after=BLOCK)))
    started = time.monotonic()
    options = IndexOptions(timeout=9)
    with closing(
        fetch([slow, quick], cache=cache, indexes=options, jobs=2, offline=False, reporter=Reporter(), environ={})
    ) as arriving:
        next(arriving)
    assert time.monotonic() - started < 3


def test_d30_an_interrupt_ends_promptly_and_leaves_a_part(site, cache):
    data = blob(500_000)
    pin = pin_of(data, url=site.add("/w", data, stall(20, after=BLOCK)))
    process = program(pin, cache)
    while not site.sent():
        time.sleep(0.02)
    time.sleep(0.2)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(5) != 0
    assert time.monotonic() - started < 3
    assert "KeyboardInterrupt" in process.communicate()[1]
    assert left(cache) == [f"{pin.sha256}.part", f"{pin.sha256}.validator"]
    run(pin, cache)
    assert site.sent() == len(data)
