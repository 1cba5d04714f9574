"""``bundle check``: what a bundle does to the image that it will lie over."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.cli.options import BASELINE, add_cache, add_indexes, cache_of, indexes_of
from bundler.cli.progress import counted
from bundler.locks import read_embedded
from bundler.resolving.baseline.bundled_baselines import baseline_at
from bundler.resolving.baseline.conflicts import check, depends_on_requirements, pinned_around
from bundler.resolving.baseline_requirements import complete_requirements
from bundler.runtime.carriers import open_carrier
from bundler.runtime.images import load_image
from bundler.targets import DEFAULT_TARGET, PRESETS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bundler.resolving.baseline.conflicts import Conflict, Override, Report
    from bundler.runtime.targets import Target

HELP = "compare a bundle with an image: what it overrides there, and what that breaks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="PATH", help="a .pyz, a packed directory or a tree")
    parser.add_argument("--baseline", metavar="FREEZE", required=True, help=f"what the image has: {BASELINE}")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_indexes(parser)
    add_cache(parser)


def run(options: argparse.Namespace) -> int:
    """Compare a bundle with an image; return 1 if they do not fit together."""
    with open_carrier(options.path) as carrier:
        image = load_image(carrier)
        provided = read_embedded(carrier, image).provided
    target = image.tree.target
    baseline = baseline_at(options.baseline)
    baseline.check_target(target)
    if depends_on_requirements(image.tree.distributions, baseline):
        baseline = complete_requirements(
            baseline, target=target, indexes=indexes_of(options), cache=cache_of(options), offline=options.offline
        )
    report = check(image.tree.distributions, baseline, target, provided)
    command = ""
    if report.has_conflict:
        form = () if carrier.kind == "pyz" else ("--format", carrier.kind)
        requirements = pinned_around(image.tree.distributions, baseline, target, report)
        arguments = (*requirements, *_target_arguments(target), "--baseline", options.baseline)
        arguments += ("--skip-provided",) if provided else ()
        command = shlex.join(["bundle", "create", *arguments, *form, "-o", _other(options.path)])
    if options.json:
        print(json.dumps(_to_json(report, command, baseline.notes), indent=2))
    else:
        title = f"{options.path} over {baseline.where}, {counted(len(baseline.packages), 'package')}"
        print(f"{title}: {_verdict(report)}")
        for line in (*_lines(report), *(f"note: {note}" for note in baseline.notes)):
            print(f"  {line}")
        if command:
            print(f"a bundle that fits, if there is one:\n  {command}")
    return 0 if report.is_fine else 1


def _other(path: str) -> str:
    """Return the name for a bundle in place of *path*."""
    old = Path(path)
    return str(old.with_name(f"{old.stem}-pinned{old.suffix}"))


def _target_arguments(target: Target) -> list[str]:
    """Return the options that name *target*."""
    for name, preset in PRESETS.items():
        if preset == target:
            return [] if name == DEFAULT_TARGET else ["--target", name]
    tag, major = ("manylinux", 2) if target.libc == "glibc" else ("musllinux", 1)
    platform = f"{tag}_{major}_{target.libc_version.split('.')[1]}_{target.arch}"
    return ["--python", target.python + ("t" if target.abi.endswith("t") else ""), "--platform", platform]


def _verdict(report: Report) -> str:
    if report.has_conflict:
        return counted(len(report.broken) + len(report.unmet) + len(report.lost), "conflict")
    if not report.is_fine:
        return "nothing could be checked"
    return "no conflict" + (f", {counted(len(report.unchecked), 'package')} not checked" if report.unchecked else "")


def _lines(report: Report) -> Iterator[str]:
    yield from _table(report.overrides)
    if report.same:
        yield f"the same in both: {', '.join(report.same)}"
    if report.provided:
        yield f"left to the image: {', '.join(map(str, report.provided))}"
    for conflict in report.broken:
        yield f"broken: {conflict.demand} of the image; the bundle has {conflict.found}"
    for conflict in report.unmet:
        yield f"unmet: {conflict.demand} of the bundle; there is {conflict.found or 'none'}"
    for item, found in report.lost:
        yield f"lost: the bundle leaves {item} to the image, which has {found or 'none'}"
    reasons: dict[str, list[str]] = {}
    for each in report.unchecked:
        reasons.setdefault(each.reason, []).append(f"{each.name} {each.version or ''}".strip())
    for reason, names in reasons.items():
        yield f"not checked: {', '.join(names)}: {reason}"


def _table(overrides: Sequence[Override]) -> Iterator[str]:
    if overrides:
        rows = [("overrides", "image", "bundle")]
        rows += [(item.name, str(item.image or "unknown"), str(item.bundle or "unknown")) for item in overrides]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _to_json(report: Report, command: str, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "conflict": report.has_conflict,
        "overrides": [
            {"name": item.name, "image": _text(item.image), "bundle": _text(item.bundle)} for item in report.overrides
        ],
        "same": list(report.same),
        "provided": [{"name": item.name, "version": str(item.version)} for item in report.provided],
        "broken": list(map(_conflict, report.broken)),
        "unmet": list(map(_conflict, report.unmet)),
        "lost": [
            {"name": item.name, "version": str(item.version), "found": _text(found)} for item, found in report.lost
        ],
        "unchecked": [
            {"name": item.name, "version": _text(item.version), "reason": item.reason} for item in report.unchecked
        ],
        "checked": report.checked,
        "notes": list(notes),
        "command": command or None,
    }


def _conflict(conflict: Conflict) -> dict[str, Any]:
    demand = conflict.demand
    return {
        "package": demand.package,
        "version": _text(demand.version),
        "requires": demand.text,
        "name": demand.name,
        "found": _text(conflict.found),
    }


def _text(version: object) -> str | None:
    return None if version is None else str(version)
