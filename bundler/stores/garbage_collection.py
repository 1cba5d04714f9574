"""A store → the same store without the blobs that no name leads to.

* The roots are the names, and the digests that are kept without one. A root keeps its manifest, the blobs that the
  manifest names, and its referrers (signatures). An index of images keeps its images.
* A blob that was touched within the age guard stays: a push touches the blobs that it finds, and then relies on them.
  So the guard must be longer than the longest push.
* Blobs are listed before the roots are read, and the roots are read again before each batch is removed.
* If a manifest cannot be read, nobody knows which blobs it names: then nothing is removed.
"""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.fetching.retries import retrying
from bundler.reporters import Reporter
from bundler.runtime.documents import MAX_DOCUMENT, Fields, parse_json
from bundler.runtime.errors import ContentError
from bundler.stores.blobs import Blob, read_links

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.stores.store import Held, Store

DEFAULT_AGE = 24 * 3600.0
_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection did, or would do. Sizes are in bytes; *young* is not needed, but within the age guard."""

    names: int
    forgotten: tuple[str, ...]
    kept: int
    kept_size: int
    young: int
    young_size: int
    removed: int
    freed: int


def collect(
    store: Store,
    *,
    older_than: float = DEFAULT_AGE,
    forget: Sequence[str] = (),
    dry_run: bool = False,
    reporter: Reporter | None = None,
) -> Collected:
    """Remove from *store* the blobs that no name leads to and nobody has touched for *older_than* seconds.

    Names that match one of the globs *forget*, and whose manifest is as old, are removed first.
    """
    return _Collector(store, time.time() - older_than, reporter or Reporter()).collect(forget, dry_run=dry_run)


class _Collector:
    """One collection under way; *before* is the age guard in seconds since the epoch."""

    def __init__(self, store: Store, before: float, reporter: Reporter) -> None:
        self._store = store
        self._before = before
        self._reporter = reporter
        self._links: dict[str, tuple[Blob, ...] | None] = {}

    def collect(self, forget: Sequence[str], *, dry_run: bool) -> Collected:
        held = {item.digest: item for item in retrying(lambda: list(self._store.held()), self._store.where)}
        forgotten = self._forget(forget, held, dry_run=dry_run) if forget else set()
        names = self._names(forgotten)
        needed = self._needed(names)
        unneeded = [item for digest, item in held.items() if digest not in needed]
        old = [item for item in unneeded if item.modified < self._before]
        removed = old if dry_run else self._remove(old, forgotten)
        gone = {item.digest for item in removed}
        young = [item for item in unneeded if item.digest not in gone]
        if not dry_run:
            self._store.remove_parts(before=self._before)
        kept = [item for digest, item in held.items() if digest in needed]
        return Collected(
            names=len(names),
            forgotten=tuple(sorted(forgotten)),
            kept=len(kept),
            kept_size=sum(item.size for item in kept),
            young=len(young),
            young_size=sum(item.size for item in young),
            removed=len(removed),
            freed=sum(item.size for item in removed),
        )

    def _names(self, forgotten: set[str]) -> list[str]:
        names = retrying(self._store.names, self._store.where)
        return [name for name in names if name not in forgotten]

    def _forget(self, globs: Sequence[str], held: dict[str, Held], *, dry_run: bool) -> set[str]:
        """Remove the names that match *globs* and lead to something old; return them."""
        forgotten = set()
        for name in retrying(self._store.names, self._store.where):
            if not any(fnmatch.fnmatchcase(name, glob) for glob in globs):
                continue
            manifest = retrying(lambda name=name: self._store.find(name), self._store.where)  # type: ignore[misc]
            found = None if manifest is None else held.get(manifest.digest)
            if manifest is not None and (found is None or found.modified >= self._before):
                continue
            forgotten.add(name)
            if not dry_run:
                self._store.remove_name(name)
        return forgotten if dry_run else forgotten - set(self._store.names())

    def _needed(self, names: Sequence[str]) -> set[str]:
        """Return the digest of every blob that *names* lead to."""
        needed: set[str] = set()
        for name in names:
            manifest = retrying(lambda name=name: self._store.find(name), self._store.where)  # type: ignore[misc]
            if manifest is None:
                continue  # removed just now
            self._follow(name, manifest, needed)
        return needed

    def _follow(self, name: str, root: Blob, needed: set[str]) -> None:
        waiting = [root]
        while waiting:
            manifest = waiting.pop()
            if manifest.digest in needed:
                continue
            needed.add(manifest.digest)
            if manifest.digest not in self._links:
                self._links[manifest.digest] = self._read(manifest)
            links = self._links[manifest.digest]
            if links is None:
                self._reporter.warning(f"{self._store.where}: {name} leads to {manifest.digest}, which is missing")
                continue
            waiting += [blob for blob in links if blob.is_manifest]
            needed.update(blob.digest for blob in links if not blob.is_manifest)
            waiting += retrying(lambda digest=manifest.digest: self._store.referrers(digest), self._store.where)  # type: ignore[misc]

    def _read(self, manifest: Blob) -> tuple[Blob, ...] | None:
        """Return what *manifest*, an image's or an index of images, names; None if it is missing."""
        where = f"{self._store.where}: {manifest.digest}"
        try:
            data = retrying(lambda: self._store.document(manifest), self._store.where)
        except ContentError:
            if self._store.has([manifest]):
                raise
            return None
        fields = Fields(parse_json(data, where), where)
        if "manifests" in fields.value and "layers" not in fields.value:
            return tuple(Blob.from_fields(item) for item in fields.items("manifests"))
        return read_links(data, where).blobs

    def _remove(self, old: Sequence[Held], forgotten: set[str]) -> list[Held]:
        """Remove the blobs of *old* that still exist and are still not needed; return them."""
        removed = []
        for start in range(0, len(old), _BATCH):
            needed = self._needed(self._names(forgotten))
            for item in old[start : start + _BATCH]:
                if item.digest in needed or not self._drop(item.digest):
                    continue
                removed.append(item)
                if item.size <= MAX_DOCUMENT:  # it may have been a manifest
                    retrying(lambda digest=item.digest: self._store.remove_referrers(digest), self._store.where)  # type: ignore[misc]
        return removed

    def _drop(self, digest: str) -> bool:
        return retrying(lambda: self._store.remove(digest, before=self._before), self._store.where)
