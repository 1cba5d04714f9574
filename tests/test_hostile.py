"""The corpus of hostile inputs: each is refused with its rule, its exit code and a message that says what is wrong."""

from __future__ import annotations

import pytest
from fuzzing.targets import check_error
from hostile import wheels, zips
from interpreters import target_of
from wheel_factory import make_wheel, pin_of

from bundler.allowances import Allowances
from bundler.archives import Archive
from bundler.install import chunks_of, files_of
from bundler.layers import check_requirements
from bundler.runtime.errors import BundleError, Faults
from bundler.startup_code import check_startup_code
from bundler.wheels import Wheel


def refused(rule, says, work):
    """Do *work*, which must be refused with *rule* and with *says* in the message."""
    with pytest.raises(BundleError) as caught:
        work()
    error = caught.value
    check_error(error)
    assert {each.rule for each in (error.faults if isinstance(error, Faults) else [error])} == {rule}, error
    assert error.exit_code == 3
    assert says in str(error)


def read_zip(path):
    with Archive.open(path) as archive:
        return {name: b"".join(archive.chunks(member)) for name, member in archive.members.items()}


@pytest.mark.parametrize("name", zips.CASES)
def test_a_hostile_zip_is_refused(name, tmp_path):
    case = zips.CASES[name]
    path = tmp_path / "hostile.whl"
    path.write_bytes(case.data)
    refused(case.rule, case.says, lambda: read_zip(path))


@pytest.mark.parametrize("name", zips.ACCEPTED)
def test_an_odd_zip_is_accepted(name, tmp_path):
    path = tmp_path / "odd.whl"
    path.write_bytes(zips.ACCEPTED[name])
    assert set(read_zip(path).values()) == {zips.DATA}


def install(path):
    """Do with a wheel what ``bundle create`` does before it packs."""
    allowances = Allowances()
    with Wheel.open(path, pin_of(path), warn=pytest.fail, allowances=allowances) as wheel:
        check_requirements(wheel, target_of("3.7"))
        for file in files_of(wheel):
            chunks = list(chunks_of(wheel, file))
            check_startup_code(wheel.filename, file, chunks, target=target_of("3.7"), allowances=allowances)


@pytest.mark.parametrize("name", wheels.CASES)
def test_a_hostile_wheel_is_refused(name, tmp_path):
    case = wheels.CASES[name]
    path = make_wheel(tmp_path, **case.options)
    refused(case.rule, case.says, lambda: install(path))
