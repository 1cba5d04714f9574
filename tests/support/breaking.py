"""Connections that break."""

from __future__ import annotations

import sys

from bundler.fetching.retries import TransientError


class BreaksReading:
    """Before the class of a place or a store: it breaks, once it has given *left* bytes."""

    left = sys.maxsize

    def read(self, what, offset=0):
        for chunk in super().read(what, offset):
            for start in range(0, len(chunk), 50_000):
                self.left -= 50_000
                if self.left < 0:
                    raise TransientError("the connection broke")
                yield chunk[start : start + 50_000]
