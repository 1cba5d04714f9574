"""The names in a bundle → a warning for each project that brings no module, where nothing brings the one meant by it.

* They are names that were given up: other versions required the right project, the last ones are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_MEANT = {"sklearn": "scikit-learn"}


def empty_projects(names: Collection[str]) -> Iterator[str]:
    """Yield a warning for each of *names* that is empty while what it means is not among them."""
    for name, meant in _MEANT.items():
        if name in names and meant not in names:
            yield f"{name} is an empty project, and nothing here brings its modules: require {meant} instead"
