"""A tree that is not complete, in this process: what is asked for is there before the answer, the rest follows.

* Asked for means: a finder in front of all others sees every import by its top-level name; from Python 3.8 on an audit
  hook sees what is opened, listed, loaded or started. Both only wait; the answer is everybody else's.
* A fault in the contents ends the process, whoever finds it: one line on standard error, the report, the exit code. An
  exception would be swallowed by the first ``except ImportError``, and the program would go on without the bundle.
* The import system holds a lock while a finder waits, so nothing is imported while a part is made ready.
* Threads of our own stop before a fork and before the end: no child inherits half of one, no exit waits for the rest.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Set

from .errors import BundleError, ContentError
from .frames import processors
from .parts import Cancelled, Parts, forget_locks
from .places import Lock
from .sites import SITE_PACKAGES

# Modules that look at files by other means than opening and listing them.
_READERS_OF_METADATA = {"pkg_resources", "importlib_metadata"}
_PAUSE = 0.02
_QUIET = 0.1  # nobody asks for so long: then what nobody asked for does not get in the way of what somebody will
_NICE = 5


class Filling:
    """Makes parts of a tree ready as they are asked for, and all of them in time."""

    def __init__(self, parts: Parts, report: Dict[str, Any]) -> None:
        """Stand for *parts*; the *report* hears what was ready when."""
        self.parts = parts
        self.report = report
        self.report_path = ""
        self.names: Dict[str, Set[int]] = {}
        self._directories = parts.plan.directories
        self._metadata: Set[int] = set()
        self._started = time.monotonic()
        self._asked = self._started
        self._waits: List[Dict[str, Any]] = []
        self._seen: Set[str] = set()
        self._wanted: Set[int] = set()
        self._cancel = False
        self._workers: Dict[int, Any] = {}
        self._given_up = False
        self.add_path(SITE_PACKAGES)

    # --- what is asked for ---

    def add_path(self, directory: str) -> None:
        """Know what can be imported from *directory* of the tree, an entry of ``sys.path``."""
        plan = self.parts.plan
        start = len(directory) + 1
        for path, parts in plan.directories.items():
            if path.startswith(directory + "/"):
                name = path[start:].partition("/")[0]
                for part in parts:
                    self.names.setdefault(name, set()).update(plan.layers_for(path + "/", part))
                if name.endswith((".dist-info", ".egg-info")):
                    self._metadata.update(parts)
        files = plan.modules if directory == SITE_PACKAGES else plan.part_of.items()
        for path, part in files:
            if path.startswith(directory + "/") and "/" not in path[start:]:
                self.names.setdefault(path[start:].partition(".")[0], set()).update(plan.layers_for(path, part))

    def startup_files(self) -> FrozenSet[int]:
        """Return the parts with ``.pth`` files."""
        return frozenset(part for path, part in self.parts.plan.modules if path.endswith(".pth"))

    def top_level(self) -> List[str]:
        """Return what lies in ``site-packages``, whether it is there by now or not."""
        start = len(SITE_PACKAGES) + 1
        files = (path[start:] for path, _ in self.parts.plan.modules)
        paths = (path for path in self.parts.plan.directories if path.startswith(SITE_PACKAGES + "/"))
        return sorted(
            {*files, *(path[start:].partition("/")[0] for path in paths), "sitecustomize.py", "bundle_runtime"}
        )

    def need_module(self, name: str) -> None:
        """Return when the top-level module *name* can be found, imported and run."""
        if name in self._seen:
            return
        if name in _READERS_OF_METADATA:
            self.need(self._metadata, "metadata")
        layers = self.names.get(name)
        if layers:
            self.need(self.parts.plan.parts_of(layers), name)
            for path, finder in list(sys.path_importer_cache.items()):
                if finder is not None and path.startswith(self.parts.root) and hasattr(finder, "invalidate_caches"):
                    finder.invalidate_caches()
        self._seen.add(name)

    def need_scripts(self) -> None:
        """Return when ``bin/``, which goes onto ``PATH``, is complete."""
        self.need(self._directories.get("bin", ()), "bin", work=False)

    def need_file(self, path: Any) -> None:  # noqa: ANN401 - whatever open takes
        """Return when the file *path*, if it is one of the tree, can be read."""
        relative = self._relative(path)
        plan = self.parts.plan
        part = plan.part_of.get(relative)
        if part is not None:
            whole = relative.endswith((".so", ".dist-info/RECORD")) or ".so." in relative
            self.need(plan.parts_of(plan.layers_for(relative, part)) if whole else [part], relative)

    def need_directory(self, path: Any) -> None:  # noqa: ANN401 - whatever listdir takes
        """Return when the directory *path*, if it is one of the tree, lists all its files."""
        relative = self._relative(path)
        wanted = self._directories.get(relative)
        if wanted:
            self.need(wanted, relative)

    def _relative(self, path: Any) -> str:  # noqa: ANN401
        if isinstance(path, int) or self.parts.complete:
            return ""
        try:
            text = os.fsdecode("." if path is None else path)
        except TypeError:
            return ""
        if not text.startswith("/") or "/." in text or "//" in text:
            text = os.path.abspath(text)
        root = self.parts.root
        return text[len(root) + 1 :].rstrip("/") if text.startswith(root + "/") else ""

    def need(self, wanted: Iterable[int], why: str, *, work: bool = True) -> None:
        """Return when the parts *wanted* are ready; end the process if they cannot be.

        Without *work* no threads are started that go on afterwards.
        """
        if self.parts.complete or _thread.get_ident() in self._workers:
            return
        try:
            missing = self.parts.missing(wanted)
            if not missing:
                return
            started = time.monotonic()
            self._wanted |= missing
            if work:
                self.start_workers()
            while missing:
                progress = [n for n in sorted(missing) if n not in self.parts.ready and self.parts.add(n, wait=False)]
                missing = self.parts.missing(missing)
                if missing and not progress:
                    self.parts.add(min(missing), wait=True)
                    missing = self.parts.missing(missing)
            now = self._asked = time.monotonic()
            after, waited = round((now - self._started) * 1000, 1), round((now - started) * 1000, 1)
            self._waits.append({"what": why, "after_ms": after, "waited_ms": waited})
        except BundleError as error:
            self.fail(error)

    def fail(self, error: BundleError) -> None:
        """End the process: nothing of a bundle with a fault goes on."""
        self.write_report(error)
        os.write(2, f"bundle: python cannot go on: {error.one_line}\n".encode("utf-8", "backslashreplace"))
        os._exit(error.exit_code)

    # --- what follows in the background ---

    def start_workers(self) -> None:
        """Let the rest be made ready in threads that nothing waits for."""
        if self._workers or self._given_up or self.parts.complete:
            return
        self._cancel = False
        for _ in range(max(1, processors() - 1)):
            done = _thread.allocate_lock()
            done.acquire()
            # No threading.Thread: programs that count or join their threads find what they started.
            self._workers[_thread.start_new_thread(self._work, (done,))] = done

    def stop_workers(self) -> bool:
        """Stop the threads within a moment; tell whether there were any."""
        self._cancel = True
        workers = list(self._workers.values())
        for done in workers:
            done.acquire()
        _wait_for_end(bool(workers))
        self._workers.clear()
        return bool(workers) and not self.parts.complete

    def _work(self, done: Any) -> None:  # noqa: ANN401 - a lock
        try:
            if hasattr(os, "setpriority") and sys.platform == "linux":  # there it is the thread's alone
                os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
            while not self._cancel and not self.parts.complete:
                missing = self.parts.missing(range(len(self.parts.plan.parts)))
                if missing:
                    self._add_one(missing)
                else:
                    self._finish()
        except Cancelled:
            pass
        except ContentError as error:
            if os.path.exists(self.parts.carrier):
                self.fail(error)
            self._given_up = True
        except (BundleError, OSError):  # no room, no carrier: whoever needs it will hear of it
            self._given_up = True
        finally:
            done.release()

    def _add_one(self, missing: Set[int]) -> None:
        """Make a part ready that nobody is at, one that is waited for if there is any."""
        wanted = missing & self._wanted
        if not wanted and time.monotonic() - self._asked < _QUIET:
            time.sleep(_PAUSE / 4)
            return
        for n in sorted(wanted) or sorted(missing):
            if self.parts.add(n, wait=False, cancelled=lambda: self._cancel):
                return
        time.sleep(_PAUSE)

    def _finish(self) -> None:
        with Lock(self.parts.root + ".lock", wait=False) as lock:
            if not (lock.held and self.parts.finish()):
                time.sleep(_PAUSE)
                return
        self.write_report()

    def write_report(self, error: Optional[BundleError] = None) -> None:
        """Write the report anew, if one was asked for, with what was ready when."""
        ready = len(self.parts.plan.parts) if self.parts.complete else len(self.parts.ready)
        lazy = {"parts": len(self.parts.plan.parts), "ready": ready, "waits": list(self._waits)}
        lazy["milliseconds"] = round((time.monotonic() - self._started) * 1000, 1)
        self.report.update(lazy=lazy)
        if error is not None:
            self.report.update(error=error.one_line, exit_code=error.exit_code)
        if self.report_path:
            from .reports import write_report

            write_report(self.report_path, self.report)


def _wait_for_end(really: bool) -> None:
    """Let threads that are done leave: from 3.12 on, a fork warns of every one that the system still counts."""
    if really and sys.version_info >= (3, 12) and os.path.isdir("/proc/self/task"):
        for _ in range(100):
            if len(os.listdir("/proc/self/task")) == 1:
                return
            time.sleep(0.0001)


class Finder:
    """First on ``sys.meta_path``: finds nothing, and lets nobody look before it is there."""

    def __init__(self, filling: Filling) -> None:
        """Ask *filling*."""
        self.filling = filling

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ANN401, ARG002
        """Wait, and leave the answer to the next finder."""
        if path is None and not self.filling.parts.complete:
            self.filling.need_module(name)

    def invalidate_caches(self) -> None:
        """There are none."""


def install(filling: Filling) -> None:
    """Watch what this process asks for, and start to work."""
    import atexit

    if filling.report_path:
        from . import reports  # noqa: F401 - now, as the threads must not
    sys.meta_path.insert(0, Finder(filling))
    if sys.version_info >= (3, 8):
        sys.addaudithook(_hook_of(filling))
    was_at_work = False

    def before() -> None:
        nonlocal was_at_work
        was_at_work = filling.stop_workers()

    def after_in_parent() -> None:
        if was_at_work:
            filling.start_workers()

    def after_in_child() -> None:
        forget_locks()
        filling._workers.clear()  # noqa: SLF001 - they stayed behind

    os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)
    atexit.register(_at_exit, filling, os.getpid())
    filling.start_workers()


def _at_exit(filling: Filling, pid: int) -> None:
    filling.stop_workers()
    if os.getpid() == pid and not filling.parts.complete:
        filling.write_report()


def _hook_of(filling: Filling) -> Any:  # noqa: ANN401 - a function
    site_packages = os.path.join(filling.parts.root, SITE_PACKAGES)

    def listed(path: Any = None, *_: Any) -> None:  # noqa: ANN401
        if path == site_packages and sys._getframe(2).f_code.co_filename.startswith("<frozen importlib"):  # noqa: SLF001
            return  # the import system remembers what it sees, until the finder tells it to look again
        filling.need_directory(path)

    def started(program: Any, *_: Any) -> None:  # noqa: ANN401
        if program:
            name = os.fsdecode(program)
            filling.need_file(name if "/" in name else os.path.join(filling.parts.root, "bin", name))

    def opened(path: Any, *_: Any) -> None:  # noqa: ANN401
        filling.need_file(path)

    watched = {
        "open": opened,
        "os.listdir": listed,
        "os.scandir": listed,
        "ctypes.dlopen": opened,
        "cpython.run_file": opened,
        "subprocess.Popen": started,
        "os.exec": started,
        "os.posix_spawn": started,
    }

    def hook(event: str, arguments: Any) -> None:  # noqa: ANN401
        if event in watched and not filling.parts.complete:
            watched[event](*arguments)

    return hook
