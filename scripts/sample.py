"""Names of projects → which of them make a bundle without an override, for each Python, and why the others do not.

* Each project alone: locked by uv for the target, fetched, installed, packed. Nothing is shared but the cache.
* A refused project is created again with the option that its error offers (``--allow``), so that every exception is
  found.
* A project without wheels for the target is no exception: nothing was refused.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundler.caching.build_cache import Cache
from bundler.create import Options, create, lock
from bundler.fetching.index_options import index_options
from bundler.layers.layer_plans import Settings
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.targets import PRESETS

PROJECTS = Path(__file__).parent.parent / "fixtures" / "projects" / "most_used.txt"
TARGETS = {"3.7": PRESETS["azureml-py37"], "3.12": PRESETS["azureml-py312"]}
_OFFER = re.compile("--allow sha256:([0-9a-f]{64})")
_MOST_OFFERS = 20


def try_project(name: str, options: Options, directory: Path) -> dict[str, Any]:
    """Create a bundle of *name*; return its verdict, its wheels and every refusal."""
    try:
        locked = lock([name], options=options)
    except UsageError as error:
        return {"project": name, "verdict": "no wheels", "why": error.fault, "refusals": []}
    facts: dict[str, Any] = {"project": name, "wheels": [pin.filename for pin in locked.pins], "refusals": []}
    allowed: set[str] = set()
    for attempt in range(_MOST_OFFERS):
        settings = replace(options.settings, allow=frozenset(allowed))
        try:
            create(locked, directory / str(attempt), form="packed", options=replace(options, settings=settings))
        except ContentError as error:
            facts["refusals"].append(error.one_line)
            offer = _OFFER.search(str(error))
            if offer is None or offer[1] in allowed:
                return {**facts, "verdict": "refused"}
            allowed.add(offer[1])
        else:
            return {**facts, "verdict": "needs an override" if allowed else "created"}
    return {**facts, "verdict": "refused"}


def sample(version: str, names: list[str], cache: Path) -> list[dict[str, Any]]:
    """Try every project of *names* for Python *version*."""
    options = Options(
        target=TARGETS[version],
        indexes=functools.cache(index_options),
        cache=Cache(cache),
        compile="never",
        settings=Settings(level=1),
    )
    results = []
    for name in names:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            try:
                facts = try_project(name, options, Path(directory))
            except BundleError as error:
                facts = {"project": name, "verdict": "failed", "why": error.one_line, "refusals": []}
        facts["seconds"] = round(time.monotonic() - start, 1)
        print(version, name, facts["verdict"], *facts["refusals"], facts.get("why", ""), file=sys.stderr, flush=True)
        results.append(facts)
    return results


def report(version: str, results: list[dict[str, Any]]) -> str:
    """Return the counts and the exceptions as text."""
    verdicts = [result["verdict"] for result in results]
    wheels = {wheel for result in results for wheel in result.get("wheels", ())}
    counts = ", ".join(f"{verdicts.count(each)} {each}" for each in sorted(set(verdicts)))
    lines = [f"CPython {version}: {len(results)} projects, {len(wheels)} wheels: {counts}"]
    reasons = sorted({line for result in results for line in result["refusals"]})
    lines += [f"  {reason}" for reason in reasons]
    lines += [f"  {result['project']}: {result['why']}" for result in results if result["verdict"] == "failed"]
    return "\n".join(lines)


def main() -> int:
    """Run the command; exit with 1 if a project could not be tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", metavar="PROJECT", nargs="*", help="names (default: fixtures/projects)")
    parser.add_argument("--python", choices=TARGETS, action="append", help="the target's Python (default: both)")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/sample"), help="the builder's cache")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result there")
    options = parser.parse_args()
    listed = [line for line in PROJECTS.read_text().split("\n") if line and not line.startswith("#")]
    found = {
        version: sample(version, options.projects or listed, options.cache_dir.absolute())
        for version in options.python or TARGETS
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    for version, results in found.items():
        print(report(version, results))
    return int(any(result["verdict"] == "failed" for results in found.values() for result in results))


if __name__ == "__main__":
    sys.exit(main())
