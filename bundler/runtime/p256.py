"""A key, a hash and a signature → whether they belong together: ECDSA on the curve P-256 (FIPS 186-5).

* Only verification, of public values: nothing here has to take the same time for every input.
* Points are Jacobian: (X, Y, Z) stands for (X/Z², Y/Z³), and Z = 0 for the point at infinity.
* CPython 3.7 cannot invert with ``pow(x, -1, p)``; Fermat's little theorem can: ``pow(x, p - 2, p)``.
"""

from __future__ import annotations

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_N = N // 2
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def is_on_curve(x: int, y: int) -> bool:
    """Tell whether (x, y) is a point of the curve: y² = x³ - 3x + b."""
    return 0 <= x < P and 0 <= y < P and (y * y - x * x * x + 3 * x - _B) % P == 0


def verify(x: int, y: int, hashed: bytes, r: int, s: int) -> bool:
    """Tell whether (r, s) is the signature of *hashed*, 32 bytes, by the key (x, y), a point of the curve."""
    if not (0 < r < N and 0 < s < N):
        return False
    w = pow(s, N - 2, N)
    big_x, _, z = _sum(int.from_bytes(hashed, "big") * w % N, r * w % N, (x, y))
    # x = X/Z² modulo p, compared modulo n: without an inversion it is either r or r + n.
    zz = z * z % P
    return z != 0 and ((big_x - r * zz) % P == 0 or (r + N < P and (big_x - (r + N) * zz) % P == 0))


def _sum(u: int, v: int, q: tuple[int, int]) -> tuple[int, int, int]:
    """Return u·G + v·Q, both multiples in one pass over their bits (Shamir's trick)."""
    addends = (None, _G, q, _affine(_add(*_G, 1, *q)))
    point = (0, 1, 0)
    for bit in range(255, -1, -1):
        point = _double(*point)
        addend = addends[(u >> bit & 1) | (v >> bit & 1) << 1]
        if addend is not None:
            point = _add(*point, *addend)
    return point


def _double(x: int, y: int, z: int) -> tuple[int, int, int]:
    """Return 2·(x, y, z). Infinity stays infinity; there is no point with y = 0."""
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, ((y + z) * (y + z) - gamma - delta) % P


def _add(x: int, y: int, z: int, x2: int, y2: int) -> tuple[int, int, int]:
    """Return (x, y, z) + (x2, y2), the second of which is affine and not infinity."""
    if z == 0:
        return x2, y2, 1
    zz = z * z % P
    h = (x2 * zz - x) % P
    slope = (y2 * z * zz - y) % P
    if h == 0:
        return _double(x, y, z) if slope == 0 else (0, 1, 0)
    hh = h * h % P
    hhh = h * hh % P
    v = x * hh % P
    x3 = (slope * slope - hhh - 2 * v) % P
    return x3, (slope * (v - x3) - y * hhh) % P, z * h % P


def _affine(point: tuple[int, int, int]) -> tuple[int, int] | None:
    """Return *point* as (x, y); None for infinity."""
    x, y, z = point
    if z == 0:
        return None
    inverse = pow(z, P - 2, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P
