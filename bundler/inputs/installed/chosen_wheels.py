"""The wheel that was chosen for an installed project ↔ what was installed: which files are others.

* Compared are the two RECORDs: that of the installed files, and that of the wheel, where it is in the cache.
* ``.dist-info`` does not count: it says who built and who installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.inputs.installed.environments import some
from bundler.runtime.errors import ContentError
from bundler.wheels.wheel_reader import Wheel

if TYPE_CHECKING:
    from bundler.caching.build_cache import Cache
    from bundler.inputs.installed.installed_files import Compared
    from bundler.pins import Pin


def difference(pin: Pin, compared: Compared, cache: Cache) -> str | None:
    """Return which files of the wheel *pin* are others than RECORD of *compared* lists, in words; None if none are."""
    path = cache.wheel(pin.sha256)
    if not path.is_file():
        return None
    files = [file for file in compared.files if file.scheme == "site-packages"]
    installed = {file.path: file.row.digest.hex() for file in files if file.row and file.row.algorithm == "sha256"}
    unknown = {file.path for file in files} - installed.keys()
    try:
        with Wheel.open(path, pin, warn=_ignore) as wheel:
            held = {entry.path: entry.sha256 for entry in wheel.entries if not entry.path.startswith(wheel.data_prefix)}
            info = f"{wheel.dist_info}/"
    except ContentError:
        return None  # told where the wheel is used
    others = sorted(
        name
        for name in (held.keys() | installed.keys()) - unknown
        if held.get(name) != installed.get(name)
        and not name.startswith((info, f"{compared.project.info.name}/"))
        and not name.endswith(".pyc")
    )
    if not others:
        return None
    count = f"{len(others)} file{'s differ' if len(others) > 1 else ' differs'}"
    return f"{pin.filename} is another wheel than the installed one: {count} ({some(others)})"


def _ignore(_: str) -> None:
    """Say nothing: whoever installs the wheel says it."""
