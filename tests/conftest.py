from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import zstandard

pytest.register_assert_rewrite("support")  # what fails there says why, too


def pytest_configure():
    """Let interrupts through: a shell's background job begins with them ignored, and its children would too."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_caches(tmp_path_factory, monkeypatch):
    """Keep tests away from the user's caches and settings."""
    for name in list(os.environ):
        if name.startswith("BUNDLE_"):
            monkeypatch.delenv(name)
    # As for users, whatever it is here: a Python may write .pyc, even into a bundle.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("BUNDLE_CACHE", str(tmp_path_factory.mktemp("trees")))


@pytest.fixture(scope="session")
def builder_cache(tmp_path_factory):
    """One cache for all tests of a run, kept between runs where that is asked for: wheels are large."""
    return Path(os.environ.get("BUNDLER_TEST_CACHE") or tmp_path_factory.getbasetemp().parent / "builder-cache")


@pytest.fixture
def decode():
    return lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)


@pytest.fixture
def cache(tmp_path):
    """A builder's cache in which the decoder is there already: tests without the package index cannot fetch it.

    It is none that loads, so the runtime goes on to the system's libzstd.
    """
    from support.interpreters import target_of

    from bundler.caching.build_cache import Cache
    from bundler.images.zstd_decoders import NAME, cache_key
    from bundler.targets import PRESETS

    cache = Cache(tmp_path / "builder-cache")
    for target in (*PRESETS.values(), *map(target_of, ("3.7", "3.11"))):
        with cache.new_layer(cache_key(target)) as new:
            Path(new.path, NAME).write_bytes(b"no decoder")
            new.publish()
    return cache
