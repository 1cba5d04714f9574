"""The runtime of a bundle: verify it, unpack it, mount it.

Standard library only, relative imports only, CPython 3.7 and newer. ``bundle create`` copies this package into every
bundle under the name ``bundle_runtime``; the code that writes a document and the code that reads it live here.
Nothing is imported before it is used: every start of Python with a bundle on its path begins here.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import BundleError
    from .mounting import mount

__all__ = ["BundleError", "mount"]


def __getattr__(name: str) -> object:
    if name == "mount":
        sys.dont_write_bytecode = True  # a .pyc that Python adds would be a fault of the bundle
        from .mounting import mount

        return mount
    if name == "BundleError":
        from .errors import BundleError

        return BundleError
    raise AttributeError(name)
