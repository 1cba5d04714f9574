"""The wheels of one layer → its files, in order, with the ``.pyc`` and the RECORDs that go with them.

* The order: what is alike lies together, then the ``.pyc``, then each RECORD, which lists the others.
* Sources are compiled beside the packing, in batches.
* What a backport would put in the place of the standard library is left out, with a warning.
"""

from __future__ import annotations

import fnmatch
import hashlib
from posixpath import splitext
from typing import TYPE_CHECKING

from bundler.archives.portable_paths import folded
from bundler.layers.conflicts import Conflicts, Owner
from bundler.runtime.errors import BundleError
from bundler.runtime.indexes import directories_of
from bundler.wheels.backports import without_backports
from bundler.wheels.install import chunks_of, files_of
from bundler.wheels.records import record_text
from bundler.wheels.startup_code import added_directories, check_startup_code

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Container, Iterator, Sequence
    from concurrent.futures import Future

    from bundler.layers.bytecode import Compiler
    from bundler.layers.packing import Packed, Packer
    from bundler.runtime.targets import Target
    from bundler.wheels.allowances import Allowances
    from bundler.wheels.install import TreeFile
    from bundler.wheels.wheel_reader import Wheel

MAX_SOURCE = 16 << 20
BATCH = 64  # sources compiled together; the bytes of the .pyc depend on it


class LayerContents:
    """What the wheels of one layer install, on its way into the layer."""

    def __init__(
        self,
        wheels: Sequence[Wheel],
        exclude: Sequence[str],
        compiler: Compiler | None,
        stopped: threading.Event,
        *,
        target: Target,
        warn: Callable[[str], None],
    ) -> None:
        self.wheels = wheels
        self._exclude = exclude
        self._target = target
        self._warn = warn
        self._stopped = stopped
        self._compiler = compiler
        self._owners: dict[str, int] = {}
        self._rows: list[list[tuple[str, str, int]]] = [[] for _ in wheels]
        self._batches: list[list[tuple[str, bytes]]] = [[] for _ in wheels]
        self._bytecode: list[tuple[int, list[str], Future[list[bytes]]]] = []
        # What is alike lies together, within reach of the compressor's window.
        self._files = sorted(self._unique(), key=lambda item: (splitext(item[1].path)[1], item[1].path))
        self._compiled = {path for _, file in self._files if (path := self._pyc_of(file)) is not None}

    def _unique(self) -> Iterator[tuple[int, TreeFile]]:
        """Yield each file with the number of its wheel; of equal files of two wheels the first (rule A14)."""
        conflicts = Conflicts()
        first: dict[str, tuple[int, TreeFile]] = {}
        for number, wheel in enumerate(self.wheels):
            for file in self._installed(wheel):
                owner, other = first.setdefault(folded(file.path), (number, file))
                if other is file:
                    self._owners[file.path] = number
                    yield number, file
                elif (other.path, other.sha256) != (file.path, file.sha256):
                    conflicts.add(file.path, self._owner(owner), self._owner(number))
                else:
                    self._rows[number].append((file.path, file.sha256, file.size))
        conflicts.check()

    def _installed(self, wheel: Wheel) -> Sequence[TreeFile]:
        files, modules = without_backports(wheel.name, files_of(wheel, exclude=self._exclude), self._target)
        if modules:
            python = "Python {}.{}".format(*self._target.python_minor)
            why = f"{python} has its own, and would never import this one from where pip installs it"
            self._warn(f"{wheel.filename}: {', '.join(modules)} was left out: {why} [A12]")
        return files

    def _owner(self, number: int) -> Owner:
        return Owner(self.wheels[number].name, str(self.wheels[number].version))

    def _pyc_of(self, file: TreeFile) -> str | None:
        if self._compiler is None or not file.path.endswith(".py") or not file.path.startswith("site-packages/"):
            return None
        path = self._compiler.pyc_path(file.path)
        excluded = any(fnmatch.fnmatchcase(path, glob) for glob in self._exclude)
        return path if 0 < file.size <= MAX_SOURCE and not excluded else None

    def check(self, allowances: Allowances) -> None:
        """Refuse startup code that is neither known nor allowed (rule A12)."""
        added: set[str] = set()
        for number, file in self._files:
            added |= added_directories(file, chunks_of(self.wheels[number], file))
        for number, file in self._files:
            wheel = self.wheels[number]
            chunks = chunks_of(wheel, file)
            check_startup_code(wheel.filename, file, chunks, target=self._target, allowances=allowances, added=added)

    def pack(self, packer: Packer) -> None:
        """Put everything into *packer*."""
        records = [f"site-packages/{wheel.dist_info}/RECORD" for wheel in self.wheels]
        paths = [*(file.path for _, file in self._files), *self._compiled, *records]
        packer.add_directories(directories_of(paths))
        for number, file in self._files:
            if self._stopped.is_set():
                raise BundleError("layer", "was not finished: another step has failed")
            self._add(packer, number, file)
        for path, number, data in sorted(self._compiled_files()):
            self._add_bytes(packer, number, path, data)
        for number, path in sorted(enumerate(records), key=lambda item: item[1]):
            self._owners[path] = number
            data = record_text(self._rows[number], self.wheels[number].dist_info)
            self._add_bytes(packer, number, path, data)

    def _add(self, packer: Packer, number: int, file: TreeFile) -> None:
        chunks = chunks_of(self.wheels[number], file)
        pyc = self._pyc_of(file)
        if pyc is not None and self._compiler is not None:
            source = b"".join(chunks)
            self._batches[number].append((file.path, source))
            if len(self._batches[number]) == BATCH:
                self._submit(number)
            chunks = (source,)
        self._rows[number].append((file.path, file.sha256, file.size))
        packer.add(file.path, size=file.size, sha256=file.sha256, executable=file.executable, chunks=chunks)

    def _submit(self, number: int) -> None:
        """Submit the sources collected so far of the wheel *number*."""
        batch, self._batches[number] = self._batches[number], []
        if batch and self._compiler is not None:
            paths = [self._compiler.pyc_path(path) for path, _ in batch]
            self._bytecode.append((number, paths, self._compiler.submit(batch)))

    def _compiled_files(self) -> Iterator[tuple[str, int, bytes]]:
        for number in range(len(self.wheels)):
            self._submit(number)
        for number, paths, future in self._bytecode:
            yield from ((path, number, data) for path, data in zip(paths, future.result(), strict=True) if data)

    def _add_bytes(self, packer: Packer, number: int, path: str, data: bytes) -> None:
        sha256 = hashlib.sha256(data).hexdigest()
        self._owners[path] = number
        self._rows[number].append((path, sha256, len(data)))
        packer.add(path, size=len(data), sha256=sha256, executable=False, chunks=(data,))

    @property
    def paths(self) -> Container[str]:
        """The paths of all files."""
        return self._owners.keys()

    def owners_of(self, packed: Packed) -> list[int]:
        """Return the number of the wheel of each file of *packed*."""
        return [self._owners[file.path] for file in packed.files]
