"""E40: a source that does what it should not does none of it to the user. With real bubblewrap."""

from __future__ import annotations

import shutil
import socket
import time
from dataclasses import replace

import pytest
from support.sdist_factory import make_sdist

from bundler.building import builder
from bundler.building.sandbox import Limits, find_sandbox
from bundler.runtime.errors import BundleError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _sandbox():
    if shutil.which("bwrap") is None:
        pytest.fail("bwrap is missing; apt-get install bubblewrap")
    assert find_sandbox().kind == "bubblewrap"
    assert find_sandbox().warning is None


def refused(shelf, locked, before, match):
    make_sdist(shelf, "app", "1.0", {"app.py": ""}, before=before)
    with pytest.raises(BundleError, match=match):
        locked("app")


@pytest.fixture
def home(tmp_path, monkeypatch):
    directory = tmp_path / "home"
    (directory / ".ssh").mkdir(parents=True)
    (directory / ".ssh" / "id_ed25519").write_text("secret")
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return directory


def test_it_reads_no_file_of_the_users_home(home, shelf, locked):
    refused(shelf, locked, f"open({str(home / '.ssh' / 'id_ed25519')!r})", "FileNotFoundError")


def test_it_sees_no_secret_in_its_environment(home, shelf, locked):
    refused(shelf, locked, "os.environ['AWS_SECRET_ACCESS_KEY']", "KeyError")


def test_it_finds_neither_the_passwords_of_the_host_nor_its_processes(shelf, locked):
    refused(shelf, locked, "assert os.path.exists('/etc/shadow'), 'no shadow'", "no shadow")
    refused(shelf, locked, "assert len([n for n in os.listdir('/proc') if n.isdigit()]) > 9, 'alone'", "alone")


def test_it_connects_to_nothing_not_even_to_this_host(shelf, locked):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        refused(shelf, locked, f"import socket; socket.create_connection({address!r}, 5)", "refused|unreachable")


def test_what_it_writes_elsewhere_is_gone_or_never_was(home, shelf, locked, tmp_path):
    places = [tmp_path / "outside.txt", home / "outside.txt"]
    before = "\n".join(f"try: open({str(place)!r}, 'w').write('x')\nexcept OSError: pass" for place in places)
    make_sdist(shelf, "app", "1.0", {"app.py": ""}, before=before)
    locked("app")
    assert [place for place in places if place.exists()] == []


def test_it_changes_nothing_of_the_interpreter_that_builds_it(shelf, locked):
    refused(shelf, locked, "open(os.__file__, 'a')", "Read-only file system")


def limited(monkeypatch, **limits):
    sandbox = replace(find_sandbox(), limits=replace(Limits(), **limits))
    monkeypatch.setattr(builder, "find_sandbox", lambda: sandbox)


def test_it_is_ended_when_it_takes_too_long_with_all_that_it_started(shelf, locked, monkeypatch):
    limited(monkeypatch, seconds=2.0)
    start = time.monotonic()
    refused(shelf, locked, "os.fork()\nwhile True: pass", "was stopped: it took longer than 2 s")
    assert time.monotonic() - start < 60


def test_it_is_ended_when_it_fills_the_memory(shelf, locked, monkeypatch):
    limited(monkeypatch, memory=200_000_000)
    child = "import time; held = bytearray(b'x') * 300_000_000; time.sleep(60)"
    before = f"import subprocess, sys\nsubprocess.call([sys.executable, '-c', {child!r}])"
    refused(shelf, locked, before, r"was stopped: it took \d+ MB of memory, more than 200")


def test_it_is_ended_when_it_fills_the_disk(shelf, locked, monkeypatch, cache):
    limited(monkeypatch, disk=50_000_000)
    before = "for n in range(10**9): open('fill%d' % n, 'wb').write(bytes(1 << 20))"
    refused(shelf, locked, before, "was stopped: it wrote")
    assert list((cache.root / "temporary").iterdir()) == []


def test_it_writes_no_file_larger_than_the_limit(shelf, locked, monkeypatch):
    limited(monkeypatch, file=1 << 20)
    refused(shelf, locked, "open('large', 'wb').write(bytes(1 << 22))", "exit code|File too large")


def test_an_answer_that_is_none_is_refused(shelf, locked):
    refused(shelf, locked, "os._exit(0)", "gives no answer")
