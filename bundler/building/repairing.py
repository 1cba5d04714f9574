"""A wheel that needs libraries of this host → the same wheel with these inside, by auditwheel.

* It runs in the sandbox, as the build did: auditwheel and patchelf read files that nobody has read before.
* A library goes in only if it loads on the target's glibc itself. Where that is not so, nothing is repaired.
* Where auditwheel can tell whose libraries these are, it writes that down (``.dist-info/sboms``), and it is kept.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.building.sandbox import StoppedError

if TYPE_CHECKING:
    from bundler.building.sandbox import Sandbox
    from bundler.runtime.targets import Target

# The glibc of each policy that auditwheel knows.
_POLICIES = (5, 12, 17, 24, 26, 27, 28, 31, 34, 35, 36, 37, 38, 39, 40, 41)


def repair(wheel: Path, target: Target, *, root: Path, sandbox: Sandbox, log: Path) -> Path | None:
    """Return a repaired copy of *wheel*, which lies below *root*; None if it cannot be repaired, as *log* says."""
    if target.libc != "glibc":
        return None
    has = int(target.libc_version.split(".")[1])
    policy = max((minor for minor in _POLICIES if minor <= has), default=_POLICIES[0])
    out = root / "repaired"
    inside = sandbox.path(root)
    prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    command = [
        *(sys.executable, "-I", "-m", "auditwheel", "repair", "--no-update-tags", "--only-plat"),
        *("--plat", f"manylinux_2_{policy}_{target.arch}", "--wheel-dir", f"{inside}/repaired"),
        f"{inside}/{wheel.relative_to(root)}",
    ]
    environment = {
        "PATH": f"{sysconfig.get_path('scripts')}:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": inside,
        "TMPDIR": "/tmp",  # noqa: S108 - inside it is the command's own
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": "315532800",
    }
    visible = sorted(prefix for prefix in prefixes if not prefix.is_relative_to("/usr"))
    try:
        code = sandbox.run(command, root=root, directory=inside, log=log, visible=visible, environment=environment)
    except StoppedError:
        return None
    found = out / wheel.name
    return found if code == 0 and found.is_file() and not found.is_symlink() else None
