"""D25 and D26: every call of an unpack that changes the cache kills the process or fails once; the next boot is right.

Each test is one kind of call and one fault, and goes through all calls of that kind, by their number.
"""

from __future__ import annotations

import pytest
from injection import CHANGING, READING, SEEN, boot, calls, listing, make, remove, straced, temporaries

pytestmark = pytest.mark.slow

SPACE = {"ENOSPC": "No space left on device", "EDQUOT": "Disk quota exceeded", "EIO": "Input/output error"}


@pytest.fixture(scope="module", params=["pyz", "packed"])
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


def numbers_of(seen, syscall):
    """Return the numbers of the calls of *syscall* in the cache; of openat, only where something is made."""
    return [call.number for call in seen if call.syscall == syscall and (syscall != "openat" or "O_CREAT" in call.text)]


def test_the_calls_that_are_made_to_fail_are_all_that_change_the_cache(undisturbed):
    seen, after = undisturbed
    assert {call.syscall for call in seen} - set(READING) == set(CHANGING)
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
        inject = f"inject={syscall}:signal=SIGKILL:when={number}"
        killed = boot(bundle, cache, wrap=straced(log, f"--trace={syscall}", "-e", inject))
        assert killed.returncode == 137 or killed.returncode == -9, (number, killed)
        assert calls(log, cache)[-1][:2] == (syscall, number)
        assert_next_boot_is_right(bundle, cache, after, number)
        remove(cache)


@pytest.mark.parametrize(
    ("error", "syscall"),
    [
        *(("ENOSPC", syscall) for syscall in ("mkdir", "openat", "pwrite64", "rename", "write")),
        *(("EDQUOT", syscall) for syscall in ("mkdir", "openat", "pwrite64", "write")),
        *(("EIO", syscall) for syscall in ("chmod", "close", "ftruncate", "pwrite64", "rename", "write")),
    ],
)
def test_d26_an_error_at_any_call_is_one_clear_line_or_harmless(
    bundle, undisturbed, error, syscall, tmp_path, record_property
):
    if (bundle.form, error) in {("pyz", "EDQUOT"), ("packed", "EIO")}:
        return  # the same code in both; ENOSPC goes through both
    seen, after = undisturbed
    log, cache = tmp_path / "trace", tmp_path / "cache"
    numbers = numbers_of(seen, syscall)
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
            assert answer.returncode == 6, (hit, answer)
            assert SPACE[error] in answer.stderr
            assert len(answer.stderr.splitlines()) <= 2, answer.stderr  # the hint has a line of its own
            assert answer.stderr.startswith(("error: ", "bundle: python will not start: "))
            assert answer.stdout == ""
        assert temporaries(cache) == [], hit
        assert_next_boot_is_right(bundle, cache, after, number)
        remove(cache)
    record_property("injections", len(numbers))
    record_property("refused", refused)


def assert_next_boot_is_right(bundle, cache, after, number):
    answer = boot(bundle, cache)
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, SEEN, ""), number
    assert listing(cache) == after, number
