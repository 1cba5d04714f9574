"""A boot of CPython 3.7 under strace → its calls that touch the cache, any of which can be made to fail or to kill.

* strace counts the calls of one kind by process, from its start. A boot is deterministic (one processor, fixed hash
  seed, no ``.pyc`` written), so the number that a call had in an undisturbed boot is its number in the next one.
* Names in the cache are random in part, so ``strace -P`` cannot select them; the log of the undisturbed boot can.
* ``--seccomp-bpf`` would be quicker, but loses the signals that are to be injected (strace 6.1).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
from typing import NamedTuple

from support.image_factory import make_image
from support.interpreters import python, target_of

from bundler.images.carriers import write_carrier
from bundler.layers.packing import decode

LAYERS = (
    {
        "site-packages/mod.py": b"value = 42\n",
        "site-packages/pack/__init__.py": b"",
        "site-packages/pack/inner.py": b"value = 43\n",
        "site-packages/pack/data.bin": bytes(range(256)) * 400,
        "bin/tool": b"#!/usr/bin/env python3\nimport mod\nprint(mod.value)\n",
    },
    {
        "site-packages/other/__init__.py": b"value = 44\n",
        "site-packages/other/large.bin": hashlib.shake_128(b"large").digest(150_000),  # three frames
        "share/doc/text.txt": b"text",
    },
)
PROGRAM = """
import hashlib, os, sys
import mod, other, pack.inner
root = os.path.dirname(mod.__file__)
sums = [hashlib.sha256(open(os.path.join(root, n), "rb").read()).hexdigest()
        for n in ("pack/data.bin", "other/large.bin")]
print(root.startswith(os.environ["BUNDLE_CACHE"]), mod.value, pack.inner.value, other.value, *sums)
"""
SEEN = " ".join(
    [
        "True 42 43 44",
        *(
            hashlib.sha256(LAYERS[layer][f"site-packages/{name}"]).hexdigest()
            for layer, name in ((0, "pack/data.bin"), (1, "other/large.bin"))
        ),
    ]
)

FORMS = ("pyz", "packed")
REMOVING = ("rmdir", "unlink", "unlinkat")
CHANGING = ("chmod", "close", "ftruncate", "mkdir", "openat", "pwrite64", "rename", "write")
# What else a boot may call with a path or a descriptor in the cache: it changes nothing there that lasts.
READING = {"access", "dup", "dup2", "execve", "fadvise64", "fcntl", "flock", "fstat", "fstatfs", "getdents64", "ioctl"}
READING |= {"lseek", "lstat", "mmap", "newfstatat", "pread64", "read", "readlink", "readv", "stat", "statfs"}


class Bundle(NamedTuple):
    """An artifact, and how a program is started with it."""

    path: str
    form: str
    digest: str

    def command(self, program: str = PROGRAM) -> list[str]:
        if self.form == "packed":
            return [python("3.7"), "-c", program]
        return [python("3.7"), self.path, "run", "--", "python", "-c", program]

    def environment(self, cache, **changes) -> dict[str, str]:
        """Return a fixed environment; in a packed directory ``sitecustomize`` does the work, in a ``.pyz`` run does."""
        fixed = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "BUNDLE_CACHE": str(cache)}
        fixed.update({"PYTHONPATH": self.path} if self.form == "packed" else {})
        return {"PATH": os.environ["PATH"], **fixed, **changes}


def make(directory, form) -> Bundle:
    image = make_image(directory / "layers", *LAYERS, target=target_of("3.7"), decoder=b"none that loads")
    out = directory / ("deps.pyz" if form == "pyz" else "deps")
    write_carrier(image, out, form=form, force=False, decode=decode, jobs=1)
    return Bundle(str(out), form, image.digest)


def boot(bundle, cache, *, wrap=(), program=PROGRAM, **changes):
    """Run *program* with *bundle*, its command wrapped into *wrap*."""
    return subprocess.run(
        [*map(str, wrap), *bundle.command(program)],
        env=bundle.environment(cache, **changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


class Call(NamedTuple):
    """The *number*-th call of *syscall* in a boot, as strace shows it."""

    syscall: str
    number: int
    text: str


def straced(log, *options):
    """Return what to put before a command so that it runs on one processor under strace, which writes *log*."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    processors = sorted(os.sched_getaffinity(0))
    one = processors[worker % len(processors)]
    return ["taskset", "-c", str(one), "strace", "-f", "-qq", "-y", "-s", "0", "-o", str(log), *options]


def calls(log, cache) -> list[Call]:
    """Return the calls in *log* with a path or descriptor in *cache*."""
    numbers: dict[str, int] = {}
    found = []
    processes = set()
    for line in log.read_text().splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match is None:  # a signal, an exit
            continue
        processes.add(match[1])
        numbers[match[2]] = numbers.get(match[2], 0) + 1
        if f'"{cache}' in line or f"<{cache}" in line:
            found.append(Call(match[2], numbers[match[2]], line[match.start(2) :]))
    assert len(processes) == 1, "numbers are by thread: the boot must not start any"
    return found


def numbers_of(seen, syscall) -> list[int]:
    """Return the numbers of the calls of *syscall* in *seen*; of openat, only where something is made."""
    return [call.number for call in seen if call.syscall == syscall and (syscall != "openat" or "O_CREAT" in call.text)]


def listing(cache) -> dict[str, tuple[str, str]]:
    """Return every name in *cache* with its mode and the sha256 of its contents."""
    found = {}
    for directory, names, files in os.walk(cache):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            contents = ""
            if stat.S_ISREG(mode):
                with open(path, "rb") as file:
                    contents = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, cache)] = (stat.filemode(mode), contents)
    return found


def temporaries(cache) -> list[str]:
    """Return what is in *cache* itself and is neither a tree nor its marker nor its lock."""
    names = os.listdir(cache) if os.path.isdir(cache) else []
    return [name for name in names if not re.fullmatch(r"[0-9a-f]{64}(\.verified|\.lock)?", name)]


def remove(cache):
    """Remove *cache*, of which directories may be read-only."""
    for directory, _, _ in os.walk(cache):
        os.chmod(directory, 0o700)
    shutil.rmtree(cache, ignore_errors=True)
