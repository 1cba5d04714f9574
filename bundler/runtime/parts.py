"""A tree that is filled part by part: what of it is there, and how any process adds what is missing.

* A part is a run of frames (see ``frames``) and the files in them. A file is hashed, and then renamed to its final
  name: whoever looks sees no file, or the verified one.
* ``.bundle/lazy/`` in the tree holds the state: a lock and, once its files are there, a mark for each part. It goes
  away, in one rename, when nothing is missing; only then the tree gets the marker that other boots trust.
* Locks are those of the file system, and every taker opens its own: threads, forks and other processes are alike, and
  whoever dies leaves nothing behind that anybody waits for.
* The state belongs to one digest, place, interpreter and boot of the system, as a marker does. Other state is no state.
"""

from __future__ import annotations

import fcntl
import os
from _thread import get_ident
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from . import markers
from .boot import LAZY_STATE as STATE
from .carriers import Carrier, open_carrier
from .documents import File, Frame
from .errors import ContentError, PlaceError
from .frames import Run, in_parallel, processors, read_run
from .images import Image
from .indexes import DECODER_PATH, directories_of
from .places import Staging, is_private, private_name
from .plans import Plan
from .trees import FileWriter, decoder_for
from .zstd import Decoder

_held: Set[int] = set()  # descriptors of locked parts, which a fork must not keep


class Cancelled(Exception):  # noqa: N818 - it is no error
    """The work on a part was given up; nothing of it is left."""


class _Part(FileWriter):
    """A file whose writing can be given up."""

    def __init__(self, path: str, mode: int, cancelled: Callable[[], bool]) -> None:
        super().__init__(path, mode)
        self._cancelled = cancelled

    def write(self, data: Any) -> None:  # noqa: ANN401 - bytes-like
        if self._cancelled():
            raise Cancelled
        super().write(data)


def state_line(digest: str, root: str) -> bytes:
    """Return the first line of the state of the tree *digest* at *root*."""
    return os.fsencode(markers.line_for(digest, root))


def begin(image: Image, plan: Plan, carrier: Carrier, root: str) -> None:
    """Make the tree at *root*: all its directories, what mounts it, and the state in which all parts are missing."""
    with Staging(root) as staging:
        try:
            paths = [*image.documents, *(directory + "/" for directory in plan.directories), STATE + "/state"]
            for directory in directories_of(paths):
                os.mkdir(os.path.join(staging.path, directory))
            line = state_line(image.digest, root) + os.fsencode(carrier.path)
            for path, data in [
                *image.documents.items(),
                (STATE + "/plan", plan.dump()),
                (STATE + "/state", line),
            ]:
                _write(os.path.join(staging.path, path), data)
        except OSError as error:
            raise place_error(error, root) from error
        staging.publish()


def _write(path: str, data: bytes) -> None:
    writer = FileWriter(path, 0o444)
    try:
        writer.write(data)
    finally:
        writer.close()


def place_error(error: OSError, root: str) -> PlaceError:
    """Return the error that says where writing failed."""
    return PlaceError(
        error.filename or root,
        f"cannot be written: {error.strerror}",
        hint="set BUNDLE_CACHE to a directory with room that this user may write to",
        rule="D26",
    )


def has_state(root: str) -> bool:
    """Tell whether the tree at *root* is not complete, whoever made it."""
    return os.path.lexists(os.path.join(root, STATE))


class Parts:
    """The parts of the tree *digest* at *root*: which are ready, and the means to make others ready."""

    def __init__(self, digest: str, root: str, carrier: str, plan: Plan) -> None:
        """Use ``join``, which looks at the state."""
        self.digest = digest
        self.root = root
        self.carrier = carrier
        self.plan = plan
        self.ready: Set[int] = set()
        self.complete = False
        self._state = os.path.join(root, STATE)
        self.decoder = ""
        self._decode: Optional[Decoder] = None
        self._mine: Dict[int, int] = {}  # part → the thread of this process that is at it
        self._identity = os.stat(root)

    @classmethod
    def join(cls, digest: str, root: str, plan: Optional[Plan] = None) -> Optional[Parts]:
        """Return the parts of the tree at *root*, or None if there is no state, or not that of this digest and boot.

        The *plan* is read if it is not given.
        """
        try:
            with open(os.path.join(root, STATE, "state"), "rb") as file:
                state = file.read()
            data = b""
            if plan is None:
                with open(os.path.join(root, STATE, "plan"), "rb") as file:
                    data = file.read()
        except OSError:
            return None
        line = state_line(digest, root)
        if not is_private(os.path.dirname(root)) or not state.startswith(line) or line.endswith(b" \n"):
            return None
        return cls(digest, root, os.fsdecode(state[len(line) :]), plan or Plan.load(data))

    def missing(self, wanted: Iterable[int]) -> Set[int]:
        """Return which of the parts *wanted* are not ready."""
        missing = set() if self.complete else set(wanted) - self.ready
        if missing:
            try:
                names = os.listdir(self._state)
            except FileNotFoundError:
                self._is_complete()
                return set()
            self.ready.update(int(name[:-6]) for name in names if name.endswith(".ready"))
            missing -= self.ready
        return missing

    def _is_complete(self) -> None:
        """Note that another process has completed the tree; it alone can have taken the state away."""
        if not os.path.samestat(self._identity, os.stat(self.root)):
            raise ContentError(self.root, "was replaced while it was in use", rule="C24")
        self.complete = True

    def load_decoder(self) -> None:
        """Load the decoder, which needs no place to write to, before any thread wants it."""
        if self._decode is None:
            try:
                with open(os.path.join(self.root, DECODER_PATH), "rb") as file:
                    carried: Optional[bytes] = file.read()
            except FileNotFoundError:
                carried = None
            self._decode, self.decoder = decoder_for(self.carrier, carried, self._state)

    def add(self, n: int, *, wait: bool, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Make the part *n* ready; return False if another thread or process is at it and *wait* is not set.

        Raise ``ContentError`` if a byte is not as promised, ``PlaceError`` if it cannot be written.
        """
        if (
            self._mine.get(n) == get_ident()
        ):  # a signal handler or a finalizer came in between: there is nobody to wait for
            self._unpack(n, alone=False, cancelled=cancelled)
            return True
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(os.path.join(self._state, f"{n}.lock"), flags, 0o600)
        except FileNotFoundError:
            self._is_complete()
            return True
        except OSError as error:
            raise place_error(error, self.root) from error
        _held.add(fd)
        try:
            locked = _lock(fd, wait=wait)
            if locked is None:
                return False
            self._mine[n] = get_ident()
            if not os.path.exists(os.path.join(self._state, f"{n}.ready")):
                self._unpack(n, alone=locked, cancelled=cancelled)
            self.ready.add(n)
        except FileNotFoundError:
            if has_state(self.root):
                raise
            self._is_complete()
        except OSError as error:
            raise place_error(error, self.root) from error
        finally:
            if self._mine.get(n) == get_ident():
                del self._mine[n]
            _held.discard(fd)
            _unlock(fd)
        return True

    def _unpack(self, n: int, *, alone: bool, cancelled: Callable[[], bool]) -> None:
        layer, start, offset, frames, files = self.plan.parts[n]
        run = Run(layer, start, offset, tuple(Frame(*each) for each in frames), tuple(File(*each) for each in files))
        staging = os.path.join(self._state, f"part-{n}-")
        if alone:
            for name in os.listdir(self._state):
                if name.startswith(os.path.basename(staging)):  # of a process that was killed
                    _remove(os.path.join(self._state, name))
        staging += os.urandom(8).hex()
        os.mkdir(staging, 0o700)
        count = -1

        def sink(file: File) -> FileWriter:
            nonlocal count
            count += 1
            return _Part(os.path.join(staging, str(count)), 0o555 if file.executable else 0o444, cancelled)

        try:
            self.load_decoder()
            assert self._decode is not None  # noqa: S101 - load_decoder raises
            with open_carrier(self.carrier) as carrier:
                digest, size = self.plan.blobs[layer]
                blob = carrier.blob(digest)
                if blob.size != size:
                    got = f"{blob.size} bytes"
                    raise ContentError(blob.where, "has the wrong size", got=got, want=size, rule="C19")
                read_run(run, blob, self._decode, sink)
            for number, file in enumerate(run.files):
                os.rename(os.path.join(staging, str(number)), os.path.join(self.root, file.path))
            os.close(os.open(os.path.join(self._state, f"{n}.ready"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        finally:
            _remove(staging)

    def finish(self) -> bool:
        """Make the tree a complete one, if every part is ready. The caller holds the lock of the tree."""
        if self.missing(range(len(self.plan.parts))):
            return False
        if has_state(self.root):
            for directory, _, _ in os.walk(self.root):
                if not directory.startswith(os.path.join(self.root, ".bundle")):
                    os.chmod(directory, 0o555)  # noqa: S103 - a tree is for everyone to read
            aside = private_name(self.root)
            os.rename(self._state, aside)
            for path in (os.path.join(self.root, ".bundle"), self.root):
                os.chmod(path, 0o555)  # noqa: S103
            _remove(aside)
            markers.note(self.root, self.digest, markers.NONE)  # last: without it the next one cleans up
        self.complete = True
        return True


def complete(digest: str, root: str, carrier: str) -> str:
    """Complete the tree at *root*, whose lock is held, from *carrier*; return the decoder used, empty without a state.

    Other processes may be at work on other parts: that goes on, and is waited for.
    """
    parts = Parts.join(digest, root)
    if parts is None:
        return ""
    parts.carrier = carrier
    parts.load_decoder()

    def work(errors: List[BaseException]) -> None:
        for wait in (False, True):
            for n in sorted(parts.missing(range(len(parts.plan.parts)))):
                if not errors:
                    parts.add(n, wait=wait)

    in_parallel(work, processors())
    return parts.decoder if parts.finish() else ""


def _remove(path: str) -> None:
    """Remove the directory *path* of the state. Nothing may be imported here: who imports may be waiting for us."""
    try:
        for name in os.listdir(path):
            try:
                os.unlink(os.path.join(path, name))
            except (IsADirectoryError, PermissionError):
                _remove(os.path.join(path, name))
        os.rmdir(path)
    except OSError:  # what is left is removed with the tree
        return


def _lock(fd: int, *, wait: bool) -> Optional[bool]:
    """Lock *fd*: None if it is another's, False if there are no locks here."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def _unlock(fd: int) -> None:
    """Give the lock back, also where a fork has a copy of the descriptor."""
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:  # no locks here
        return
    finally:
        os.close(fd)


def forget_locks() -> None:
    """Close what a fork has inherited: the locks are the parent's."""
    for fd in _held:
        os.close(fd)
    _held.clear()
