"""A tree on disk ↔ its index: write it, and find everything in it that differs (rule C24).

* Files are made once, with their final mode, in directories that were made before.
* A tree has exactly the files of the index: an extra file, directory or symlink is a fault like a changed byte.
* Only signatures may come and go: they are about the tree, not of it.
* Lost mode bits are no fault, because uploads lose them; set-id bits are.
* A ``.pyc`` that Python writes for what starts the bundle is removed at once (see ``startup``); a boot lets pass what
  another Python has written in this moment.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from typing import Any, Dict, List, Optional

from .carriers import TREE_CONFIG, TREE_MANIFEST, Carrier
from .documents import TREE_PATH, File
from .errors import ContentError, PlaceError, TargetError
from .frames import in_parallel, processors, read_layers
from .images import Image
from .indexes import SIGNATURES, SITECUSTOMIZE_PYC, directories_of
from .zstd import Decoder, find_decoder

_CHUNK = 1 << 20
_LAUNCH_PYCACHES = ("site-packages/__pycache__", "site-packages/bundle_runtime/__pycache__")
_LAUNCH_PYCS = (SITECUSTOMIZE_PYC, _LAUNCH_PYCACHES[1] + "/")


class _Writer:
    """A new file of the tree."""

    def __init__(self, path: str, mode: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def write(self, data: Any) -> None:  # noqa: ANN401 - bytes-like
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        os.close(self._fd)


def write_tree(
    image: Image,
    carrier: Carrier,
    root: str,
    *,
    decode: Optional[Decoder] = None,
    jobs: int = 0,
    read_only: bool = False,
) -> str:
    """Write the tree of *image* into *root*, an empty directory; return which decoder was used.

    With *read_only*, nothing can be added by mistake to a directory below *root*.
    Raise ``Faults`` or another ``ContentError`` if a byte is not as promised, and ``PlaceError`` if it cannot be
    written; what is in *root* is then incomplete and of no use.
    """
    source = "given"
    if decode is None:
        decode, source = find_decoder(image.decoder(), root)
    if decode is None:
        want = "the interpreter it was built for, libzstd.so.1, or Python 3.14"
        raise TargetError(carrier.path, "cannot be decoded: there is no zstd for this interpreter", want=want)

    def sink(file: File) -> _Writer:
        return _Writer(os.path.join(root, file.path), 0o555 if file.executable else 0o444)

    directories = directories_of([*image.documents, *(file.path for file in image.tree.files)])
    try:
        for directory in directories:
            os.mkdir(os.path.join(root, directory))
        for path, data in image.documents.items():
            writer = _Writer(os.path.join(root, path), 0o444)
            try:
                writer.write(data)
            finally:
                writer.close()
        faults = read_layers(image, carrier, decode, sink, jobs)
        for directory in directories if read_only else ():
            os.chmod(os.path.join(root, directory), 0o555)  # noqa: S103 - a tree is for everyone to read
    except OSError as error:
        raise PlaceError(
            error.filename or root,
            f"cannot be written: {error.strerror}",
            hint="set BUNDLE_CACHE to a directory with room that this user may write to",
            rule="D26",
        ) from error
    raise_faults(carrier.path, faults)
    return source


def raise_faults(where: str, faults: List[ContentError]) -> None:
    """Raise *faults*, if there are any, as one error."""
    from .errors import Faults

    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise Faults(where, faults)


def faults_of_tree(image: Image, root: str, jobs: int = 0, *, started: bool = False) -> List[ContentError]:
    """Compare the tree at *root* with *image*: every path, type, size and byte. Return all faults, by path.

    *started* says that this is the boot of the tree where it lies, and that Python may have added ``.pyc`` by now.
    """
    wanted: Dict[str, Optional[File]] = {file.path: file for file in image.tree.files}
    wanted[TREE_PATH] = None  # read and verified already
    wanted.update(dict.fromkeys(path for path in (TREE_MANIFEST, TREE_CONFIG) if path in image.documents))
    directories = {*directories_of(wanted), *(_LAUNCH_PYCACHES if started else ())}
    let_pass = _LAUNCH_PYCS if started else ()
    faults: Dict[str, ContentError] = {}
    todo: List[File] = []

    def walk(prefix: str) -> None:
        with os.scandir(os.path.join(root, prefix)) as entries:
            for entry in entries:
                path = prefix + entry.name
                if path in directories and entry.is_dir(follow_symlinks=False):
                    walk(path + "/")
                elif path == SIGNATURES:
                    from .referrers import faults_of_signatures

                    faults.update(faults_of_signatures(root, image.digest))
                elif path not in wanted:
                    # For a moment it is .pyc.NUMBER.
                    if not (path.startswith(let_pass) and path.rstrip("0123456789.").endswith(".pyc")):
                        faults[path] = ContentError(path, "is extra: the bundle has no such file", rule="C24")
                else:
                    file = wanted.pop(path)
                    fault = _fault_of_status(path, entry.stat(follow_symlinks=False), file)
                    if fault is not None:
                        faults[path] = fault
                    elif file is not None:
                        todo.append(file)

    walk("")
    for path in wanted:
        faults.setdefault(path, ContentError(path, "is missing", rule="C24"))
    faults.update(_faults_of_bytes(root, todo, jobs or processors()))
    return [faults[path] for path in sorted(faults)]


def _fault_of_status(path: str, status: os.stat_result, file: Optional[File]) -> Optional[ContentError]:
    if not stat.S_ISREG(status.st_mode):
        return ContentError(path, "is not a regular file", rule="C24")
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        return ContentError(path, "has a set-id bit", got=stat.filemode(status.st_mode), rule="C24")
    if file is not None and status.st_size != file.size:
        return ContentError(path, "has the wrong size", got=f"{status.st_size} bytes", want=file.size, rule="C24")
    return None


def _faults_of_bytes(root: str, files: List[File], jobs: int) -> Dict[str, ContentError]:
    files.sort(key=lambda file: -file.size)
    todo = iter(files)
    lock = threading.Lock()
    faults: Dict[str, ContentError] = {}

    def work(errors: List[BaseException]) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        while not errors:
            with lock:
                file = next(todo, None)
            if file is None:
                return
            try:
                got = _sha256(os.path.join(root, file.path), buffer)
            except OSError as error:
                faults[file.path] = ContentError(file.path, f"cannot be read: {error.strerror}", rule="C24")
                continue
            if got != file.sha256:
                faults[file.path] = ContentError(file.path, "has changed", got=got, want=file.sha256, rule="C24")

    in_parallel(work, jobs)
    return faults


def _sha256(path: str, buffer: memoryview) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        hasher = hashlib.sha256()
        size = os.readv(fd, [buffer])
        while size:
            hasher.update(buffer[:size])
            size = os.readv(fd, [buffer])
    finally:
        os.close(fd)
    return hasher.hexdigest()
