from __future__ import annotations

import io
import subprocess
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interpreters import VERSIONS, python

from bundler.archives.zip_writer import ZipWriter, zip_size

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)


def zip_of(members):
    out = io.BytesIO()
    writer = ZipWriter(out)
    for name, data in members.items():
        writer.add(name, len(data), zlib.crc32(data), [data])
    writer.finish()
    return out.getvalue()


@given(st.dictionaries(NAMES, st.binary()))
def test_zipfile_reads_what_was_written(members):
    data = zip_of(members)
    assert len(data) == zip_size((name, len(content)) for name, content in members.items())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == members


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_imports_from_it(version, tmp_path):
    path = tmp_path / "program.pyz"
    path.write_bytes(zip_of({"__main__.py": b"import mod; print(mod.value)", "mod.py": b"value = 42"}))
    answer = subprocess.run([python(version), path], capture_output=True, text=True, check=True)
    assert answer.stdout == "42\n"
