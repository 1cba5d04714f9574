"""A zip is read exactly, or refused with the rule that it breaks."""

from __future__ import annotations

import io
import struct
import threading
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_zips import ACCEPTED, DATA, REFUSED, A, B
from support.wheel_factory import Part, deflate, zip_of

from bundler.archives import zip_headers
from bundler.archives.portable_paths import fault_of_name, folded
from bundler.archives.zip_reader import CHUNK, Archive
from bundler.runtime.documents import is_tree_path
from bundler.runtime.errors import BundleError, ContentError


def read_all(path):
    """Read every member completely."""
    with Archive.open(path) as archive:
        return {name: b"".join(archive.chunks(member)) for name, member in archive.members.items()}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts_and_reads_what_zipfile_reads(name, tmp_path):
    path = tmp_path / "ok.whl"
    path.write_bytes(ACCEPTED[name])
    with zipfile.ZipFile(path) as theirs:
        wanted = {info.filename: theirs.read(info) for info in theirs.infolist() if not info.is_dir()}
    assert read_all(path) == wanted


def test_executable_is_any_x_bit_whatever_system_wrote_it(tmp_path):
    path = tmp_path / "x.whl"
    path.write_bytes(zip_of([A, Part("x", mode=0o100700), Part("w", mode=0o100755, central={"made_by": 20})]))
    with Archive.open(path) as archive:
        assert {name: member.executable for name, member in archive.members.items()} == {
            "a.txt": False,
            "x": True,
            "w": True,
        }


@pytest.mark.parametrize(("rule", "what"), REFUSED, ids=[f"{rule}-{what.replace(' ', '-')}" for rule, what in REFUSED])
def test_refuses(rule, what, tmp_path):
    data, where = REFUSED[rule, what]
    path = tmp_path / "hostile.whl"
    path.write_bytes(data)
    with pytest.raises(ContentError) as caught:
        read_all(path)
    assert (caught.value.rule, caught.value.exit_code) == (rule, 3)
    assert caught.value.where.startswith("hostile.whl")
    assert where in caught.value.where
    assert caught.value.hint


def test_a6_too_many_members_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_headers, "MAX_MEMBERS", 1)
    path = tmp_path / "many.whl"
    path.write_bytes(zip_of([A, B]))
    with pytest.raises(ContentError, match="more than 1 members") as caught:
        Archive.open(path)
    assert caught.value.rule == "A6"


def test_a6_more_bytes_than_the_cap_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_headers, "MAX_SIZE", 2 * len(DATA) - 1)
    path = tmp_path / "much.whl"
    path.write_bytes(zip_of([A, B]))
    with pytest.raises(ContentError, match="unpacks to 64 bytes") as caught:
        Archive.open(path)
    assert caught.value.rule == "A6"


def test_a3_a_second_signature_in_the_end_record_is_refused(tmp_path):
    """A reader that looks for the last signature would find another end record than we do."""
    start = 0x06054B50  # "PK\5\6" where the record says that the directory starts
    sizes = {"compressed": start - 31, "size": start - 31}
    member, entry = Part("a", method=0, local=sizes, central=sizes).headers(0)
    path = tmp_path / "sparse.whl"
    with path.open("wb") as file:
        file.write(member)
        file.seek(start)
        file.write(entry + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), start, 0))
    with pytest.raises(ContentError, match="one end record") as caught:
        Archive.open(path)
    assert caught.value.rule == "A3"


def test_never_more_than_the_declared_size_comes_out(tmp_path):
    path = tmp_path / "bomb.whl"
    path.write_bytes(zip_of([Part("a", DATA, packed=deflate(DATA + bytes(1 << 26)))]))
    seen = []
    with Archive.open(path) as archive, pytest.raises(ContentError):
        seen.extend(archive.chunks(archive.members["a"]))
    assert sum(map(len, seen)) <= len(DATA)


@pytest.mark.parametrize("method", [0, 8])
def test_large_members_come_in_bounded_chunks(tmp_path, method):
    data = bytes(range(256)) * (5 * CHUNK // 512) + b"end"
    path = tmp_path / "large.whl"
    path.write_bytes(zip_of([Part("a", data, method=method)]))
    with Archive.open(path) as archive:
        chunks = list(archive.chunks(archive.members["a"]))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= CHUNK


def test_threads_read_one_archive_at_once(tmp_path):
    files = {f"{n}": bytes([n]) * 3_000_000 for n in range(6)}
    path = tmp_path / "threads.whl"
    path.write_bytes(zip_of([Part(name, data, method=8 * (n % 2)) for n, (name, data) in enumerate(files.items())]))
    found = {}
    with Archive.open(path) as archive:

        def read(name):
            found[name] = b"".join(archive.chunks(archive.members[name]))

        threads = [threading.Thread(target=read, args=(name,)) for name in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == files


def test_a_missing_file_is_no_fault_of_contents(tmp_path):
    with pytest.raises(BundleError, match="cannot be read") as caught:
        Archive.open(tmp_path / "missing.whl")
    assert caught.value.exit_code == 1


# Fields that no reader of files needs: versions, time stamps, internal attributes, permissions.
INERT = {
    "local": [4, 5, 10, 11, 12, 13],
    "central": [4, 5, 6, 7, 12, 13, 14, 15, 36, 37, 38, 39, 40],
}


def test_any_flipped_bit_is_refused_or_inert(tmp_path):
    parts = [Part("a.txt", b"no repetitions"), Part("d/b.bin", bytes(range(256)), method=0)]
    data = zip_of(parts)
    wanted = {part.name: part.data for part in parts}
    path = tmp_path / "flipped.whl"
    inert = set()
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                assert read_all(path) == wanted, f"byte {at}, bit {bit} changes what is read"
            except ContentError:
                continue
            inert.add(at)
    local = [data.index(b"PK\3\4"), data.rindex(b"PK\3\4")]
    central = [data.index(b"PK\1\2"), data.rindex(b"PK\1\2")]
    harmless = {at + n for at in local for n in INERT["local"]} | {at + n for at in central for n in INERT["central"]}
    # Inert as well: the owner's permissions in the mode's upper byte, the bits behind the end of a deflate stream.
    harmless |= {at + 41 for at in central} | {local[0] + 30 + len("a.txt") + len(deflate(parts[0].data)) - 1}
    assert inert <= harmless


NAMES = st.lists(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda part: "/" not in part),
    min_size=1,
    max_size=4,
).map("/".join)
LEGAL = NAMES.filter(lambda name: fault_of_name(name) is None)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(LEGAL, st.tuples(st.binary(max_size=200), st.sampled_from([0, 8])), max_size=5))
def test_round_trip_of_legal_names_and_any_contents(tmp_path_factory, files):
    path = tmp_path_factory.mktemp("zip") / "any.whl"
    path.write_bytes(zip_of([Part(name, data, method=method) for name, (data, method) in files.items()]))
    keys = [folded(name) for name in files]
    clash = len(set(keys)) < len(keys) or any(a.startswith(b + "/") for a in keys for b in keys)
    if clash:
        with pytest.raises(ContentError) as caught:
            read_all(path)
        assert caught.value.rule == "A5"
    else:
        assert read_all(path) == {name: data for name, (data, _) in files.items()}


@settings(max_examples=400)
@given(st.one_of(NAMES, st.text(max_size=30), st.text("a./\\: ~\0", max_size=12)))
def test_no_accepted_name_leaves_the_root_and_the_runtime_takes_them_all(name):
    if fault_of_name(name) is None:
        assert is_tree_path(name)
        assert ".." not in name.split("/")
        assert not name.startswith(("/", "~/../"))
        assert "\\" not in name
        assert ":" not in name


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(ACCEPTED)),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=3),
    st.integers(0, 3),
)
def test_what_is_accepted_zipfile_reads_the_same(tmp_path_factory, name, changes, cut):
    data = bytearray(ACCEPTED[name])
    for at, value in changes:
        data[at % len(data)] = value
    data = data[: len(data) - cut]
    path = tmp_path_factory.mktemp("zip") / "any.whl"
    path.write_bytes(data)
    try:
        ours = read_all(path)
    except ContentError:
        return
    with zipfile.ZipFile(io.BytesIO(data)) as theirs:
        assert ours == {info.filename: theirs.read(info) for info in theirs.infolist() if not info.is_dir()}
