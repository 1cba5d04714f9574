"""An optional dependency → available, or an error that says what to install."""

from __future__ import annotations

import importlib

from bundler.runtime.errors import BundleError


def require_obstore(where: str) -> None:
    """Raise ``BundleError`` unless ``obstore`` can be imported; *where* is the URL that needs it."""
    try:
        importlib.import_module("obstore")
    except ImportError:
        what = "needs the package obstore, which is not installed"
        raise BundleError(where, what, hint="pip install 'obstore>=0.11'") from None
