"""Options → the indexes that uv asks, in its order: the extra ones, then the index.

* A project with an index of its own is asked for there only.
* Where no index is configured, it is uv's own default, which uv's help names.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING

import uv

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from bundler.fetching.index_options import IndexOptions

_DEFAULT = re.compile(r"--default-index <[^\n]*\n\s+The default package index \(by default: <(?P<url>https://[^>]+)>")


def indexes_of(indexes: IndexOptions, name: NormalizedName | None = None) -> list[str]:
    """Return the URLs of all indexes, or of those that have the project *name*; they may hold credentials."""
    own = dict(indexes.index_for)
    if name is not None and name in own:
        return [own[name]]
    if indexes.no_index:
        return []
    default = indexes.index_url or _default_index()
    return list(dict.fromkeys([*indexes.extra_index_urls, *([default] if default else [])]))


@cache
def _default_index() -> str | None:
    command = [uv.find_uv_bin(), "help", "pip", "compile"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = _DEFAULT.search(answer.stdout)
    return found["url"] if found else None
