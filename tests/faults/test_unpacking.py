"""D25 and D26: every call of an unpack that changes the cache kills the process or fails once; the next boot is right.

Each test is one kind of call and one fault, and goes through all calls of that kind, by their number.
"""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from support.injection import (
    CHANGING,
    FORMS,
    READING,
    REMOVING,
    SEEN,
    boot,
    calls,
    listing,
    make,
    numbers_of,
    remove,
    straced,
    temporaries,
)

pytestmark = pytest.mark.slow

SAID = {"ENOSPC": "No space left on device", "EDQUOT": "Disk quota exceeded", "EIO": "Input/output error"}


@pytest.fixture(scope="module", params=FORMS)
def bundle(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), request.param)


@pytest.fixture
def undisturbed(bundle, tmp_path):
    """Boot once, traced; return the calls that touched the cache and what is in it afterwards."""
    log, cache = tmp_path / "trace", tmp_path / "cache"
    answer = boot(bundle, cache, wrap=straced(log))
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, SEEN, "")
    seen = calls(log, cache)
    after = listing(cache)
    remove(cache)
    return seen, after


def test_the_calls_that_are_made_to_fail_are_all_that_change_the_cache(undisturbed):
    seen, after = undisturbed
    assert {call.syscall for call in seen} - READING == set(CHANGING)
    assert len(numbers_of(seen, "openat")) >= 20
    assert sum(name.endswith(".py") for name in after) >= 20


@pytest.mark.parametrize("syscall", CHANGING)
def test_d25_killed_at_any_call_the_next_boot_is_right_and_cleans_up(
    bundle, undisturbed, syscall, tmp_path, record_property
):
    seen, after = undisturbed
    log, cache = tmp_path / "trace", tmp_path / "cache"
    numbers = numbers_of(seen, syscall)
    record_property("injections", len(numbers))
    assert numbers
    for number in numbers:
        kill(bundle, log, cache, syscall, number)
        assert_next_boot_is_right(bundle, cache, after, number)
        remove(cache)


def kill(bundle, log, cache, syscall, number, **changes):
    """Boot, and kill the process as it enters the *number*-th call of *syscall*, which must be one in *cache*."""
    inject = f"inject={syscall}:signal=SIGKILL:when={number}"
    killed = boot(bundle, cache, wrap=straced(log, f"--trace={syscall}", "-e", inject), **changes)
    assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (number, killed)
    assert calls(log, cache)[-1][:2] == (syscall, number)


ERRORS = [
    *((form, "ENOSPC", call) for form in FORMS for call in ("mkdir", "openat", "pwrite64", "rename", "write")),
    *(("packed", "EDQUOT", call) for call in ("mkdir", "openat", "pwrite64", "write")),
    *(("pyz", "EIO", call) for call in ("chmod", "close", "ftruncate", "pwrite64", "rename", "write")),
]


@pytest.mark.parametrize(("bundle", "error", "syscall"), ERRORS, indirect=["bundle"])
def test_d26_an_error_at_any_call_is_one_clear_line_or_harmless(
    bundle, undisturbed, error, syscall, tmp_path, record_property
):
    seen, after = undisturbed
    log, cache = tmp_path / "trace", tmp_path / "cache"
    # A close can fail where something was written: here, the files of the tree before it has its name.
    seen = [call for call in seen if syscall != "close" or ".partial-" in call.text]
    numbers = numbers_of(seen, syscall)
    assert numbers
    refused = 0
    for number in numbers:
        inject = f"inject={syscall}:error={error}:when={number}"
        answer = boot(bundle, cache, wrap=straced(log, f"--trace={syscall}", "-e", inject))
        hit = [line for line in log.read_text().splitlines() if line.endswith("(INJECTED)")]
        assert len(hit) == 1, number
        assert str(cache) in hit[0]
        if answer.returncode == 0:
            assert (answer.stdout.strip(), answer.stderr) == (SEEN, ""), number
        else:
            refused += 1
            assert_refused_for(SAID[error], answer)
        assert temporaries(cache) == [], hit
        assert_next_boot_is_right(bundle, cache, after, number)
        remove(cache)
    record_property("injections", len(numbers))
    record_property("refused", refused)


def assert_refused_for(reason, answer):
    assert answer.returncode == 6, answer
    assert reason in answer.stderr
    assert answer.stderr.startswith(("error: ", "bundle: python will not start: "))
    assert len(answer.stderr.splitlines()) <= 2, answer.stderr  # the hint may have a line of its own
    assert answer.stdout == ""


def assert_next_boot_is_right(bundle, cache, after, number):
    answer = boot(bundle, cache)
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, SEEN, ""), number
    assert listing(cache) == after, number


def damage(cache, after):
    """Change a module of the tree in *cache*, whose marker says that it was verified since the system started."""
    (name,) = (name for name in after if name.endswith("/mod.py"))
    os.chmod(cache / name, 0o644)
    (cache / name).write_text("value = 0 \n")
    return {"BUNDLE_VERIFY": "always"}


def abandon(cache, after):
    """Give the tree in *cache* the name that it has while it is written, as a boot does that was killed."""
    (name,) = (name for name in os.listdir(cache) if len(name) == 64)
    os.rename(cache / name, cache / f".{name}.partial-0123456789abcdef")
    os.unlink(cache / f"{name}.verified")
    return {}


@pytest.mark.parametrize("syscall", [*CHANGING, *REMOVING])
@pytest.mark.parametrize("prepare", [damage, abandon])
@pytest.mark.parametrize("bundle", ["packed"], indirect=True)
def test_d25_killed_while_it_removes_what_is_of_no_use_the_next_boot_is_right(
    bundle, undisturbed, prepare, syscall, tmp_path, record_property
):
    """The next boot trusts the markers that it finds, which must not speak for half a tree.

    While nothing has changed yet, there is no reason not to: what is there was verified since the system started.
    """
    _, after = undisturbed
    log, cache, kept = tmp_path / "trace", tmp_path / "cache", tmp_path / "kept"
    boot(bundle, cache)
    changes = prepare(cache, after)
    shutil.copytree(cache, kept, symlinks=True)
    before = listing(cache)
    answer = boot(bundle, cache, wrap=straced(log), **changes)
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, SEEN, "")
    assert listing(cache) == after
    seen = calls(log, cache)
    assert {call.syscall for call in seen} - READING <= {*CHANGING, *REMOVING}
    numbers = numbers_of(seen, syscall)
    if syscall not in REMOVING:  # what comes after was killed above
        numbers = numbers[: len(numbers) // 4 + 1]
    record_property("injections", len(numbers))
    assert numbers or (prepare, syscall) == (abandon, "unlink")
    for number in numbers:
        remove(cache)
        shutil.copytree(kept, cache, symlinks=True)
        kill(bundle, log, cache, syscall, number, **changes)
        if listing(cache) != before:
            assert_next_boot_is_right(bundle, cache, after, number)
