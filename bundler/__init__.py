"""Ship Python dependencies into places with no network.

``lock`` resolves requirements for a target, ``create`` turns the lock into a bundle. The command line uses these and
nothing behind them. Importing this package does nothing; what it names is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bundler.version import __version__

if TYPE_CHECKING:
    from bundler.create import Bundle, create, lock
    from bundler.locks import Lock
    from bundler.options import Options
    from bundler.pins import Pin
    from bundler.runtime.errors import BundleError
    from bundler.runtime.targets import Target

__all__ = ["Bundle", "BundleError", "Lock", "Options", "Pin", "Target", "__version__", "create", "lock"]

_HOMES = {
    "Bundle": "create",
    "BundleError": "runtime.errors",
    "Lock": "locks",
    "Options": "create",
    "Pin": "locks",
    "Target": "runtime.targets",
    "create": "create",
    "lock": "create",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
