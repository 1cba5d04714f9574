from __future__ import annotations

import sys

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bundler.runtime.errors import ContentError
from bundler.runtime.zstd import check_frame, find_decoder

TEXT = b"the quick brown fox " * 5000


def frame(data=TEXT, **options):
    return zstandard.ZstdCompressor(**options).compress(data)


def skippable(data=b"hidden"):
    return b"\x50\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def streamed():
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(TEXT) + compressor.flush()


def with_dictionary():
    dictionary = zstandard.train_dictionary(1024, [b"sample %d of a text that repeats" % n for n in range(2000)])
    return frame(dict_data=dictionary)


def with_large_window():
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=len(TEXT) * 200)
    return compressor.compress(TEXT * 200) + compressor.flush()


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"\x1f\x8b" + bytes(20), 20, id="gzip"),
        pytest.param(frame()[:-1], len(TEXT), id="truncated"),
        pytest.param(frame() + b"\0", len(TEXT), id="trailing byte"),
        pytest.param(frame() + frame(), len(TEXT), id="two frames"),
        pytest.param(frame() + skippable(), len(TEXT), id="skippable frame behind"),
        pytest.param(skippable() + frame(), len(TEXT), id="skippable frame before"),
        pytest.param(frame(), len(TEXT) + 1, id="another size"),
        pytest.param(streamed(), len(TEXT), id="no size"),
        pytest.param(with_dictionary(), len(TEXT), id="dictionary"),
        pytest.param(with_large_window(), len(TEXT) * 200, id="large window"),
    ],
)
def test_c20_refuses_a_frame_before_it_is_decoded(data, raw):
    with pytest.raises(ContentError) as caught:
        check_frame(data, raw, "blob")
    assert caught.value.rule == "C20"


@given(st.binary(max_size=5000), st.integers(1, 19), st.booleans())
def test_accepts_what_the_packer_writes(data, level, checksum):
    check_frame(frame(data, level=level, write_checksum=checksum, write_content_size=True), len(data), "blob")


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_truncated_frame_is_never_accepted(data, draw):
    whole = frame(data, write_content_size=True)
    cut = draw.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ContentError):
        check_frame(whole[:cut], len(data), "blob")


def test_finds_a_decoder_on_this_system_that_decodes():
    decode, source = find_decoder(None)
    assert source == ("compression.zstd" if sys.version_info >= (3, 14) else "libzstd.so.1")
    assert bytes(decode(frame(), len(TEXT))) == TEXT


def test_a_damaged_frame_does_not_decode_to_the_promised_size():
    decode, _ = find_decoder(None)
    damaged = bytearray(frame())
    damaged[12] ^= 0xFF
    assert len(decode(bytes(damaged), len(TEXT))) != len(TEXT)
