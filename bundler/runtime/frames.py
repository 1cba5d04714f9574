"""Layers → files: the frames of a blob are read, checked, decoded and cut into files, in parallel.

* A frame is read once, hashed, and only then decoded (rule C19); a file is hashed again on its way out.
* Frames are cut at file boundaries; only a file larger than a frame spans several. So the unit of work is a *run*:
  the fewest frames that hold whole files. Runs are independent of each other.
* Memory: one compressed and one decoded frame a thread, whatever the size of the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from typing import Any, Callable, Iterator, List, NamedTuple, Tuple

from .carriers import Carrier, Member
from .documents import File, Frame
from .errors import ContentError
from .images import Image
from .zstd import Decoder, check_frame

Sink = Callable[[File], Any]
"""Opens the place for a file: an object with ``write(data)`` and ``close()``."""


class Run(NamedTuple):
    """Frames of one layer that hold whole files: *start* is where they lie in the blob, *offset* in the tar."""

    layer: int
    start: int
    offset: int
    frames: Tuple[Frame, ...]
    files: Tuple[File, ...]


def runs_of(image: Image) -> List[Run]:
    """Cut the layers 1, 2, … of *image* into runs."""
    runs = []
    for n, (descriptor, layer) in enumerate(zip(image.manifest.layers[1:-1], image.tree.layers), 1):
        frames: List[Frame] = []
        files: List[File] = []
        start = offset = blob_end = tar_end = 0
        pending = iter(layer.files)
        file = next(pending, None)
        for frame in descriptor.frames:
            frames.append(frame)
            blob_end += frame.size
            tar_end += frame.raw
            while file is not None and file.offset + file.size <= tar_end:
                files.append(file)
                file = next(pending, None)
            if file is None or file.offset >= tar_end:
                runs.append(Run(n, start, offset, tuple(frames), tuple(files)))
                frames, files = [], []
                start, offset = blob_end, tar_end
    return runs


def read_run(run: Run, blob: Member, decode: Decoder, sink: Sink) -> None:
    """Read the files of *run* into *sink*; raise ``ContentError`` at the first byte that is not as promised."""
    pieces = _decoded(run, blob, decode)
    at, piece = next(pieces)
    for file in run.files:
        hasher = hashlib.sha256()
        out = sink(file)
        try:
            position, end = file.offset, file.offset + file.size
            while position < end:
                while position >= at + len(piece):
                    at, piece = next(pieces)
                data = piece[position - at : end - at]
                hasher.update(data)
                out.write(data)
                position += len(data)
        finally:
            out.close()
        if hasher.hexdigest() != file.sha256:
            raise ContentError(
                file.path, "is not what was promised", got=hasher.hexdigest(), want=file.sha256, rule="C24"
            )
    for _ in pieces:  # nothing but the end of the tar
        pass


def _decoded(run: Run, blob: Member, decode: Decoder) -> Iterator[Tuple[int, memoryview]]:
    """Yield the frames of *run*, verified and decoded, each with its offset in the tar."""
    start, offset = run.start, run.offset
    for frame in run.frames:
        data = blob.read(start, frame.size)
        got = hashlib.sha256(data).hexdigest()
        if got != frame.sha256:
            names = [file.path for file in run.files] or ["the end of the layer"]
            what = f"is damaged at byte {start}, which holds {names[0]}"
            what += f" and {len(names) - 1} more files" if len(names) > 1 else ""
            raise ContentError(blob.where, what, got=f"sha256:{got}", want=f"sha256:{frame.sha256}", rule="C19")
        check_frame(data, frame.raw, blob.where)
        try:
            piece = memoryview(decode(data, frame.raw))
        except Exception as error:  # noqa: BLE001 - each decoder has its own
            raise ContentError(blob.where, f"cannot be decoded: {error}", rule="C20") from None
        del data
        if len(piece) != frame.raw:
            raise ContentError(blob.where, "decodes to another size", got=len(piece), want=frame.raw, rule="C20")
        yield offset, piece
        start += frame.size
        offset += frame.raw


def read_layers(image: Image, carrier: Carrier, decode: Decoder, sink: Sink, jobs: int = 0) -> List[ContentError]:
    """Read every file of *image* into *sink* with *jobs* threads (0: one for each processor).

    Return all faults of contents, in the order of the layers. Any other error stops the work and is raised.
    """
    runs = runs_of(image)
    members = {n: carrier.blob(layer.digest) for n, layer in enumerate(image.manifest.layers) if n}
    for n, member in members.items():
        if member.size != image.manifest.layers[n].size:
            want = image.manifest.layers[n].size
            raise ContentError(member.where, "has the wrong size", got=f"{member.size} bytes", want=want, rule="C19")
    faults: List[Tuple[int, ContentError]] = []
    todo = iter(list(enumerate(runs)))
    lock = threading.Lock()

    def work(errors: List[BaseException]) -> None:
        while not errors:
            with lock:
                n, run = next(todo, (-1, None))
            if run is None:
                return
            try:
                read_run(run, members[run.layer], decode, sink)
            except ContentError as fault:
                faults.append((n, fault))

    in_parallel(work, jobs or processors())
    return [fault for _, fault in sorted(faults, key=lambda item: item[0])]


def in_parallel(work: Callable[[List[BaseException]], None], jobs: int) -> None:
    """Run *work* in *jobs* threads, one of them this one, and wait for all; raise the first error of any of them.

    *work* is given a list and is to return soon when there is an error in it. An interrupt is raised when all have
    ended: nobody reads or writes any more what the caller then closes or removes.
    """
    errors: List[BaseException] = []
    begun: List[None] = []
    ended: List[None] = []

    def run() -> None:
        begun.append(None)
        try:
            work(errors)
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            errors.append(error)
        finally:
            ended.append(None)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(jobs - 1)]
    try:
        for thread in threads:
            thread.start()
        work(errors)  # not run: an interrupt may come between any two lines of it
        for thread in threads:
            thread.join()
    except BaseException as error:  # noqa: BLE001 - raised below, when all have ended
        errors.append(error)
    while len(ended) < len(begun):  # not join: in 3.7 it may wait for ever after an interrupt
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(0.001)
    if errors:
        raise errors[0]


def processors() -> int:
    """Return how many processors this process may use, at most 8: beyond, writing is the limit."""
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)  # a builder's host that is not Linux
