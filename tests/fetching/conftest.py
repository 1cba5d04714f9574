from __future__ import annotations

import threading

import pytest
from support.package_servers import Site, certificate, serving

from bundler.caching.build_cache import Cache


@pytest.fixture
def site():
    with serving(Site()) as site:
        yield site


@pytest.fixture
def other():
    with serving(Site()) as site:
        yield site


@pytest.fixture(scope="session")
def pems(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = {thread for thread in threading.enumerate() if thread.name.startswith("fetch")}
    yield
    assert {thread for thread in threading.enumerate() if thread.name.startswith("fetch")} <= before
