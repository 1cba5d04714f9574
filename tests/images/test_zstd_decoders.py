from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import zstandard
from support.interpreters import target_of

from bundler.caching.build_cache import Cache
from bundler.fetching.index_options import IndexOptions
from bundler.images.zstd_decoders import decoder_for, loadable_part
from bundler.runtime.errors import BundleError, ContentError
from bundler.runtime.zstd import find_decoder
from bundler.targets import PRESETS, find_target


def test_the_loadable_part_of_an_extension_still_loads_and_is_no_larger():
    """The builder's own zstandard stands for the one of a target."""
    (module,) = Path(zstandard.__file__).parent.glob("backend_c.*.so")
    whole = module.read_bytes()
    part = loadable_part(whole, module.name)
    assert len(part) <= len(whole)
    decode, source = find_decoder(part)
    assert source == "carried"
    text = b"text " * 1000
    assert decode(zstandard.ZstdCompressor().compress(text), len(text)) == text


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ" + bytes(200), bytes(64)])
def test_what_is_no_shared_object_is_refused(data):
    with pytest.raises(ContentError):
        loadable_part(data, "backend_c.so")


def test_free_threaded_314_needs_none(tmp_path):
    target = find_target(None, "3.14.0t", None)
    unused = lambda: pytest.fail("the index was asked")  # noqa: E731
    assert decoder_for(target, cache=Cache(tmp_path), indexes=unused, offline=False) is None


def test_an_index_that_fails_is_the_reason_and_no_requirement_is_named(tmp_path):
    indexes = lambda: IndexOptions(index_url="http://127.0.0.1:1/simple", retries=0)  # noqa: E731
    with pytest.raises(BundleError, match=r"zstd decoder.*127\.0\.0\.1:1") as caught:
        decoder_for(PRESETS["azureml-py37"], cache=Cache(tmp_path / "cache"), indexes=indexes, offline=False)
    assert (caught.value.exit_code, caught.value.where) == (1, "decoder")
    assert "you require" not in str(caught.value)


def test_a_cached_decoder_asks_no_index(cache):
    unused = lambda: pytest.fail("the index was asked")  # noqa: E731
    assert decoder_for(target_of("3.7"), cache=cache, indexes=unused, offline=True) == b"no decoder"
    shutil.rmtree(cache.root / "layers")
    with pytest.raises(BundleError, match="decoder"):
        decoder_for(target_of("3.7"), cache=cache, indexes=IndexOptions, offline=True)
