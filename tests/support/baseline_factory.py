"""Images without files: what they have, from a dict."""

from __future__ import annotations

from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.pins import Provided
from bundler.resolving.baseline.baselines import Baseline, Installed


def image(packages):
    """Return the baseline of ``{"server 1.0": ["pydantic<2"]}``; None in place of a list: not known."""
    items = [Installed.of(*key.split(), requires) for key, requires in packages.items()]
    return Baseline(where="image", packages={item.name: item for item in sorted(items, key=lambda item: item.name)})


def provided(text):
    name, version = text.split()
    return Provided(name=canonicalize_name(name), version=Version(version))
