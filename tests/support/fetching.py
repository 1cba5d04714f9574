"""Pins of bytes that servers of the tests give, and ``fetch`` as most tests call it, in this process or another."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
import traceback

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import IndexOptions
from bundler.pins import Pin
from bundler.reporters import Reporter
from bundler.runtime.errors import BundleError

SECRET = "s3cr3t"


class Heard(Reporter):
    def __init__(self):
        self.warnings = []
        self.received_bytes = 0
        self.done = []
        self.totals = []

    def fetching(self, pins, size):
        self.totals.append((pins, size))

    def received(self, pin, size):
        self.received_bytes += size

    def fetched(self, pin, *, cached):
        self.done.append((pin.filename, cached))

    def warning(self, text):
        self.warnings.append(text)


def blob(size, seed=0):
    return b"PK\x03\x04" + hashlib.shake_256(str(seed).encode()).digest(size - 4)


def pin_of(data, *, name="demo", size=True, url=None, path=None):
    return Pin(
        name=canonicalize_name(name),
        version=Version("1.0"),
        filename=f"{name}-1.0-py3-none-any.whl",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data) if size else None,
        url=url,
        path=path,
    )


def run(pins, cache, *, offline=False, jobs=2, reporter=None, environ=None, **options):
    options = {"timeout": 5.0, "retries": 3, **options}
    return list(
        fetch(
            [pins] if isinstance(pins, Pin) else pins,
            cache=cache,
            indexes=IndexOptions(**options),
            jobs=jobs,
            offline=offline,
            reporter=reporter or Reporter(),
            environ=environ or {},
            first_pause=0.01,
        )
    )


def fails(pins, cache, kind=BundleError, **options):
    with pytest.raises(kind) as caught:
        run(pins, cache, **options)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(caught.value)
    return caught.value


def left(cache):
    """Return the names of what is not an entry."""
    return sorted(path.name for name in ("temporary", "parts") for path in (cache.root / name).glob("*"))


PROGRAM = """
    import sys
    from pathlib import Path
    from packaging.version import Version
    from bundler.caching.build_cache import Cache
    from bundler.fetching.fetch import fetch
    from bundler.fetching.index_options import IndexOptions
    from bundler.pins import Pin
    from bundler.reporters import Reporter
    url, sha256, size, root = sys.argv[1:]
    pin = Pin(name="demo", version=Version("1"), filename="demo.whl", sha256=sha256, size=int(size), url=url)
    cache = Cache(Path(root))
    found = fetch([pin], cache=cache, indexes=IndexOptions(), jobs=2, offline=False, reporter=Reporter(), environ={})
    for _, path in found:
        print(path)
"""


def program(pin, cache, inside=(), **options):
    arguments = [
        *inside,
        sys.executable,
        "-c",
        textwrap.dedent(PROGRAM),
        pin.url,
        pin.sha256,
        str(pin.size),
        str(cache.root),
    ]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
