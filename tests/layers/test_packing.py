from __future__ import annotations

import hashlib
import io
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.archives.tar_writer import padding, tar_header
from bundler.layers.packing import Packer
from bundler.runtime.indexes import directories_of

NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60).map(lambda name: f"site-packages/{name}")
FILES = st.dictionaries(NAMES, st.binary(max_size=9000), max_size=12)


def pack(files, *, frame_size=4096, jobs=1):
    blob = io.BytesIO()
    with ThreadPoolExecutor(jobs) as executor:
        packer = Packer(blob, level=3, frame_size=frame_size, executor=executor, ahead=jobs)
        packer.add_directories(directories_of(files))
        for path, data in sorted(files.items()):
            sha256 = hashlib.sha256(data).hexdigest()
            packer.add(path, size=len(data), sha256=sha256, executable=False, chunks=[data[:100], data[100:]])
        return packer.finish(), blob.getvalue()


def unpacked(packed, blob):
    out, at = b"", 0
    for frame in packed.descriptor.frames:
        piece = blob[at : at + frame.size]
        assert hashlib.sha256(piece).hexdigest() == frame.sha256
        out += zstandard.ZstdDecompressor().decompress(piece, max_output_size=frame.raw)
        at += frame.size
    assert at == len(blob) == packed.descriptor.size
    return out


@settings(max_examples=60, deadline=None)
@given(FILES)
def test_a_layer_is_a_tar_and_its_offsets_lead_to_its_files(files):
    packed, blob = pack(files)
    tar = unpacked(packed, blob)
    assert packed.diff_id == "sha256:" + hashlib.sha256(tar).hexdigest()
    assert packed.size == len(tar)
    assert {file.path: tar[file.offset : file.offset + file.size] for file in packed.files} == files
    with tarfile.open(fileobj=io.BytesIO(tar)) as reader:
        read = {member.name: reader.extractfile(member).read() for member in reader if member.isfile()}
    assert read == files


@settings(max_examples=60, deadline=None)
@given(FILES)
def test_frames_end_at_file_boundaries_unless_a_file_is_larger_than_one(files):
    packed, _ = pack(files)
    cuts = [0]
    for frame in packed.descriptor.frames:
        assert frame.raw <= 4096
        cuts.append(cuts[-1] + frame.raw)
    for file in packed.files:
        inside = [cut for cut in cuts if file.offset < cut < file.offset + file.size]
        whole = len(tar_header(file.path, file.size)) + file.size + len(padding(file.size))
        assert not inside or whole > 4096


@given(st.integers(1, 4))
@settings(max_examples=4, deadline=None)
def test_the_number_of_jobs_does_not_change_a_byte(jobs):
    generator = random.Random(3)
    files = {f"site-packages/{n}": generator.randbytes(generator.randrange(9000)) for n in range(40)}
    assert pack(files, jobs=jobs) == pack(files, jobs=1)


@pytest.mark.slow  # needs the zstd program
def test_zstd_itself_reads_a_layer(tmp_path):
    import subprocess

    packed, blob = pack({"site-packages/a": b"a" * 10_000, "site-packages/b": b"b"})
    (tmp_path / "layer.zst").write_bytes(blob)
    subprocess.run(["zstd", "-q", "-d", tmp_path / "layer.zst", "-o", tmp_path / "layer.tar"], check=True)
    listed = subprocess.run(["tar", "-tvf", tmp_path / "layer.tar"], capture_output=True, text=True, check=True).stdout
    assert "-rw-r--r-- 0/0" in listed
    assert "1970-01-01" in listed
    assert hashlib.sha256((tmp_path / "layer.tar").read_bytes()).hexdigest() == packed.diff_id[7:]


@pytest.mark.parametrize(
    "path", ["site-packages/" + "d/" * 60 + "name", "site-packages/" + "x" * 200, "site-packages/ünï"]
)
def test_long_and_foreign_names_survive_in_the_tar(path):
    packed, blob = pack({path: b"data"})
    with tarfile.open(fileobj=io.BytesIO(unpacked(packed, blob))) as reader:
        assert path in reader.getnames()
