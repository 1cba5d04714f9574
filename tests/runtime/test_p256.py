"""The arithmetic of P-256 says what ``cryptography`` says of any numbers, and refuses those out of range."""

from __future__ import annotations

import hashlib
import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.signature_factory import PRIVATE, N, key_of

from bundler.runtime import p256

KEY = key_of(PRIVATE)
P = p256.P
EDGES = st.sampled_from([1, 2, 3, N - 1, N - 2, N // 2, N // 2 + 1, 2**128, 2**255])
SCALARS = st.one_of(EDGES, st.integers(1, N - 1))
HASHES = st.one_of(
    st.sampled_from([bytes(32), b"\xff" * 32, (N - 1).to_bytes(32, "big"), N.to_bytes(32, "big")]),
    st.binary(min_size=32, max_size=32),
)


def accepts(public, hashed, r, s):
    """Tell what ``cryptography`` says."""
    try:
        public.verify(utils.encode_dss_signature(r, s), hashed, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(SCALARS, HASHES, st.randoms(use_true_random=False))
@example(1, bytes(32), random.Random(0))
@example(N - 1, b"\xff" * 32, random.Random(0))
@pytest.mark.slow
def test_agrees_with_cryptography_about_any_key_and_message(scalar, hashed, generator):
    private = ec.derive_private_key(scalar, ec.SECP256R1())
    public = private.public_key()
    point = public.public_numbers()
    r, s = utils.decode_dss_signature(private.sign(hashed, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
    assert p256.is_on_curve(point.x, point.y)
    assert p256.verify(point.x, point.y, hashed, r, s)
    other = bytearray(hashed)
    other[generator.randrange(32)] ^= 1 << generator.randrange(8)
    bad = generator.randrange(1, N)
    for case in ((bytes(other), r, s), (hashed, bad, s), (hashed, r, bad), (hashed, s, r), (hashed, N - r, s)):
        assert p256.verify(point.x, point.y, *case) == accepts(public, *case)


@settings(max_examples=100, deadline=None)
@given(SCALARS, HASHES, SCALARS, SCALARS)
def test_agrees_with_cryptography_about_any_numbers(scalar, hashed, r, s):
    public = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    point = public.public_numbers()
    assert p256.verify(point.x, point.y, hashed, r, s) == accepts(public, hashed, r, s)


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (N, 1), (1, N), (N + 1, 1), (1, N + 1), (-1, 1), (1, -1), (0, 0)])
def test_b18_r_and_s_out_of_range_are_refused_by_the_arithmetic_too(r, s):
    assert not p256.verify(KEY.x, KEY.y, bytes(32), r, s)


def test_a_point_whose_x_is_not_less_than_n_is_compared_modulo_n():
    x = N
    while not p256.is_on_curve(x, y := pow(x**3 - 3 * x + p256._B, (P + 1) // 4, P)):
        x += 1
    r, s, hashed = x - N, 12345, hashlib.sha256(b"rare").digest()
    inverse = pow(r, -1, N)
    key = p256._affine(p256._sum(-int.from_bytes(hashed, "big") * inverse % N, s * inverse % N, (x, y)))
    public = ec.EllipticCurvePublicNumbers(*key, ec.SECP256R1()).public_key()
    assert accepts(public, hashed, r, s)
    assert p256.verify(*key, hashed, r, s)
    assert not p256.verify(*key, hashed, r + 1, s)


def test_multiples_that_add_up_to_infinity_are_refused():
    """u·G + v·Q = 0 for Q = d·G where hash + r·d = 0 modulo n: there is no such point to compare."""
    private = ec.derive_private_key(5, ec.SECP256R1())
    point = private.public_key().public_numbers()
    r = 7
    hashed = (-r * 5 % N).to_bytes(32, "big")
    assert not p256.verify(point.x, point.y, hashed, r, 99)
    assert not accepts(private.public_key(), hashed, r, 99)
