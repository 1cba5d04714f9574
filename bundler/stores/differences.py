"""Two bundles → what differs: packages, target, and the bytes that travel to a place that has the first only.

* Both are read in place; of a bundle in a store, only the documents are fetched. Documents are checked, layers are not
  read.
* A package is changed if its version or its wheel is another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.fetching.retries import retrying
from bundler.stores.bundle_documents import read_image
from bundler.stores.copying import find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.runtime.images import Image
    from bundler.runtime.indexes import Distribution
    from bundler.stores.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is different in the second bundle. Sizes are in bytes; *same* says that the digests are equal.

    *changed* has the old and the new distribution; *missing* maps the digests of the blobs that the first lacks to
    their sizes; *settings* maps what else differs to the old and the new text.
    """

    same: bool
    added: tuple[Distribution, ...]
    removed: tuple[Distribution, ...]
    changed: tuple[tuple[Distribution, Distribution], ...]
    unchanged: int
    settings: Mapping[str, tuple[str, str]]
    missing: Mapping[str, int]
    blobs: int
    size: int


def read_from(store: Store, name: str) -> Image:
    """Return the documents of the bundle *name* in *store*."""
    return read_image(store, retrying(lambda: find(store, name), store.where))


def compare(old: Image, new: Image) -> Difference:
    """Return what is different in *new*."""
    before = {item.name: item for item in old.tree.distributions}
    after = {item.name: item for item in new.tree.distributions}
    shared = sorted(before.keys() & after.keys())
    changed = [name for name in shared if _identity(before[name]) != _identity(after[name])]
    there, wanted = _blobs(old), _blobs(new)
    return Difference(
        same=old.digest == new.digest,
        added=tuple(after[name] for name in sorted(after.keys() - before.keys())),
        removed=tuple(before[name] for name in sorted(before.keys() - after.keys())),
        changed=tuple((before[name], after[name]) for name in changed),
        unchanged=len(shared) - len(changed),
        settings={
            key: (was, is_)
            for (key, was), is_ in zip(_settings(old).items(), _settings(new).values(), strict=True)
            if was != is_
        },
        missing={digest: size for digest, size in wanted.items() if digest not in there},
        blobs=len(wanted),
        size=sum(wanted.values()),
    )


def _identity(item: Distribution) -> tuple[str, str]:
    return item.version, item.sha256


def _settings(image: Image) -> dict[str, str]:
    scripts = ", ".join(f"{name}={value}" for name, value in sorted(image.tree.console_scripts.items()))
    return {
        "target": str(image.tree.target),
        "libc needed": image.tree.libc_version,
        "bytecode": image.tree.bytecode or "none",
        "console scripts": scripts or "none",
    }


def _blobs(image: Image) -> dict[str, int]:
    described = {item.digest: item.size for item in (image.manifest.config, *image.manifest.layers)}
    return {**described, image.digest: len(image.documents[".bundle/manifest.json"])}
