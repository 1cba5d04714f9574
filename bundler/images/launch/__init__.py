"""The files that stand at the top of a carrier, and make it a program and a part of every Python's start.

* ``__main__.py`` and ``sitecustomize.py`` here, the runtime as ``bundle_runtime/``, and their ``.pyc``.
* They are files of the image, so the digest covers them. In a tree they lie where these paths say; in the other
  carriers they stand beside the blobs (``member_of`` says where), and ``verify`` compares them with the image's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bundler.runtime
from bundler.runtime.indexes import PROGRAM_PATH
from bundler.runtime.sites import SITE_PACKAGES

if TYPE_CHECKING:
    from bundler.layers.bytecode import Compiler

_HERE = Path(__file__).parent


def launch_files(compiler: Compiler | None) -> dict[str, bytes]:
    """Return the program, ``sitecustomize.py``, the runtime, and their ``.pyc``, by their paths in a tree."""
    runtime = Path(bundler.runtime.__file__).parent
    sources = {
        f"{SITE_PACKAGES}/bundle_runtime/{path.name}": path.read_bytes() for path in sorted(runtime.glob("*.py"))
    }
    sources[f"{SITE_PACKAGES}/sitecustomize.py"] = (_HERE / "sitecustomize.py").read_bytes()
    sources[PROGRAM_PATH] = (_HERE / "__main__.py").read_bytes()
    files = dict(sources)
    if compiler is not None:
        batch = list(sources.items())
        for path, data in zip(sources, compiler.submit(batch).result(), strict=True):
            files[compiler.pyc_path(path)] = data
    return files
