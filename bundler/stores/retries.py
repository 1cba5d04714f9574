"""An attempt that may fail in passing → its result, after as many attempts as patience allows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.fetching.http_transport import Hiccup

_LONGEST_PAUSE = 30.0
_LONGEST_WAIT = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often to try again without getting on; the first pause in seconds; *sleep* may raise to end the whole."""

    retries: int = 5
    first: float = 0.5
    sleep: Callable[[float], None]

    def wait(self, hiccup: Hiccup, failures: int, where: str) -> None:
        """Sleep after *failures* in a row, the last of them *hiccup*; raise ``BundleError`` when it is enough."""
        if failures > self.retries:
            what = f"{hiccup.what}, after {failures} attempts" if failures > 1 else hiccup.what
            raise BundleError(where, f"does not work: {what}", hint=hiccup.hint) from None
        if hiccup.after is not None:
            self.sleep(min(hiccup.after, _LONGEST_WAIT))
            return
        longest = min(self.first * 2 ** (failures - 1), _LONGEST_PAUSE)
        self.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients, hides nothing
