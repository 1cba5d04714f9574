"""The runtime of a bundle: verify it, unpack it, mount it.

Standard library only, relative imports only, CPython 3.7 and newer. ``bundle create`` copies this package into every
bundle under the name ``bundle_runtime``; the code that writes a document and the code that reads it live here.
"""

from __future__ import annotations

from .errors import BundleError
from .mounting import mount

__all__ = ["BundleError", "mount"]
