"""D26 and D28: boots where there is no room, no place, no user, no lock, no time and no kernel that is as it was.

Real file systems, users and name spaces; a preloaded library (``shim.c``) where the kernel offers nothing: short
writes, room that is gone by the time it is needed, a clock that goes backwards.
"""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.injection import FORMS, SEEN, boot, listing, make, remove, straced, temporaries
from support.interpreters import python

pytestmark = pytest.mark.slow

MOUNTED = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


@pytest.fixture(scope="module", params=FORMS)
def bundle(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), request.param)


@pytest.fixture
def cache(tmp_path):
    path = tmp_path / "cache"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"]
    assert subprocess.run(command, check=False).returncode == 0, "gcc is missing? apt-get install gcc libc6-dev"
    return str(library)


def assert_boots(answer):
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, SEEN, "")


def assert_refused(answer, *words):
    assert answer.returncode == 6, answer
    assert answer.stdout == ""
    assert all(word in answer.stderr for word in words), answer.stderr
    assert answer.stderr.startswith(("error: ", "bundle: python will not start: "))
    assert len(answer.stderr.splitlines()) <= 2, answer.stderr


def on_tmpfs(cache, options, *then):
    """Return what to put before a command so that *cache* is a file system of its own."""
    return ["unshare", "-rm", "bash", "-c", MOUNTED, "bash", options, cache, *then]


def then_listed(cache):
    """Return what to put before a command so that the names in *cache* are printed behind it, wherever it ended."""
    return ["bash", "-c", '"$@"; code=$?; find "$0" >&2; exit $code', cache]


def left_on_tmpfs(answer, cache):
    """Take the names that ``then_listed`` has printed out of *answer*; return which of them are no tree's."""
    lines = answer.stderr.splitlines(keepends=True)
    names = [line.rstrip("\n") for line in lines if line.startswith(str(cache))]
    answer.stderr = "".join(line for line in lines if not line.startswith(str(cache)))
    return [name for name in names if "partial" in name]


@pytest.mark.parametrize("size", ["1m", "8m", "16m", "17m", "64m"])
def test_d26_a_small_disk_is_refused_before_anything_is_written(bundle, size, cache):
    answer = boot(bundle, cache, wrap=on_tmpfs(cache, f"size={size},mode=700", *then_listed(cache)))
    written = [line for line in answer.stderr.splitlines() if line.startswith(f"{cache}/")]
    left_on_tmpfs(answer, cache)
    if size in ("17m", "64m"):
        assert_boots(answer)
    else:
        assert_refused(answer, "MiB free, but", "MiB are needed", "[C23]")
        assert written == []


def test_d26_without_inodes_it_is_refused_at_whatever_point_they_end(bundle, cache, record_property):
    """Directories, lock and marker need some as well: not all is seen beforehand."""
    codes = []
    for inodes in range(1, 70):
        answer = boot(bundle, cache, wrap=on_tmpfs(cache, f"nr_inodes={inodes},mode=700", *then_listed(cache)))
        assert left_on_tmpfs(answer, cache) == []
        codes.append(answer.returncode)
        if answer.returncode:
            assert_refused(answer)
            assert "inodes free" in answer.stderr or "No space left on device" in answer.stderr
        else:
            assert_boots(answer)
    assert codes == sorted(codes, reverse=True)
    assert set(codes) == {0, 6}
    record_property("refused", codes.count(6))


def test_d26_a_disk_that_fills_up_meanwhile_is_said_to_be_full(bundle, cache, shim, record_property):
    """The check has seen room; a real file system is full after so many pages, with a short write before."""
    codes = []
    for pages in range(1, 180, 4):
        wrap = on_tmpfs(cache, f"size={pages * 4}k,mode=700", *then_listed(cache))
        answer = boot(bundle, cache, wrap=wrap, LD_PRELOAD=shim, FAULT_ROOM="1")
        assert left_on_tmpfs(answer, cache) == []
        codes.append(answer.returncode)
        if answer.returncode:
            assert_refused(answer, "No space left on device")
        else:
            assert_boots(answer)
    assert codes == sorted(codes, reverse=True)
    assert set(codes) == {0, 6}
    record_property("refused", codes.count(6))


def test_d26_files_that_may_not_grow_are_an_error_and_the_next_boot_is_right(bundle, cache):
    """RLIMIT_FSIZE: the kernel writes up to the limit, then refuses."""
    for kibibytes in (0, 1, 4, 8, 64, 100, 146, 147):
        answer = boot(bundle, cache, wrap=["bash", "-c", f'ulimit -f {kibibytes}; exec "$@"', "bash"])
        if kibibytes == 147:
            assert_boots(answer)
        else:
            assert_refused(answer, "File too large")
            assert temporaries(cache) == []
    assert_boots(boot(bundle, cache))


def test_d26_short_writes_lose_nothing(bundle, cache, tmp_path, shim):
    whole = boot(bundle, tmp_path / "other")
    assert_boots(whole)
    assert_boots(boot(bundle, cache, LD_PRELOAD=shim, FAULT_SHORT="1"))
    same = {name: entry for name, entry in listing(cache).items() if not name.endswith(".verified")}
    assert same == {name: entry for name, entry in listing(tmp_path / "other").items() if name in same}
    assert_boots(boot(bundle, cache))


@pytest.mark.parametrize(
    ("fault", "code", "seen"),
    [
        ("FAULT_SHORT", "os.write(1, b'12345678')", "1234"),
        ("FAULT_SHORT", "os.pwrite(fd, b'12345678', 0); os.lseek(fd, 0, 0); print(os.read(fd, 9))", "b'1234'\n"),
        ("FAULT_ROOM", "print(os.statvfs('/').f_bavail >> 40, os.statvfs('/').f_favail >> 40)", "1 1\n"),
        ("FAULT_CLOCK", "a = time.time(); print(round((a - time.time()) / 86400))", "1\n"),
    ],
)
def test_the_shim_does_what_it_says(fault, code, seen, shim):
    program = f"import os, time, tempfile; file = tempfile.TemporaryFile(); fd = file.fileno(); {code}"
    environment = {"LD_PRELOAD": shim, fault: "1", "PATH": os.environ["PATH"]}
    answer = subprocess.run([python("3.7"), "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout == seen


def test_c23_a_noexec_place_is_refused_when_named_and_passed_over_when_not(bundle, cache, tmp_path):
    answer = boot(bundle, cache, wrap=on_tmpfs(cache, "size=64m,mode=700,noexec"))
    assert_refused(answer, "is mounted noexec", "[C23]")
    (tmp_path / "tmp").mkdir()
    wrap = on_tmpfs(cache, "size=64m,mode=700,noexec", "env", "-u", "BUNDLE_CACHE", "BUNDLE_CACHE_IS=tmp")
    changes = {"XDG_CACHE_HOME": str(cache), "TMPDIR": str(tmp_path / "tmp")}
    program = "import mod; print(mod.__file__)"
    answer = boot(bundle, cache, wrap=wrap, program=program, **changes)
    assert answer.returncode == 0, answer
    assert answer.stdout.startswith(str(tmp_path / "tmp"))
    remove(tmp_path / "tmp")


def test_d28_a_read_only_cache_without_the_tree_is_refused(bundle, cache):
    assert_refused(boot(bundle, cache, wrap=on_tmpfs(cache, "ro,mode=700")), "is not writable", "[C23]")


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_d28_without_locks_boots_succeed_also_together(bundle, error, tmp_path):
    """Each may unpack for itself; the rename decides, and nothing is left."""
    cache = tmp_path / "cache"

    def run(n):
        wrap = straced(tmp_path / f"log-{n}", "--trace=flock", "-e", f"inject=flock:error={error}")
        return boot(bundle, cache, wrap=wrap)

    with ThreadPoolExecutor(8) as executor:
        for answer in executor.map(run, range(8)):
            assert_boots(answer)
    assert all("INJECTED" in (tmp_path / f"log-{n}").read_text() for n in range(8))
    assert temporaries(cache) == []
    assert_boots(run(9))


def test_d28_without_locks_what_a_killed_boot_has_left_does_no_harm(bundle, tmp_path):
    """It stays: nobody can tell whether its maker lives. So docs/faults.md says."""
    log, cache = tmp_path / "log", tmp_path / "cache"
    inject = ["--trace=flock,write", "-e", "inject=flock:error=ENOLCK"]
    boot(bundle, cache, wrap=straced(log, *inject, "-e", "inject=write:signal=SIGKILL:when=20"))
    (left,) = temporaries(cache)
    for _ in range(2):
        assert_boots(boot(bundle, cache, wrap=straced(log, *inject)))
    assert temporaries(cache) == [left]
    (tree,) = (name for name in os.listdir(cache) if len(name) == 64)
    remove(cache / tree)
    assert_boots(boot(bundle, cache))  # with locks: now it goes
    assert temporaries(cache) == []


def test_d28_what_a_killed_boot_of_another_bundle_has_left_goes_after_an_hour(bundle, cache):
    old, new = (cache / f".{digit * 64}.partial-0123" for digit in "ab")
    for left in (old, new):
        (left / "site-packages").mkdir(parents=True)
    os.utime(old, (0, 0))
    assert_boots(boot(bundle, cache))
    assert temporaries(cache) == [new.name]


def test_d28_a_clock_that_goes_backwards_changes_nothing(bundle, cache, tmp_path, shim):
    report = tmp_path / "report.json"
    backwards = {"LD_PRELOAD": shim, "FAULT_CLOCK": "1", "BUNDLE_REPORT": str(report)}
    decisions = []
    for _ in range(2):
        assert_boots(boot(bundle, cache, **backwards))
        decisions.append(json.loads(report.read_text())["decision"])
        report.unlink()
    future = 4_000_000_000
    for directory, names, files in os.walk(cache):
        for name in [*names, *files]:
            os.utime(os.path.join(directory, name), (future, future))
    assert_boots(boot(bundle, cache, **backwards))
    decisions.append(json.loads(report.read_text())["decision"])
    assert decisions[0] == "unpacked"
    assert "unpacked" not in decisions[1:]
    assert temporaries(cache) == []


RESTARTED = 'echo 01234567-89ab-cdef-0123-456789abcdef > "$1" && mount --bind "$1" /proc/sys/kernel/random/boot_id'
RESTARTED += ' && shift && exec "$@"'


def in_tree(change):
    """Return a function that makes *change* to the directory ``site-packages`` of a tree."""

    def make_it(tree):
        site_packages = tree / "site-packages"
        for path in (site_packages, site_packages / "pack", tree / "share"):
            path.chmod(0o755)
        change(site_packages)

    return make_it


def overwrite(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


DAMAGE = {
    "nothing": lambda _: None,
    "a changed module": lambda root: overwrite(root / "mod.py", b"value = 0 \n"),
    "a module cut short": lambda root: overwrite(root / "pack/inner.py", b""),
    "zeros after a crash": lambda root: overwrite(root / "other/large.bin", bytes(150_000)),
    "a missing module": lambda root: (root / "mod.py").unlink(),
    "an extra module": lambda root: (root / "extra.py").write_text(""),
    "an extra pyc": lambda root: (root / "mod.pyc").write_bytes(b"\0" * 16),
    "an extra pth": lambda root: (root / "extra.pth").write_text("import os\n"),
    "a symlink for a module": lambda root: ((root / "mod.py").unlink(), (root / "mod.py").symlink_to("/dev/null")),
    "a fifo for a module": lambda root: ((root / "mod.py").unlink(), os.mkfifo(root / "mod.py")),
    "a missing directory": lambda root: remove(root / "pack"),
    "a directory for a module": lambda root: ((root / "mod.py").unlink(), (root / "mod.py").mkdir()),
    "a set-id bit": lambda root: (root / "mod.py").chmod(0o4444),
    "a file that cannot be read": lambda root: ((root / "mod.py").unlink(), (root / "mod.py").symlink_to("mod.py")),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_d28_after_a_restart_damage_is_found_and_repaired(bundle, name, cache, tmp_path):
    """The kernel really has another boot id, for this process."""
    assert_boots(boot(bundle, cache))
    after = listing(cache)
    (tree,) = (path for path in cache.iterdir() if len(path.name) == 64)
    in_tree(DAMAGE[name])(tree)
    report = tmp_path / "report.json"
    wrap = ["unshare", "-rm", "bash", "-c", RESTARTED, "bash", tmp_path / "boot-id"]
    assert_boots(boot(bundle, cache, wrap=wrap, BUNDLE_REPORT=str(report)))
    facts = json.loads(report.read_text())
    if bundle.form == "packed":  # in the other, the start that follows "run" writes the report once more
        assert facts["decision"] == ("verified again" if name == "nothing" else "unpacked")
    marker = f"{tree.name}.verified"
    now = listing(cache)
    assert now.pop(marker) != after.pop(marker)
    assert {k: v[1] for k, v in now.items()} == {k: v[1] for k, v in after.items()}


def test_d28_umask_000_leaves_no_door_above_the_cache(bundle, tmp_path):
    """A parent to which others may write would let them put another directory in the place of the cache."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in bundle.environment("").items() if key != "BUNDLE_CACHE"}
    program = "import mod; print(mod.__file__)"
    answer = subprocess.run(
        bundle.command(program),
        env={**environment, "HOME": str(home)},
        umask=0,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith(f"{home}/.cache/bundler/trees/")
    for directory, _, _ in os.walk(home / ".cache"):
        assert os.stat(directory).st_mode & 0o022 == 0, directory


@pytest.mark.parametrize("home", [None, "/nonexistent", "/", "relative", ""])
def test_d28_no_home_that_serves_and_no_passwd_entry(bundle, home, tmp_path):
    """uid 12345, whom nobody knows, in a root that is read-only but for /tmp."""
    command = ["bwrap", "--unshare-all", "--uid", "12345", "--gid", "12345", "--cap-drop", "ALL", "--die-with-parent"]
    command += ["--ro-bind", "/", "/", "--tmpfs", "/tmp", "--ro-bind", bundle.path, "/tmp/deps.pyz", "--chdir", "/"]
    environment = {"PATH": os.environ["PATH"], **({} if home is None else {"HOME": home})}
    if bundle.form == "packed":
        environment["PYTHONPATH"] = "/tmp/deps.pyz"
    program = "import mod, os; print(mod.__file__, os.getuid())"
    inside = bundle._replace(path="/tmp/deps.pyz").command(program)
    answer = subprocess.run(
        [*command, *inside], env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert answer.returncode == 0, answer.stderr
    path, uid = answer.stdout.split()
    assert (path.startswith("/tmp/bundler-12345/"), uid) == (True, "12345")
