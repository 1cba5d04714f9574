"""``.py`` files → ``.pyc`` files, compiled by an interpreter of the target.

* A ``.pyc`` is *unchecked-hash* (PEP 552): valid wherever and whenever its source lies, because every byte of a tree
  is verified before it is used.
* The same source gives the same bytes: the hash seed is fixed, and the file name inside is the path in the tree.
* A source that the target cannot compile has no ``.pyc``; Python would report it at import, as it always does.
"""

from __future__ import annotations

import os
import queue
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from bundler.interpreters import Interpreter, find_interpreter
from bundler.runtime.errors import BundleError, TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from bundler.runtime.targets import Target

# Runs in the target interpreter: answers each batch of (path, source) on stdin with the bytes of a .pyc for each, or
# with none. A batch is compiled in a fork of the same fresh process: which constants marshal writes as references
# depends on what else the process holds, hence on what it has compiled before.
_WORKER = r"""
import importlib.util, os, struct, sys, warnings
from importlib._bootstrap_external import _code_to_hash_pyc
warnings.simplefilter("ignore")

def read(size):
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            os._exit(0)
        data += more
    return data

def pyc(name, source):
    try:
        code = compile(source, name, "exec", dont_inherit=True, optimize=0)
        return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return b""

while True:
    sizes = struct.iter_unpack(">II", read(8 * struct.unpack(">I", read(4))[0]))
    batch = [(read(name).decode(), read(source)) for name, source in list(sizes)]
    child = os.fork()
    if not child:
        data = b"".join(struct.pack(">I", len(each)) + each for each in [pyc(*item) for item in batch])
        while data:
            data = data[os.write(1, data):]
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        os._exit(1)
"""


class Compiler:
    """Processes of an interpreter of the target that compile sources. Use it as a context manager."""

    def __init__(self, interpreter: Interpreter, jobs: int) -> None:
        """Compile with up to *jobs* processes of *interpreter*."""
        self.version = interpreter.version
        self._python = interpreter.path
        self._cache_tag = interpreter.cache_tag
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(jobs, "compile")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.kill()
            process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {"PYTHONHASHSEED": "0", "PATH": os.defpath}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        process = subprocess.Popen(
            [self._python, "-s", "-S", "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._processes.append(process)
        return process

    def submit(self, batch: Sequence[tuple[str, bytes]]) -> Future[list[bytes]]:
        """Compile a batch of (path in the tree, source); what cannot be compiled gives no bytes.

        The bytes depend on the whole batch, and on nothing else.
        """
        return self._threads.submit(self._compile, batch)

    def _compile(self, batch: Sequence[tuple[str, bytes]]) -> list[bytes]:
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = self._start()
        assert process.stdin is not None  # noqa: S101 - for mypy
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(struct.pack(">I", len(batch)))
            process.stdin.write(b"".join(struct.pack(">II", len(path.encode()), len(source)) for path, source in batch))
            process.stdin.write(b"".join(part for path, source in batch for part in (path.encode(), source)))
            process.stdin.flush()
            data = [process.stdout.read(struct.unpack(">I", process.stdout.read(4))[0]) for _ in batch]
        except (OSError, struct.error) as error:
            raise BundleError(self._python, f"stopped while compiling {batch[0][0]} or what follows it") from error
        self._idle.put(process)
        return data

    def pyc_path(self, path: str) -> str:
        """Return where the ``.pyc`` of the source *path* belongs."""
        directory, slash, name = path.rpartition("/")
        return f"{directory}{slash}__pycache__/{name.removesuffix('.py')}.{self._cache_tag}.pyc"


def find_compiler(
    target: Target, *, mode: str, python: Path | None, jobs: int, environ: Mapping[str, str]
) -> Compiler | None:
    """Return a compiler for *target*, or None if *mode* is ``never``, or ``auto`` and no interpreter is at hand.

    Raise ``TargetError`` if *mode* is ``require`` and there is none, or as ``find_interpreter`` does.
    """
    if mode == "never":
        return None
    found = find_interpreter(target, python=python, environ=environ)
    if found is None and mode == "require":
        raise TargetError(
            "--compile require",
            "there is no interpreter of the target to compile with",
            want=target,
            hint="name one with --target-python, or ship no .pyc with --compile never (imports take longer)",
        )
    return None if found is None else Compiler(found, jobs)
