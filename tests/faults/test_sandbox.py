"""A container with nothing in it: CPython 3.7, the libraries it needs, the artifact; all read-only but one tmpfs.

Beside it, the root with a real set of packages in ``tests/test_end_to_end.py``, which needs the package index.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest
from support.injection import FORMS, SEEN, make
from support.interpreters import python

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=FORMS)
def bundle(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), request.param)


@functools.cache
def libraries():
    """Return the shared libraries of the interpreter and its modules, and libzstd, as the bundle carries no decoder.

    Without libgcc_s no thread of CPython 3.7 can end.
    """
    home = Path(python("3.7")).resolve().parent.parent
    found = set()
    for module in [Path(python("3.7")).resolve(), *home.glob("lib/python3.7/lib-dynload/*.so")]:
        lines = subprocess.run(["ldd", module], capture_output=True, text=True, check=False).stdout.split()
        found.update(word for word in lines if word.startswith("/") and not word.startswith(str(home)))
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout.splitlines()
    for name in ("libzstd.so.1 ", "libdl.so.2 ", "libgcc_s.so.1 "):
        found.update(line.split()[-1] for line in listed if line.strip().startswith(name))
    return sorted(found)


def sandbox(bundle, *options):
    home = Path(python("3.7")).resolve().parent.parent
    command = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--die-with-parent"]
    command += ["--clearenv", "--ro-bind", home, home, "--dev", "/dev"]
    for library in libraries():
        command += ["--ro-bind", Path(library).resolve(), library]
    artifact = "/deps.pyz" if bundle.form == "pyz" else "/deps"
    command += ["--ro-bind", bundle.path, artifact, *options, "--setenv", "PYTHONHASHSEED", "0", "--remount-ro", "/"]
    inside = bundle._replace(path=artifact)
    if bundle.form == "packed":
        command += ["--setenv", "PYTHONPATH", artifact]
    return [*map(str, command)], inside


PROC = ["--proc", "/proc"]
CACHE = ["--tmpfs", "/cache", "--chmod", "0700", "/cache", "--setenv", "BUNDLE_CACHE", "/cache"]


def test_the_sandbox_has_no_network_no_shell_and_cannot_be_written_to(bundle):
    command, _ = sandbox(bundle, *PROC, *CACHE)
    code = """
import os, socket
print(os.getuid(), os.path.exists("/bin/sh"), sorted(os.listdir("/")), end=" ")
for attempt in (lambda: open("/x", "w"), lambda: socket.create_connection(("192.0.2.1", 80), 1)):
    try: attempt()
    except OSError as error: print(error.strerror, end=", ")
open("/cache/x", "w")
"""
    answer = subprocess.run(
        [*command, python("3.7"), "-S", "-E", "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("1000 False [")
    assert answer.stdout.endswith("] Read-only file system, Network is unreachable, ")


@pytest.mark.parametrize("proc", [PROC, []], ids=["proc", "no-proc"])
def test_it_boots_and_imports_with_one_tmpfs_to_write_to(bundle, proc):
    command, inside = sandbox(bundle, *proc, *CACHE)
    answer = subprocess.run([*command, *inside.command()], capture_output=True, text=True, check=False, timeout=100)
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, SEEN, "")


def test_with_no_place_to_write_to_it_says_so_in_one_line(bundle):
    command, inside = sandbox(bundle, *PROC)
    answer = subprocess.run([*command, *inside.command()], capture_output=True, text=True, check=False, timeout=100)
    assert answer.returncode == 6, answer
    assert "there is no usable place to unpack to" in answer.stderr
    assert "Read-only file system" in answer.stderr
    assert len(answer.stderr.splitlines()) <= 2
