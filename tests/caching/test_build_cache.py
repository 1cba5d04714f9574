from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundler.caching.build_cache import Cache, Usage
from bundler.caching.file_locks import lock_file
from bundler.runtime.errors import BundleError

A, B, C = (hashlib.sha256(name).hexdigest() for name in (b"a", b"b", b"c"))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def put(cache, key, size=10, *, age=0.0):
    with cache.new_wheel(key) as new:
        new.path.write_bytes(bytes(size))
        path = new.publish()
    os.utime(path, (time.time() - age,) * 2)
    return path


def put_layer(cache, key, **files):
    with cache.new_layer(key) as new:
        for name, data in files.items():
            (new.path / name).write_bytes(data)
        return new.publish()


def elsewhere(cache, code):
    """Run *code* in another process, which says "ready" and then waits."""
    start = "import sys; from pathlib import Path; from bundler.caching.build_cache import Cache"
    start += "; cache = Cache(Path(sys.argv[1]))"
    program = f"{start}\n{textwrap.dedent(code)}"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(cache.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    return process


def end(process):
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("environ", "want"),
    [
        ({"BUNDLE_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/bundler"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/c"}, "/c/.cache/bundler"),
        ({"BUNDLE_CACHE_DIR": "", "HOME": "/c"}, "/c/.cache/bundler"),
    ],
)
def test_default_is_where_the_environment_says(environ, want):
    assert Cache.default(environ).root == Path(want)


def test_default_without_home_is_an_error_with_a_hint():
    with pytest.raises(BundleError, match="hint: set BUNDLE_CACHE_DIR"):
        Cache.default({})


def test_default_cache_follows_the_environment(tmp_path):
    assert Cache.default({"BUNDLE_CACHE_DIR": str(tmp_path)}).root == tmp_path
    assert Cache.default({"XDG_CACHE_HOME": str(tmp_path)}).root == tmp_path / "bundler"
    assert Path.home() in Cache.default({"HOME": str(Path.home())}).root.parents


def test_an_entry_appears_when_it_is_published(cache):
    with cache.new_wheel(A) as new:
        new.path.write_bytes(b"x")
        assert not cache.wheel(A).exists()
        assert new.path.stat().st_dev == cache.root.stat().st_dev
        assert new.publish() == cache.wheel(A)
    assert cache.wheel(A).read_bytes() == b"x"
    assert cache.wheel(A).relative_to(cache.root) == Path("wheels", A[:2], A)
    assert list((cache.root / "temporary").iterdir()) == []


def test_what_is_not_published_is_removed(cache):
    def fail():
        raise ZeroDivisionError

    for new_entry in (cache.new_wheel, cache.new_layer):
        with pytest.raises(ZeroDivisionError), new_entry(A):
            fail()
    assert list((cache.root / "temporary").iterdir()) == []
    assert cache.entry("wheels", A) is None
    assert cache.layer(A) is None


def test_a_layer_is_a_directory(cache):
    path = put_layer(cache, A, blob=b"1", other=b"22")
    assert cache.layer(A) == path
    assert (path / "other").read_bytes() == b"22"


def test_of_two_equal_layers_the_first_stays(cache):
    first = (put_layer(cache, A, blob=b"1") / "blob").stat().st_ino
    assert (put_layer(cache, A, blob=b"1") / "blob").stat().st_ino == first


def test_a_layer_replaces_a_damaged_one(cache):
    put_layer(cache, A, blob=b"1")
    assert (put_layer(cache, A, blob=b"123") / "blob").read_bytes() == b"123"
    assert list((cache.root / "temporary").iterdir()) == []


@pytest.mark.parametrize("key", ["", "../../etc", A.upper(), A[:-1], A + "\n"])
def test_a_key_is_a_digest(cache, key):
    with pytest.raises(ValueError, match="hex digits"):
        cache.wheel(key)


def test_a_root_that_is_no_directory_is_an_error_with_a_hint(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="hint: choose another"), Cache(tmp_path / "file").in_use():
        pass


def test_a_root_that_cannot_be_written_is_an_error_with_a_hint():
    with pytest.raises(BundleError, match="hint: choose another"), Cache(Path("/proc/no")).in_use():
        pass


def test_info_counts_each_kind(cache):
    assert set(cache.info().values()) == {Usage()}
    assert not cache.root.exists()
    put(cache, A, 5)
    put(cache, B, 6)
    put_layer(cache, C, blob=b"123", other=b"4")
    (cache.root / "uv" / "deep").mkdir(parents=True)
    (cache.root / "uv" / "deep" / "file").write_bytes(b"12")
    cache.part(A).write_bytes(b"1234567")
    assert cache.info() == {
        "wheels": Usage(2, 11),
        "layers": Usage(1, 4),
        "parts": Usage(1, 7),
        "uv": Usage(1, 2),
    }


def test_prune_removes_what_was_not_used(cache):
    put(cache, A, 5, age=100)
    put(cache, B, 6, age=10)
    assert cache.prune(max_age=50) == {"wheels": Usage(1, 5)}
    assert (cache.wheel(A).exists(), cache.wheel(B).exists()) == (False, True)


def test_prune_removes_the_least_recently_used_first(cache):
    put(cache, A, 4, age=20)
    put(cache, B, 4, age=30)
    put(cache, C, 4, age=10)
    assert cache.prune(max_bytes=8) == {"wheels": Usage(1, 4)}
    assert [cache.wheel(key).exists() for key in (A, B, C)] == [True, False, True]


def test_use_is_noted(cache):
    put(cache, A, age=100)
    cache.entry("wheels", A)
    assert cache.prune(max_age=50) == {}
    os.utime(put_layer(cache, B, blob=b"1"), (0, 0))
    cache.layer(B)
    assert cache.prune(max_age=50) == {}


def test_prune_removes_parts_and_leaves_uv_alone(cache):
    with cache.in_use():
        cache.part(A).write_bytes(b"1")
        (cache.root / "uv").mkdir()
    assert cache.prune(max_bytes=0) == {"parts": Usage(1, 1)}
    assert (cache.root / "uv").is_dir()


def test_clear_removes_everything_that_is_ours(cache):
    put(cache, A, 5)
    put_layer(cache, B, blob=b"1")
    (cache.root / "uv").mkdir()
    (cache.root / "wheels" / "mine.txt").touch()
    assert cache.clear() == {"wheels": Usage(1, 5), "layers": Usage(1, 1), "uv": Usage(1, 0)}
    assert set(cache.info().values()) == {Usage()}
    assert (cache.root / "wheels" / "mine.txt").exists()
    put(cache, A)


def test_nothing_is_removed_from_a_cache_in_use(cache):
    put(cache, A, age=100)
    process = elsewhere(cache, "with cache.in_use(): print('ready', flush=True); sys.stdin.read()")
    try:
        for remove in (cache.clear, lambda: cache.prune(max_age=0)):
            with pytest.raises(BundleError, match="another process is using"):
                remove()
        with cache.in_use():
            pass  # many can use it
    finally:
        end(process)
    assert cache.wheel(A).exists()
    assert cache.prune(max_age=50)


def test_temporary_files_of_dead_processes_are_removed_and_those_of_live_ones_stay(cache):
    code = "with cache.in_use(), cache.%s('" + A + "') as new: print('ready', flush=True); sys.stdin.read()"
    dead = [elsewhere(cache, code % name) for name in ("new_wheel", "new_layer")]
    live = elsewhere(cache, code % "new_layer")
    try:
        assert len(list((cache.root / "temporary").iterdir())) == 3
        for process in dead:
            end(process)
        with cache.in_use():
            assert len(list((cache.root / "temporary").iterdir())) == 1
    finally:
        end(live)


def test_old_parts_are_removed(cache):
    with cache.in_use():
        for key, age in ((A, 30), (B, 1)):
            cache.part(key).write_bytes(b"1")
            os.utime(cache.part(key), (time.time() - age * 86400,) * 2)
    with cache.in_use():
        assert not cache.part(A).exists()
        assert cache.part(B).exists()


def test_an_entry_is_made_by_one_at_a_time(cache):
    inside, most = 0, 0

    def make():
        nonlocal inside, most
        with cache.lock("wheels", A, wait=lambda: time.sleep(0.01)):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    with cache.in_use():
        threads = [threading.Thread(target=make) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1


def test_waiting_for_a_lock_can_be_given_up(cache):
    def give_up():
        raise TimeoutError

    with ExitStack() as stack:
        stack.enter_context(cache.in_use())
        stack.enter_context(cache.lock("wheels", A, wait=give_up))
        with pytest.raises(TimeoutError), cache.lock("wheels", A, wait=give_up):
            pass
        with cache.lock("wheels", B, wait=give_up):
            pass


def test_a_lock_ends_with_its_process(cache, tmp_path):
    code = """
        from bundler.caching.file_locks import lock_file
        lock_file(cache.root)
        print("ready", flush=True)
        sys.stdin.read()
    """
    process = elsewhere(Cache(tmp_path / "lock"), code)
    assert lock_file(tmp_path / "lock") is None
    end(process)
    lock = lock_file(tmp_path / "lock")
    assert lock is not None
    os.close(lock)
