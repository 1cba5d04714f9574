"""Creates the bundles of a fleet, pushes them into one directory, and prints what is stored beside the sum of sizes.

The fleet has services, each with requirements of its own. Each service has releases: from one to the next, one or two
of its pins become newer. Locks and wheels are real ones, from the package index. The same seed
gives the same fleet. Run it through scripts/sharing.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bundler.caching.build_cache import Cache
from bundler.create import create, lock
from bundler.options import Options
from bundler.runtime.errors import BundleError
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import copy
from bundler.stores.differences import compare, read_from
from bundler.stores.oci_layouts import LayoutStore
from bundler.targets import find_target

# Versions that have wheels for CPython 3.7, the older first.
POOL = {
    "attrs": "21.2.0 21.4.0 22.1.0 22.2.0 23.1.0",
    "click": "8.0.1 8.0.3 8.0.4 8.1.3",
    "cloudpickle": "1.6.0 2.0.0 2.2.0 2.2.1",
    "cryptography": "36.0.0 37.0.4 38.0.4",
    "flask": "2.0.1 2.0.3 2.2.2",
    "httpx": "0.22.0 0.23.0 0.23.3",
    "jinja2": "3.0.1 3.0.3 3.1.2",
    "joblib": "1.0.1 1.1.0 1.1.1 1.2.0",
    "lxml": "4.6.5 4.8.0 4.9.1 4.9.2",
    "msgpack": "1.0.2 1.0.3 1.0.4",
    "numpy": "1.19.5 1.20.3 1.21.6",
    "orjson": "3.6.4 3.7.0 3.8.0",
    "packaging": "21.0 21.3 22.0 23.0",
    "pandas": "1.3.3 1.3.4 1.3.5",
    "pillow": "8.4.0 9.1.0 9.3.0",
    "prometheus-client": "0.11.0 0.13.1 0.15.0",
    "psutil": "5.8.0 5.9.0 5.9.4",
    "pydantic": "1.9.0 1.9.1 1.9.2 1.10.2",
    "python-dateutil": "2.8.1 2.8.2",
    "pytz": "2021.1 2021.3 2022.1 2022.7",
    "pyyaml": "5.4.1 6.0 6.0.1",
    "requests": "2.26.0 2.27.1 2.28.1 2.28.2",
    "rich": "12.0.0 12.5.1 13.0.0",
    "sqlalchemy": "1.4.25 1.4.35 1.4.45",
    "structlog": "21.1.0 21.5.0 22.1.0",
    "tqdm": "4.62.0 4.64.0 4.64.1",
    "ujson": "5.1.0 5.4.0 5.5.0",
}


def fleet(services: int, releases: int, seed: int) -> list[list[list[str]]]:
    """Return the requirements of each release of each service."""
    generator = random.Random(seed)
    made = []
    for _ in range(services):
        names = sorted(generator.sample(sorted(POOL), generator.randint(6, 14)))
        # Most services have the same versions: each begins with the oldest or the next.
        at = {name: generator.choice((0, 0, 1)) for name in names}
        history = []
        for _ in range(releases):
            history.append([f"{name}=={POOL[name].split()[at[name]]}" for name in names])
            behind = [name for name in names if at[name] + 1 < len(POOL[name].split())]
            for name in generator.sample(behind, min(len(behind), generator.choice((1, 1, 2)))):
                at[name] += 1
        made.append(history)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=20)
    parser.add_argument("--releases", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache-dir", type=Path)
    options = parser.parse_args()
    cache = Cache(options.cache_dir.absolute()) if options.cache_dir else Cache.default(os.environ)
    scratch = Path(tempfile.mkdtemp(prefix="bundle-sharing-"))
    try:
        measure(options, Options(target=find_target(None, None, None), cache=cache), scratch)
    finally:
        shutil.rmtree(scratch)


def measure(options: argparse.Namespace, settings: Options, scratch: Path) -> None:
    store = LayoutStore(scratch / "store")
    sizes, sent_first, sent_next, ones, distributions = [], [], [], [], []
    pins: set[str] = set()
    started = time.monotonic()
    for number, history in enumerate(fleet(options.services, options.releases, options.seed)):
        for release, requirements in enumerate(history):
            out, name = scratch / "deps.pyz", f"service-{number}-r{release}"
            try:
                made = create(lock(requirements, options=settings), out, options=settings, force=True)
            except BundleError as error:
                sys.exit(f"{name}: {' '.join(requirements)}: {error}")
            with BundleStore(out) as source:
                done = copy(source, "latest", store, name)
            sizes.append(done.size)
            (sent_next if release else sent_first).append(done.sent)
            pins.update(pin.filename for pin in made.lock.pins)
            distributions.append(len(made.lock.pins))
            if release:
                old = read_from(store, f"service-{number}-r{release - 1}")
                changed = compare(old, read_from(store, name))
                if len(changed.changed) == 1 and not changed.added and not changed.removed:
                    ones.append(done.sent)
        print(f"service {number}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    held = list(store.held())
    show(len(sizes), sum(sizes), held, pins, distributions)
    print(f"| first push of a service, median | {statistics.median(sent_first) / 1e6:.2f} MB |")
    print(f"| push of its next release, median | {statistics.median(sent_next) / 1e6:.2f} MB |")
    if ones:
        print(f"| push with one pin changed: {len(ones)}, median | {statistics.median(ones) / 1e6:.2f} MB |")
    print(f"| push of the same bundle again | {sent_again(store) / 1e6:.2f} MB |")


def show(bundles: int, total: int, held: list, pins: set[str], distributions: list[int]) -> None:
    stored = sum(item.size for item in held)
    print("| what | figure |")
    print("|---|---:|")
    print(f"| bundles | {bundles} |")
    print(f"| packages in each, median | {statistics.median(distributions):.0f} |")
    print(f"| different wheels in all | {len(pins)} |")
    print(f"| sum of their sizes | {total / 1e6:.1f} MB |")
    print(f"| stored | {stored / 1e6:.1f} MB in {len(held)} blobs |")
    print(f"| stored / sum | {stored / total:.3f} |")


def sent_again(store: LayoutStore) -> int:
    name = store.names()[-1]
    return copy(store, name, store, f"{name}-again").sent


if __name__ == "__main__":
    main()
