"""A command that nobody has read → its run, with nothing of the user's within reach.

* With bubblewrap: no network, no HOME, an environment of its own; of the host it sees compilers, libraries and the
  interpreters that are named, all read-only. It writes below ``/build`` only, which is *root* on the host.
* Without it: no network where ``unshare`` is allowed, and a warning that says what is not fenced off.
* Bounded: seconds, memory, bytes below *root*, the size of a file. What goes beyond is killed, with all it has started.
* Everything it prints is in a log.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INSIDE = "/build"
# What compilers and interpreters need of the host, as far as it is there.
_HOST = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"),
)
_TEMPORARY = 1 << 30
_LOOK_EVERY = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a command may use: seconds, bytes of memory of all its processes, bytes on disk, bytes of one file."""

    seconds: float = 1800.0
    memory: int = 8 << 30
    disk: int = 8 << 30
    file: int = 4 << 30


class StoppedError(Exception):
    """The command went beyond a limit, which the text names, and was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How commands are fenced in on this host: ``bubblewrap``, ``no network`` or ``nothing``."""

    kind: str
    limits: Limits = Limits()

    @property
    def warning(self) -> str | None:
        """What is not fenced off, for the user; None if everything is."""
        if self.kind == "bubblewrap":
            return None
        missing = "its files are" if self.kind == "no network" else "its files and the network are"
        return f"sources are built without a sandbox: {missing} open to them; install bubblewrap"

    def path(self, root: Path) -> str:
        """Return what *root* is called inside."""
        return INSIDE if self.kind == "bubblewrap" else str(root)

    def run(
        self,
        command: Sequence[str],
        *,
        root: Path,
        directory: str,
        log: Path,
        visible: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        environment: Mapping[str, str],
    ) -> int:
        """Run *command* in *directory*, a path inside, and return its exit code.

        *visible* are directories of the host that it may read, *writable* those that it may write to. What it prints is
        added to *log*. Raise ``StoppedError`` if it goes beyond a limit.
        """
        limited = ["/bin/sh", "-c", f'ulimit -f {self.limits.file // 512}; umask 022; exec "$@"', "sh", *command]
        # Whatever the command has started holds the other end: when it is closed, all of it is gone.
        alive, held = os.pipe()
        with log.open("ab") as output, os.fdopen(alive, "rb") as ended:
            process = subprocess.Popen(
                [*self._fence(root, directory, visible, writable, environment), *limited],
                cwd=None if self.kind == "bubblewrap" else directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(held,),
            )
            os.close(held)
            try:
                return self._wait(process, root)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if self.kind != "nothing":  # there, what has left the group is out of reach
                    ended.read()

    def _fence(
        self,
        root: Path,
        directory: str,
        visible: Sequence[Path],
        writable: Sequence[Path],
        environment: Mapping[str, str],
    ) -> list[str]:
        if self.kind == "nothing":
            return []
        if self.kind == "no network":
            return ["unshare", "--user", "--map-current-user", "--net", "--pid", "--fork", "--kill-child", "--"]
        fence = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
        for name, value in environment.items():
            fence += ["--setenv", name, value]
        for place in _HOST:
            fence += ["--ro-bind-try", place, place]
        fence += ["--proc", "/proc", "--dev", "/dev", "--size", str(_TEMPORARY), "--tmpfs", "/tmp"]  # noqa: S108
        for path in visible:
            fence += ["--ro-bind", str(path), str(path)]
        for path in writable:
            fence += ["--bind", str(path), str(path)]
        return [*fence, "--bind", str(root), INSIDE, "--chdir", directory, "--"]

    def _wait(self, process: subprocess.Popen[bytes], root: Path) -> int:
        end = time.monotonic() + self.limits.seconds
        while True:
            try:
                return process.wait(_LOOK_EVERY)
            except subprocess.TimeoutExpired:
                if time.monotonic() > end:
                    raise StoppedError(f"it took longer than {self.limits.seconds:.0f} s") from None
                if (size := _memory(process.pid)) > self.limits.memory:
                    limit = self.limits.memory
                    raise StoppedError(f"it took {size / 1e6:.0f} MB of memory, more than {limit / 1e6:.0f}") from None
                if (size := _size(root)) > self.limits.disk:
                    limit = self.limits.disk
                    raise StoppedError(f"it wrote {size / 1e6:.0f} MB, more than {limit / 1e6:.0f}") from None


@functools.cache
def find_sandbox() -> Sandbox:
    """Return the best that this host allows."""
    probes = {
        "bubblewrap": ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"],
        "no network": ["unshare", "--user", "--map-current-user", "--net", "--pid", "--fork", "true"],
    }
    for kind, probe in probes.items():
        if shutil.which(probe[0]):
            answer = subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if answer.returncode == 0:
                return Sandbox(kind=kind)
    return Sandbox(kind="nothing")


def _memory(pid: int) -> int:
    """Return the resident bytes of the process *pid* and of all that it has started and that are still its own."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    except (OSError, ValueError, IndexError):
        return 0  # it has ended
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_memory, children))


def _children(task: Path) -> list[int]:
    return list(map(int, (task / "children").read_text().split()))


def _size(root: Path) -> int:
    total = 0
    for where, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512  # noqa: PTH118 - thousands of files
            except OSError:
                continue
    return total
