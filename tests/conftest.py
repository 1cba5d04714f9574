from __future__ import annotations

import os

import pytest
import zstandard


@pytest.fixture(autouse=True)
def _own_caches(tmp_path_factory, monkeypatch):
    """Keep tests away from the user's caches and settings."""
    for name in list(os.environ):
        if name.startswith("BUNDLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BUNDLE_CACHE", str(tmp_path_factory.mktemp("trees")))


@pytest.fixture
def decode():
    return lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)
