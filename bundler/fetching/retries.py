"""An attempt that may fail in passing → its result, after as many attempts as a policy allows.

* Pauses double, with jitter, up to a limit; where a server says how long to wait (Retry-After), that counts.
* Only failing in a row is bounded: an attempt that brought something on starts the count anew.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PROGRESS = 1 << 20
_LONGEST_PAUSE = 30.0
_LONGEST_WAIT = 120.0


class TransientError(Exception):
    """Something failed that may work the next time; *after* so many seconds, if the server has said so."""

    def __init__(self, what: str, *, after: float | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.after = after
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to try again without progress; the first pause in seconds; *sleep* may raise to end the whole."""

    retries: int = 5
    first: float = 0.5
    sleep: Callable[[float], None] = field(default_factory=lambda: time.sleep)

    def wait(self, error: TransientError, failures: int, where: str) -> None:
        """Sleep after *failures* in a row, the last of them *error*; raise ``BundleError`` when it is enough."""
        if failures > self.retries:
            what = f"{error.what}, after {failures} attempts" if failures > 1 else error.what
            raise BundleError(where, f"does not work: {what}", hint=error.hint) from None
        if error.after is not None:
            self.sleep(min(error.after, _LONGEST_WAIT))
            return
        longest = min(self.first * 2 ** (failures - 1), _LONGEST_PAUSE)
        self.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients, hides nothing


def failures_in_a_row(failures: int, progress: int) -> int:
    """Return how many failures in a row there are with one more, which came after *progress* bytes."""
    return 1 if progress >= _PROGRESS else failures + 1


def retrying(
    attempt: Callable[[], T], where: str, policy: RetryPolicy | None = None, progress: Callable[[], int] = lambda: 0
) -> T:
    """Return what *attempt* returns, and make it again while its failure may pass.

    *progress* tells how many bytes all attempts together have moved. Raise ``BundleError`` when it is enough.
    """
    policy = policy or RetryPolicy()
    failures = 0
    while True:
        before = progress()
        try:
            return attempt()
        except TransientError as error:
            failures = failures_in_a_row(failures, progress() - before)
            policy.wait(error, failures, where)
