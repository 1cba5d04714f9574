"""The media that the conformance suite runs over: each opens as often as asked, always onto the same contents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.stores.layouts import LayoutStore
from bundler.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.stores.store import Store


@dataclass
class Medium:
    """*open* gives a store onto the same contents each time; *removes* tells whether it can remove blobs."""

    open: Callable[[], Store]
    removes: bool = True
    url: str | None = None


def memory(request):
    store = MemoryStore()
    return Medium(open=lambda: store)


def layout(request):
    root = request.getfixturevalue("tmp_path") / "store"
    return Medium(open=lambda: LayoutStore(root), url=str(root))


QUICK = [memory, layout]
