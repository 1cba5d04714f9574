"""The corpus of hostile inputs: each is refused with its rule, its exit code and a message that says what is wrong."""

from __future__ import annotations

import pytest
from hostile import carriers, documents, images, layers, wheels, zips
from support.interpreters import target_of
from support.refusals import check_error
from support.wheel_factory import make_wheel, pin_of

from bundler.archives.zip_reader import Archive
from bundler.images.verification import verify
from bundler.layers.packing import decode
from bundler.runtime import verifying
from bundler.runtime.documents import parse_json
from bundler.runtime.errors import BundleError, Faults
from bundler.wheels.allowances import Allowances
from bundler.wheels.install import chunks_of, files_of
from bundler.wheels.requires_dist import check_requires_dist
from bundler.wheels.startup_code import check_startup_code
from bundler.wheels.wheel_reader import Wheel


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
        check_requires_dist(wheel, target_of("3.7"))
        for file in files_of(wheel):
            chunks = list(chunks_of(wheel, file))
            check_startup_code(wheel.filename, file, chunks, target=target_of("3.7"), allowances=allowances)


@pytest.mark.parametrize("name", wheels.CASES)
def test_a_hostile_wheel_is_refused(name, tmp_path):
    case = wheels.CASES[name]
    path = make_wheel(tmp_path, **case.options)
    refused(case.rule, case.says, lambda: install(path))


def verify_like_the_image(path):
    return verifying.verify(str(path), decode=decode)


@pytest.mark.parametrize("name", carriers.CASES)
def test_a_hostile_pyz_is_refused(name, tmp_path):
    case = carriers.CASES[name]
    path = tmp_path / "deps.pyz"
    path.write_bytes(case.data)
    refused(case.rule, case.says, lambda: verify_like_the_image(path))


@pytest.mark.parametrize("name", layers.FRAMES)
def test_c20_a_hostile_frame_is_refused(name, tmp_path):
    case = layers.FRAMES[name]
    path = images.pack(tmp_path / "packed", frames=case.frames)
    refused("C20", case.says, lambda: verify_like_the_image(path))


@pytest.mark.parametrize("name", layers.GZIPS)
def test_a_hostile_layer_0_is_refused(name, tmp_path):
    case = layers.GZIPS[name]
    path = images.pack(tmp_path / "packed", gzip=case.gzip)
    refused(case.rule, case.says, lambda: verify_like_the_image(path))


@pytest.mark.parametrize("name", layers.TARS)
def test_c21_a_tar_that_others_read_otherwise_is_refused_by_bundle_verify(name, tmp_path):
    case = layers.TARS[name]
    path = images.pack(tmp_path / "packed", case.pieces)
    assert verify_like_the_image(path).trust == "self-consistent", "the runtime never reads a tar"
    refused("C21", case.says, lambda: verify(str(path), decode=decode))


@pytest.mark.parametrize("name", documents.JSON)
def test_b15_json_that_is_not_strict_is_refused(name):
    refused("B15", "document", lambda: parse_json(documents.JSON[name], "document"))


@pytest.mark.parametrize("name", documents.DOCUMENTS)
def test_hostile_documents_are_refused(name, tmp_path):
    case = documents.DOCUMENTS[name]
    path = images.pack(tmp_path / "packed", **{case.document: case.change})
    refused(case.rule, case.says, lambda: verify_like_the_image(path))


def test_a_bundle_that_is_packed_the_same_way_is_accepted(tmp_path):
    path = images.pack(tmp_path / "packed")
    assert verify(str(path), decode=decode).files == 4
