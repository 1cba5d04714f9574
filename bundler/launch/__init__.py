"""The files that stand at the top of a carrier, and make it a program and a part of every Python's start.

* ``__main__.py`` and ``sitecustomize.py`` here, the runtime as ``bundle_runtime/``, and their ``.pyc``.
* A tree carries them, except ``__main__.py``, in its ``site-packages``; so they are files of the image, and the digest
  covers them. In the other carriers they stand beside the blobs, and ``verify`` compares them with those.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bundler.runtime

if TYPE_CHECKING:
    from bundler.bytecode import Compiler

PROGRAM = "__main__.py"
_HERE = Path(__file__).parent


def program() -> bytes:
    """Return ``__main__.py``."""
    return (_HERE / PROGRAM).read_bytes()


def launch_files(compiler: Compiler | None) -> dict[str, bytes]:
    """Return ``sitecustomize.py``, the runtime, and their ``.pyc`` where an interpreter looks for them."""
    runtime = Path(bundler.runtime.__file__).parent
    sources = {f"bundle_runtime/{path.name}": path.read_bytes() for path in sorted(runtime.glob("*.py"))}
    sources["sitecustomize.py"] = (_HERE / "sitecustomize.py").read_bytes()
    files = dict(sources)
    if compiler is not None:
        batch = list(sources.items())
        for path, data in zip(sources, compiler.submit(batch).result(), strict=True):
            files[compiler.pyc_path(path)] = data
    return files
