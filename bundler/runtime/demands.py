"""What the user demands of a bundle besides that it is whole: digest, signature, serial number (rules B17 and B18).

* Demands come from outside the bundle: options, else ``BUNDLE_EXPECT``, ``BUNDLE_PUBLIC_KEY``, ``BUNDLE_MIN_SERIAL``
  and ``BUNDLE_REQUIRE_SIGNATURE``. What is set and cannot be understood is an error, never left out.
* They count whatever the policy is, before anything is unpacked, and for a tree that is there already.
* A serial number lies in the image config, so the digest and the signature cover it; without them it proves nothing.
"""

from __future__ import annotations

import re
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from .carriers import Carrier
from .documents import MAX_SERIAL, Config
from .errors import TrustError, UsageError
from .keys import VARIABLE, Key, parse_keys, read_keys

EXPECT = "BUNDLE_EXPECT"
REQUIRE = "BUNDLE_REQUIRE_SIGNATURE"
MIN_SERIAL = "BUNDLE_MIN_SERIAL"


class Demands(NamedTuple):
    """The digest, the keys of which one must have signed it, and the least serial number; each may be none."""

    expect: Optional[str] = None
    keys: Tuple[Key, ...] = ()
    min_serial: int = 0

    def check(self, carrier: Carrier, digest: str, config: Config) -> Optional[str]:
        """Return the fingerprint of the key that signed *digest*, the digest of the bundle in *carrier*, if demanded.

        Raise ``TrustError`` if a demand is not met. That the digest is *expect* was checked when it was read.
        """
        signed_by = None
        if (self.keys or self.min_serial) and carrier.mounted:
            raise TrustError(
                carrier.path,
                "has no manifest that could be signed: it was unpacked from an image by other means",
                hint="verify the image that it comes from, or expect the tree digest that bundle create has printed",
                rule="B18",
            )
        if self.keys:
            from .signatures import trusted_by

            signed_by = trusted_by(carrier, digest, self.keys).fingerprint
        if config.serial < self.min_serial:
            raise TrustError(
                carrier.path,
                "is older than wanted",
                got=f"serial {config.serial}" if config.serial else "no serial",
                want=f"at least {self.min_serial}",
                hint="deploy the newest bundle; bundle create --serial N numbers them",
                rule="B17",
            )
        return signed_by


def demands_of(environ: Mapping[str, str]) -> Demands:
    """Return what *environ* demands; raise ``UsageError`` for what cannot be understood."""
    keys = parse_keys(environ[VARIABLE]) if VARIABLE in environ else ()
    required = environ.get(REQUIRE) or "0"
    if required not in ("0", "1"):
        raise UsageError(REQUIRE, "is neither 0 nor 1", got=required, rule="B18")
    if required == "1" and not keys:
        raise UsageError(REQUIRE, "needs a public key", hint=f"name one with --key or {VARIABLE}", rule="B18")
    return Demands(environ.get(EXPECT) or None, keys, _serial(environ.get(MIN_SERIAL) or "0"))


def with_options(
    environ: Mapping[str, str],
    *,
    expect: Optional[str] = None,
    keys: Sequence[str] = (),
    min_serial: Optional[object] = None,
    require_signature: bool = False,
) -> Dict[str, str]:
    """Return *environ* with what options demand in place of what it demanded; *keys* are paths of public keys."""
    changed = dict(environ)
    if expect:
        changed[EXPECT] = expect
    if keys:
        read_keys(keys)
        changed[VARIABLE] = "".join(_text(path) for path in keys)
    if min_serial is not None:
        changed[MIN_SERIAL] = str(_serial(str(min_serial)))
    if require_signature:
        changed[REQUIRE] = "1"
    return changed


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().rstrip() + "\n"


def _serial(text: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]{0,15}", text, re.ASCII) or int(text) > MAX_SERIAL:
        raise UsageError("serial", "is not a number", got=text[:80], want=f"0 to {MAX_SERIAL}", rule="B17")
    return int(text)
