"""Whatever the readers are given, nothing but a ``BundleError`` comes out. scripts/fuzz runs this for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing.targets import TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st
from support.refusals import check_error, refusals

from bundler.runtime.errors import BundleError, ContentError

SCRIPT = Path(__file__).parent.parent / "scripts" / "fuzz.py"
# Inputs that have ended in another exception than a BundleError, or in another reading; the corpus has the rest.
FOUND = [
    ("wheel", b"Name: demo\nVersion: 1.0\n\xff\x00\xffWheel-Version: 1.0\nTag: py3-none-\n"),
    ("record", b"a.py,sha256=x,6\n\n\nb.py,,\n"),
    ("index", b'{"":1,"format":1}'),
    ("index", b"null"),
    (
        "target",
        '{"implementation":"c","python":"3.7.\u00b2","abi":"a","arch":"a","libc":"l","libc_version":"1.1"}'.encode(),
    ),
    ("lock", b'lock-version = "1.0"\ncreated-by = "x"\npackages = []\na = ' + b"1" * 5000),
    ("lock", b'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "a"\nversion = "' + b"1" * 5000 + b'"\n'),
    (
        "lock",
        b'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "a"\nwheels = '
        b'[{ url = "https://[::1/a-1-py3-none-any.whl", hashes = { sha256 = "%s" } }]\n' % (b"ab" * 32),
    ),
    ("installed", b'Name: demo\nVersion: 1.0\n\xff\x00\xff\xff\x00\xff{"url": "https://[::1/x"}'),
]


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_of_a_target_pass_and_some_are_accepted(name):
    accepted = [TARGETS[name].run(seed) for seed in TARGETS[name].seeds()]
    assert any(accepted), "a target that accepts nothing compares nothing"


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_is_mended(name, data):
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(max_size=3)), max_size=4), choice=st.integers(0, 99)
)
def test_a_changed_seed_is_refused_properly_or_read_the_same(name, changes, choice):
    seeds = TARGETS[name].seeds()
    data = bytearray(seeds[choice % len(seeds)])
    for at, new in changes:
        place = at % (len(data) + 1)
        data[place : place + len(new)] = new
    TARGETS[name].run(bytes(data))


@pytest.mark.parametrize("error", [BundleError("", "is wrong"), ContentError("x", ""), ContentError("x", "y" * 30_000)])
def test_an_error_that_cannot_be_shown_is_a_finding(error):
    with pytest.raises(AssertionError):
        check_error(error)


def test_another_exception_is_a_finding():
    with pytest.raises(ZeroDivisionError), refusals():
        1 / 0  # noqa: B018 - what is tested


def test_an_error_never_says_what_a_terminal_would_obey():
    error = ContentError("a\x1b[2J", "is \u202ebad", got="\x07", want="\ud800", hint="do\x9b this")
    assert str(error) == "a\\x1b[2J: is \\u202ebad; got \\x07, want \\ud800\nhint: do\\x9b this"


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_fuzzing_for_a_moment_finds_nothing(name, tmp_path):
    command = [sys.executable, SCRIPT, name, "--runs", "4000", "--seed", "7", "--corpus", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nis atheris installed? scripts/test --all installs it"
    assert "cov: " in done.stdout, "fuzzing without coverage is guessing"
