"""Names of projects → which of them make a bundle without an override, for each Python, and why the others do not.

* Each project alone: locked by uv for the target, built where it has no wheel, fetched, installed, packed. Nothing is
  shared but the cache.
* A refused project is created again with the option that its error offers (``--allow``), so that every exception is
  found.
* A line is a requirement, with a marker where it is not for every Python: ``python_version == "3.10"``.
* Results are added to those that the file of ``--json`` has: a long list can be run in pieces.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.caching.build_cache import Cache
from bundler.create import create, lock
from bundler.fetching.index_options import index_options
from bundler.layers.layer_plans import Settings
from bundler.options import Options
from bundler.reporters import Reporter
from bundler.resolving.resolver_errors import ResolutionError
from bundler.runtime.errors import BundleError, ContentError, TargetError, UsageError
from bundler.targets import PRESETS, marker_environment

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECTS = Path(__file__).parent.parent / "fixtures" / "projects"
TARGETS = {"3.7": PRESETS["azureml-py37"], "3.10": PRESETS["azureml-py310"], "3.12": PRESETS["azureml-py312"]}
DEFAULT_PYTHONS = ("3.7", "3.12")
_OFFER = re.compile("--allow sha256:([0-9a-f]{64})")
_PASSED_OVER = re.compile(r"(\S+ \S+) is passed over for ")
_MOST_OFFERS = 20
_SHOWN = 240
# Several CUDA libraries are not worth their download.
_MOST_BYTES = 700 << 20
_CACHE_BYTES = 5 << 30

Facts = dict[str, Any]


class Listener(Reporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def try_project(line: str, options: Options, directory: Path, listener: Listener) -> Facts:
    """Create a bundle of the requirement *line*; return its verdict, its wheels and every refusal."""
    try:
        locked = lock([line], options=options, reporter=listener)
    except ResolutionError as error:
        return {"verdict": "no version", "why": error.one_line}
    except (TargetError, UsageError) as error:
        return {"verdict": "not built", "why": error.one_line}
    name = canonicalize_name(Requirement(line).name)
    refusals: list[str] = []
    facts: Facts = {
        "version": next((str(pin.version) for pin in locked.pins if pin.name == name), None),
        "wheels": [pin.filename for pin in locked.pins],
        "built": [f"{pin.name} {pin.version}" for pin in locked.pins if pin.build is not None],
        "size": sum(pin.size or 0 for pin in locked.pins),
        "refusals": refusals,
    }
    if facts["size"] > _MOST_BYTES:
        return {**facts, "verdict": "not tried", "why": f"{facts['size'] / 1e6:.0f} MB of wheels"}
    allowed: set[str] = set()
    for attempt in range(_MOST_OFFERS):
        settings = replace(options.settings, allow=frozenset(allowed))
        try:
            create(
                locked,
                directory / str(attempt),
                form="packed",
                options=replace(options, settings=settings),
                reporter=listener,
            )
        except ContentError as error:
            refusals.append(error.one_line)
            offer = _OFFER.search(str(error))
            if offer is None or offer[1] in allowed:
                return {**facts, "verdict": "refused"}
            allowed.add(offer[1])
        else:
            return {**facts, "verdict": "needs an override" if allowed else "built" if facts["built"] else "created"}
    return {**facts, "verdict": "refused"}


def sample(version: str, lines: list[str], options: Options, found: dict[str, Facts], save: Callable[[], None]) -> None:
    """Try every requirement of *lines* for Python *version*; put what comes out into *found*, and save that."""
    options = replace(options, target=TARGETS[version])
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate(marker_environment(options.target)):
            continue
        requirement.marker = None
        start = time.monotonic()
        listener = Listener()
        with tempfile.TemporaryDirectory(dir=options.cache.root.parent) as directory:
            try:
                facts = try_project(str(requirement), options, Path(directory), listener)
            except BundleError as error:
                facts = {"verdict": "failed", "why": error.one_line}
        facts |= {"warnings": listener.warnings, "seconds": round(time.monotonic() - start, 1)}
        told = (*facts.get("refusals", ()), facts.get("why", ""), *(f"warning: {text}" for text in listener.warnings))
        print(version, requirement, facts["verdict"], *facts.get("built", ()), *told, file=sys.stderr, flush=True)
        found[str(requirement)] = facts
        save()
        _trim(options.cache)


def _trim(cache: Cache) -> None:
    with contextlib.suppress(BundleError):  # another sample is using it
        cache.prune(max_bytes=_CACHE_BYTES)


def table(results: dict[str, dict[str, Facts]]) -> str:
    """Return a table of *results*: a row for each project, a column for each Python."""
    lines = [f"| project | {' | '.join(results)} |", f"|---|{'---|' * len(results)}"]
    names = sorted({name for found in results.values() for name in found}, key=str.lower)
    for name in names:
        cells = (_cell(found[name]) if name in found else "" for found in results.values())
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(facts: Facts) -> str:
    if facts["verdict"] in ("created", "built"):
        built = ", ".join(facts["built"])
        passed = ", ".join(match[1] for text in facts["warnings"] if (match := _PASSED_OVER.match(text)))
        parts = (facts["version"], built and f"built: {built}", passed and f"passed over: {passed}")
        return "; ".join(part for part in parts if part)
    why = facts["refusals"][0] if facts.get("refusals") else facts.get("why", "")
    why = why.partition("; hint: ")[0].replace("|", "\\|")
    return f"**{facts['verdict']}**: {why if len(why) <= _SHOWN else f'{why[:_SHOWN]}…'}"


def report(version: str, found: dict[str, Facts]) -> str:
    """Return the counts and the exceptions as text."""
    verdicts = [facts["verdict"] for facts in found.values()]
    wheels = {wheel for facts in found.values() for wheel in facts.get("wheels", ())}
    counts = ", ".join(f"{verdicts.count(each)} {each}" for each in sorted(set(verdicts)))
    lines = [f"CPython {version}: {len(found)} projects, {len(wheels)} wheels: {counts}"]
    reasons = sorted({line for facts in found.values() for line in facts.get("refusals", ())})
    warnings = sorted({f"warning: {line}" for facts in found.values() for line in facts["warnings"]})
    return "\n  ".join([*lines, *reasons, *warnings])


def main() -> int:
    """Run the command; exit with 1 if a project could not be tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", metavar="PROJECT", nargs="*", help="requirements (default: those of --list)")
    parser.add_argument("--list", choices=["most_used", "once_refused"], default="most_used", help="fixtures/projects")
    parser.add_argument("--python", choices=TARGETS, action="append", help="the target's Python (default: 3.7, 3.12)")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/sample"), help="the builder's cache")
    parser.add_argument("--compile", action="store_true", help="add .pyc as well: slower, and two may be in conflict")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add every result to those that are there")
    parser.add_argument("--merge", type=Path, metavar="FILE", nargs="+", help="try nothing: print what these have")
    options = parser.parse_args()
    results: dict[str, dict[str, Facts]] = {}
    for path in options.merge or ([options.json] if options.json and options.json.exists() else []):
        for version, found in json.loads(path.read_text()).items():
            results.setdefault(version, {}).update(found)
    if not options.merge:
        text = (PROJECTS / f"{options.list}.txt").read_text()
        lines = options.projects or [line for line in text.split("\n") if line and not line.startswith("#")]
        how = Options(
            target=TARGETS["3.7"],
            indexes=functools.cache(index_options),
            cache=Cache(options.cache_dir.absolute()),
            compile="require" if options.compile else "never",
            settings=Settings(level=1),
        )
        for version in options.python or DEFAULT_PYTHONS:
            found = results.setdefault(version, {})
            sample(version, lines, how, found, lambda: _save(options.json, results))
    print(table(results))
    for version, found in results.items():
        print(report(version, found))
    return int(any(facts["verdict"] == "failed" for found in results.values() for facts in found.values()))


def _save(path: Path | None, results: dict[str, dict[str, Facts]]) -> None:
    if path is not None:
        path.write_text(json.dumps(results, indent=1, sort_keys=True))


if __name__ == "__main__":
    sys.exit(main())
