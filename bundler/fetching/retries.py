"""An operation that may fail transiently → its result, after as many attempts as a policy allows.

* Pauses double, with jitter, up to a limit; where a server says how long to wait (Retry-After), that counts.
* Only consecutive failures count: an attempt that made progress resets the count.
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
    """A failure that a retry may overcome; *after* is the wait in seconds that the server has asked for, if any."""

    def __init__(self, what: str, *, after: float | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.after = after
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How many *retries* without progress; the *first* pause in seconds; *sleep* may raise to cancel the operation."""

    retries: int = 5
    first: float = 0.5
    sleep: Callable[[float], None] = field(default_factory=lambda: time.sleep)

    def wait(self, error: TransientError, failures: int, where: str) -> None:
        """Sleep before the next attempt; raise ``BundleError`` if *error* is one of too many *failures* in a row."""
        if failures > self.retries:
            what = f"{error.what}, after {failures} attempts" if failures > 1 else error.what
            raise BundleError(where, f"the request failed: {what}", hint=error.hint) from None
        if error.after is not None:
            self.sleep(min(error.after, _LONGEST_WAIT))
            return
        longest = min(self.first * 2 ** (failures - 1), _LONGEST_PAUSE)
        self.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients, hides nothing


def failures_in_a_row(failures: int, progress: int) -> int:
    """Return the new count after one more failure; *progress*, the bytes that the attempt moved, may reset it."""
    return 1 if progress >= _PROGRESS else failures + 1


def retrying(
    attempt: Callable[[], T], where: str, policy: RetryPolicy | None = None, progress: Callable[[], int] = lambda: 0
) -> T:
    """Retry *attempt* after transient errors, and return its result.

    *progress* returns how many bytes all attempts have moved. Raise ``BundleError`` after too many failures in a row.
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
