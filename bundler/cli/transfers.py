"""What ``push``, ``pull`` and ``copy`` share: options, opening stores, and the report of a transfer."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from bundler.cli.progress import counted
from bundler.stores.copying import JOBS, Options
from bundler.stores.store import DEFAULT_NAME
from bundler.stores.urls import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from bundler.stores.as_file import Moved
    from bundler.stores.copying import Copied
    from bundler.stores.store import Store

URL_HELP = "a path, oci-archive:FILE.tar, oci://…, az://…, s3://… or gs://…, and :NAME or @sha256:… (default: latest)"


def add_transfer(parser: argparse.ArgumentParser) -> None:
    """Add the options of every transfer."""
    parser.add_argument(
        "--jobs", metavar="N", type=_jobs, default=JOBS, help=f"how many blobs to move at once (default: {JOBS})"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def _jobs(text: str) -> int:
    jobs = int(text)
    if not 1 <= jobs <= 64:  # noqa: PLR2004 - more only queue up
        raise ValueError
    return jobs


def transfer_options(options: argparse.Namespace) -> Options:
    """Return how to copy."""
    return Options(jobs=options.jobs)


@contextlib.contextmanager
def opened(url: str) -> Iterator[tuple[Store, str]]:
    """Give the store and the name that *url* means."""
    store, name = open_store(url, os.environ)
    with store:
        yield store, name


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        return max(time.monotonic() - self._started, 0.001)


def copied_to_json(copied: Copied, seconds: float) -> dict[str, Any]:
    """Return what ``--json`` says of *copied*. Sizes are in bytes."""
    return {
        "digest": copied.digest,
        "blobs": copied.blobs,
        "size": copied.size,
        "sent_blobs": copied.sent_blobs,
        "sent": copied.sent,
        "adopted": copied.adopted,
        "referrers": copied.referrers,
        "seconds": round(seconds, 3),
    }


def summary(copied: Copied, seconds: float) -> str:
    """Return in one line what has travelled."""
    total = f"{copied.size / 1e6:.1f} MB in {copied.blobs} blobs"
    if not copied.sent:
        return f"{total}, all of it there already"
    rate = copied.sent / seconds / 1e6
    signed = f", with {counted(copied.referrers, 'referrer')} (such as a signature)" if copied.referrers else ""
    sent = f"{copied.sent / 1e6:.1f} MB travelled{signed}"
    return f"{total}, of which {sent}, in {seconds:.1f} s ({rate:.0f} MB/s)"


def shown(store: Store, name: str) -> str:
    """Return the address of *name* in *store*, without what is secret."""
    if name == DEFAULT_NAME:
        return store.where
    return f"{store.where}@{name}" if name.startswith("sha256:") else f"{store.where}:{name}"


def show_moved(options: argparse.Namespace, where: str, moved: Moved, seconds: float) -> int:
    """Tell what was moved as a whole; return the exit code."""
    if options.json:
        facts = {field: getattr(moved, field) for field in moved.__slots__}
        print(json.dumps({"where": where, **facts, "seconds": round(seconds, 3)}, indent=2))
        return 0
    travelled = "all of it there already"
    if moved.sent:
        rate = moved.sent / seconds / 1e6
        travelled = f"of which {moved.sent / 1e6:.1f} MB travelled, in {seconds:.1f} s ({rate:.0f} MB/s)"
    print(f"{where}: {moved.trust}: {moved.size / 1e6:.1f} MB in {counted(moved.files, 'file')}, {travelled}")
    print(f"  digest  {moved.digest}")
    return 0
