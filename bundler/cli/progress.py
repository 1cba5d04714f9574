"""Progress: bars on a terminal, plain lines elsewhere, nothing with ``--quiet``. All of it on standard error."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from bundler.reporters import Reporter
from bundler.runtime.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from bundler.locks import Lock
    from bundler.pins import Pin


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Reporter]:
    """Give the reporter that suits standard error."""
    if quiet:
        yield _Warnings()
    elif sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415 - slow to import, and of no use elsewhere
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Warnings(Reporter):
    """Shows warnings, and what was decided for the user."""

    def note(self, text: str) -> None:
        _say(printable(text))

    def warning(self, text: str) -> None:
        _say(f"warning: {text}")


class _Lines(_Warnings):
    """A line for each thing that happens."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def hint(self, text: str) -> None:
        _say(printable(text))

    def building(self, what: str) -> None:
        _say(f"building {what}: it has no wheel")

    def resolved(self, lock: Lock) -> None:
        _say(f"resolved {counted(len(lock.pins), 'package')} in {time.monotonic() - self._started:.1f} s")

    def fetching(self, pins: int, size: int) -> None:
        if pins:
            _say(f"fetching {counted(pins, 'wheel')}, {size / 1e6:.1f} MB")

    def fetched(self, pin: Pin, *, cached: bool) -> None:
        if not cached:
            _say(f"fetched {pin.filename}")

    def packing(self, layers: int, size: int) -> None:
        _say(f"packing {counted(layers, 'layer')} from {size / 1e6:.1f} MB of wheels")

    def packed(self, layer: str, size: int, *, cached: bool) -> None:
        _say(f"packed {layer} ({'cached' if cached else f'{size / 1e6:.1f} MB'})")

    def copying(self, blobs: int, size: int, *, present: int) -> None:
        there = f", {present / 1e6:.1f} MB of it there already" if present else ""
        _say(f"copying {counted(blobs, 'blob')}, {size / 1e6:.1f} MB{there}")


class _Bars(Reporter):
    """A bar for each stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._resolve: TaskID | None = None
        self._fetch: TaskID | None = None
        self._pack: TaskID | None = None
        self._copy: TaskID | None = None
        self._lock = threading.Lock()

    def resolving(self, requirements: int) -> None:
        self._resolve = self._bars.add_task("resolve", total=None, completed=0)

    def building(self, what: str) -> None:
        self._print(f"building {what}: it has no wheel")

    def resolved(self, lock: Lock) -> None:
        if self._resolve is not None:
            self._bars.remove_task(self._resolve)

    def fetching(self, pins: int, size: int) -> None:
        if pins:
            self._fetch = self._bars.add_task("download", total=size or None)

    def received(self, pin: Pin, size: int) -> None:
        if self._fetch is not None:
            self._bars.advance(self._fetch, size)

    def packing(self, layers: int, size: int) -> None:
        self._pack = self._bars.add_task("pack", total=size)

    def packed(self, layer: str, size: int, *, cached: bool) -> None:
        if self._pack is not None:
            self._bars.advance(self._pack, size)

    def copying(self, blobs: int, size: int, *, present: int) -> None:
        with self._lock:
            if self._copy is None:
                # What is there already counts as done, and not for the rate.
                self._copy = self._bars.add_task("copy", total=size, completed=present)
                return
            task = next(task for task in self._bars.tasks if task.id == self._copy)
            self._bars.update(self._copy, total=(task.total or 0) + size, completed=task.completed + present)

    def copied(self, digest: str, size: int) -> None:
        if self._copy is not None:
            self._bars.advance(self._copy, size)

    def hint(self, text: str) -> None:
        self._print(printable(text))

    def note(self, text: str) -> None:
        self._print(printable(text))

    def warning(self, text: str) -> None:
        self._print(f"warning: {text}")

    def _print(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)


def counted(number: int, noun: str) -> str:
    """Return ``1 wheel``, ``2 wheels``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _say(text: str) -> None:
    # In one piece: `print` writes the end of a line separately, and threads would come between.
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
