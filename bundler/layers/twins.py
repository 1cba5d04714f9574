"""Names of projects → those that are one package in several builds, and which of them to keep.

* Each brings the same modules with other binaries: installed together, files of both lie in one directory, and which
  of them win depends on the order. pip says nothing.
* What is kept does all that the others do, in a container.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Twins:
    """Projects that bring *module*, the best first, each with what is good about it."""

    module: str
    projects: dict[str, str]


_ANYWHERE = "works with and without a GPU"
_MORE = "does what the other does, and more"
_KNOWN = (
    Twins(
        "cv2",
        {
            "opencv-contrib-python-headless": "has all modules, and needs no library of a desktop",
            "opencv-python-headless": "needs no library of a desktop, which containers lack",
            "opencv-contrib-python": "has all modules",
            "opencv-python": "",
        },
    ),
    Twins("tensorflow", {"tensorflow": _ANYWHERE, "tensorflow-gpu": _ANYWHERE, "tensorflow-cpu": ""}),
    Twins("psycopg2", {"psycopg2-binary": "brings libpq, which containers lack", "psycopg2": ""}),
    Twins("onnxruntime", {"onnxruntime-gpu": _MORE, "onnxruntime-openvino": _MORE, "onnxruntime": ""}),
    Twins("faiss", {"faiss-gpu": _MORE, "faiss-cpu": ""}),
    Twins("xgboost", {"xgboost": _ANYWHERE, "xgboost-cpu": ""}),
    Twins("PIL", {"pillow": "is the original", "pillow-simd": ""}),
    Twins("Crypto", {"pycryptodome": "is maintained", "pycrypto": ""}),
    Twins("docker", {"docker": "is its name today", "docker-py": ""}),
)


@dataclass(frozen=True, slots=True)
class Found:
    """Twins that are there together: which one to *keep*, *why*, and which to *drop*."""

    module: str
    keep: str
    why: str
    drop: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """What to do, with the options that do it."""
        return f"keep {self.keep}, which {self.why}: {' '.join(f'--drop {name}' for name in self.drop)}"


def find_twins(names: Collection[str]) -> list[Found]:
    """Return what of *names* is one package several times."""
    found = []
    for twins in _KNOWN:
        keep, *drop = [name for name in twins.projects if name in names] or [""]
        if drop:
            found.append(Found(twins.module, keep, twins.projects[keep], tuple(drop)))
    return found
