"""``bundle diff``: what differs between two bundles, wherever they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.cli.progress import counted
from bundler.cli.transfers import opened, shown
from bundler.runtime.carriers import TREE_MANIFEST, open_carrier
from bundler.runtime.images import load_image
from bundler.stores.differences import compare, read_from

if TYPE_CHECKING:
    import argparse

    from bundler.runtime.images import Image
    from bundler.runtime.indexes import Distribution
    from bundler.stores.differences import Difference

HELP = "compare two bundles: packages, and the bytes that travel to a place that has the first"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("old", metavar="A", help="a bundle on disk (a tree as well), or a URL")
    parser.add_argument("new", metavar="B", help="the same")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Compare two bundles; return the exit code: 0, whether they differ or not."""
    (old_where, old), (new_where, new) = _read(options.old), _read(options.new)
    found = compare(old, new)
    if options.json:
        sides = {"a": {"where": old_where, "digest": old.digest}, "b": {"where": new_where, "digest": new.digest}}
        print(json.dumps({**sides, **_to_json(found)}, indent=2))
        return 0
    print(f"a  {old_where}  {old.digest}")
    print(f"b  {new_where}  {new.digest}")
    if found.same:
        print("the same bundle")
        return 0
    _show(found)
    if old.config.tree_digest == new.config.tree_digest:
        print("the trees are the same: only the compression differs")
    return 0


def _read(text: str) -> tuple[str, Image]:
    """Return the address, as it may be shown, and the documents of the bundle at *text*."""
    if Path(text, TREE_MANIFEST).is_file():
        with open_carrier(text) as carrier:
            return text, load_image(carrier)
    with opened(text) as (store, name):
        return shown(store, name), read_from(store, name)


def _show(found: Difference) -> None:
    rows = [("changed", old.name, f"{old.version} → {_new_version(old, new)}", new.size) for old, new in found.changed]
    rows += [("added", item.name, item.version, item.size) for item in found.added]
    rows += [("removed", item.name, item.version, item.size) for item in found.removed]
    widths = [
        max((len(text) for text in texts), default=0) for texts in ([row[1] for row in rows], [row[2] for row in rows])
    ]
    for word, name, version, size in rows:
        print(f"  {word:<8} {name:<{widths[0]}}  {version:<{widths[1]}}  {size / 1e6:>8.1f} MB")
    print(f"  {counted(found.unchanged, 'package')} unchanged")
    for key, (was, now) in found.settings.items():
        print(f"  {key}: {was} → {now}")
    sent = sum(found.missing.values())
    print(
        f"to a place that has a, {len(found.missing)} of {counted(found.blobs, 'blob')} of b travel:"
        f" {sent / 1e6:.2f} MB of {found.size / 1e6:.2f} MB"
    )


def _new_version(old: Distribution, new: Distribution) -> str:
    return f"{new.version} (another wheel)" if old.version == new.version else new.version


def _to_json(found: Difference) -> dict[str, Any]:
    return {
        "same": found.same,
        "added": [item._asdict() for item in found.added],
        "removed": [item._asdict() for item in found.removed],
        "changed": [{"old": old._asdict(), "new": new._asdict()} for old, new in found.changed],
        "unchanged": found.unchanged,
        "settings": {key: {"old": was, "new": now} for key, (was, now) in found.settings.items()},
        "blobs": found.blobs,
        "size": found.size,
        "missing_blobs": dict(found.missing),
        "missing": sum(found.missing.values()),
    }
