"""What a wheelhouse looks like: the names of its parts, and the ``requirements.txt`` that installs it.

    requirements.txt    each wheel by version and sha256, and no index: pip takes these wheels or none
    wheels/             the wheels, byte for byte

The sha256 of ``requirements.txt`` is the digest of the wheelhouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.locks import Lock

REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"


def is_wheelhouse(path: Path) -> bool:
    """Tell whether the directory *path* has the parts of a wheelhouse."""
    return (path / REQUIREMENTS).is_file() and (path / WHEELS).is_dir()


def requirements_text(locked: Lock) -> str:
    """Return the ``requirements.txt`` that installs *locked* from the directory beside it, and from nowhere else."""
    lines = [f"# For {locked.target}. Needs no index: the wheels lie beside this file.", "--no-index"]
    lines += [f"--find-links {WHEELS}", "--only-binary :all:", "--require-hashes"]
    lines += [f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}" for pin in locked.pins]
    return "\n".join(lines) + "\n"
