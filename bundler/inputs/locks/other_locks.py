"""The locks of other tools among what is asked for: what was resolved is held to what they list.

* Hashes are the resolver's work. Here it is seen that nothing was resolved that no lock lists.
* A lock alone has to list everything: if the target needs more, the lock was made for another one. Beside other
  requirements, what those bring along is named.
* Files are asked for at the user's index. Where a lock has found them elsewhere, that is said.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.inputs.locks.locked_packages import unhashed
from bundler.locks import without_credentials
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundler.fetching.index_options import IndexOptions
    from bundler.inputs.listings import Input
    from bundler.locks import Lock

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLocks:
    """Those *inputs* that are locks, narrowed to the target; *alone*: nothing else is asked for."""

    inputs: tuple[Input, ...]
    alone: bool

    def warnings(self, indexes: IndexOptions) -> Iterator[str]:
        """Yield what a user of *indexes* should hear before anything is resolved."""
        for each in self.inputs:
            if names := unhashed(each.locked):
                yield f"{each.path}: lists no hash of {_some(names)}: any file of the version is taken"
            registries = Counter(_bare(line.registry) for line in each.locked if " @ " not in line.text)
            default = indexes.index_url or next((url for url, _ in registries.most_common(1)), "")
            known = {_bare(url) for url in (default, *indexes.extra_index_urls, *indexes.find_links)}
            for url in sorted(set(registries) - known - {""}):
                names = [line.name or "" for line in each.locked if _bare(line.registry) == url]
                yield f"{each.path}: was made with {url}, which is not asked, for {_some(names)}"

    def check(self, lock: Lock) -> str | None:
        """Return what a user should hear of *lock*.

        Raise ``UsageError`` if it has packages that nobody has listed.
        """
        listed = {line.name for each in self.inputs for line in each.locked}
        unlisted = [f"{pin.name} {pin.version}" for pin in lock.pins if pin.name not in listed]
        names = ", ".join(each.path.name for each in self.inputs)
        if not unlisted or not self.inputs:
            return None
        if self.alone:
            raise UsageError(
                names,
                "does not list what its packages need on the target",
                got=", ".join(unlisted),
                hint=f"lock again so that it covers Python {lock.target.python}, or name these packages as well",
            )
        return f"in no lock, and chosen here: {_some(unlisted)}"


def _some(names: Sequence[str]) -> str:
    """Return *names*, or the first of many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _bare(url: str) -> str:
    return without_credentials(url).rstrip("/")
