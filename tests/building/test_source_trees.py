"""An archive of a source is opened only where nothing in it leads elsewhere."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest

from bundler.building import source_trees
from bundler.building.source_trees import LEGACY_BACKEND, read_build_system, unpack
from bundler.runtime.errors import BundleError, ContentError


def tar_of(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, changes in members:
            info = tarfile.TarInfo(name)
            info.size = 4
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(b"text"))
    return out.getvalue()


def link(kind, target):
    return ("app-1.0/a", {"type": kind, "linkname": target, "size": 0})


PLAIN = ("app-1.0/setup.py", {})
REFUSED = {
    "a path that leaves it": tar_of(PLAIN, ("app-1.0/../../evil", {})),
    "a symlink into the system": tar_of(PLAIN, link(tarfile.SYMTYPE, "/etc")),
    "a symlink that leads out": tar_of(PLAIN, link(tarfile.SYMTYPE, "../../evil")),
    "a hard link that leads out": tar_of(PLAIN, link(tarfile.LNKTYPE, "../../evil")),
    "a symlink to its own top's parent": tar_of(PLAIN, link(tarfile.SYMTYPE, "..")),
    "a symlink that descends and climbs": tar_of(PLAIN, link(tarfile.SYMTYPE, "b/../../../evil")),
    "a file behind a symlink": tar_of(PLAIN, link(tarfile.SYMTYPE, "b"), ("app-1.0/a/x", {})),
    "a file in the place of a symlink": tar_of(PLAIN, link(tarfile.SYMTYPE, "setup.py"), ("app-1.0/a", {})),
    "a hard link to nothing": tar_of(PLAIN, link(tarfile.LNKTYPE, "app-1.0/missing")),
    "a device": tar_of(PLAIN, ("app-1.0/null", {"type": tarfile.CHRTYPE, "size": 0})),
    "a fifo": tar_of(PLAIN, ("app-1.0/fifo", {"type": tarfile.FIFOTYPE, "size": 0})),
    "two top directories": tar_of(PLAIN, ("other/setup.py", {})),
    "nothing": tar_of(),
    "no archive": b"<html>",
    "cut off": tar_of(PLAIN)[:-20],
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_archive_is_refused_with(name, tmp_path):
    path = tmp_path / "app-1.0.tar.gz"
    path.write_bytes(REFUSED[name])
    with pytest.raises(ContentError):
        unpack(path, path.name, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["app-1.0/../../evil", "/evil", "app-1.0/a\\b"])
def test_a_zip_is_refused_with_the_name(name, tmp_path):
    path = tmp_path / "app-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app-1.0/setup.py", "")
        archive.writestr(name, "")
    with pytest.raises(ContentError):
        unpack(path, path.name, tmp_path / "out")


def test_bounds_of_files_and_bytes_are_kept(tmp_path, monkeypatch):
    path = tmp_path / "app-1.0.tar.gz"
    path.write_bytes(tar_of(PLAIN, ("app-1.0/a", {})))
    monkeypatch.setattr(source_trees, "MAX_FILES", 1)
    with pytest.raises(ContentError, match="more than a source distribution may"):
        unpack(path, path.name, tmp_path / "files")
    monkeypatch.setattr(source_trees, "MAX_FILES", 9)
    monkeypatch.setattr(source_trees, "MAX_BYTES", 7)
    with pytest.raises(ContentError, match="more than a source distribution may"):
        unpack(path, path.name, tmp_path / "bytes")


def test_links_inside_and_modes_of_programs_are_kept(tmp_path):
    path = tmp_path / "app-1.0.tar.gz"
    deep = ("app-1.0/d/link", {"type": tarfile.SYMTYPE, "linkname": "../setup.py", "size": 0})
    path.write_bytes(tar_of(("app-1.0/setup.py", {"mode": 0o755}), deep, link(tarfile.LNKTYPE, "app-1.0/setup.py")))
    tree = unpack(path, path.name, tmp_path / "out")
    assert (tree / "d" / "link").read_text() == (tree / "a").read_text() == "text"
    assert stat.S_IMODE((tree / "setup.py").stat().st_mode) == 0o755


def test_a_project_without_a_directory_at_its_top_is_one_too(tmp_path):
    path = tmp_path / "uWSGI-2.0.tar.gz"
    path.write_bytes(tar_of(("setup.py", {}), ("core/a.c", {})))
    tree = unpack(path, path.name, tmp_path / "out")
    assert sorted(str(each.relative_to(tree)) for each in tree.rglob("*") if each.is_file()) == ["core/a.c", "setup.py"]


def test_modes_beyond_the_plain_ones_are_dropped(tmp_path):
    path = tmp_path / "app-1.0.tar.gz"
    path.write_bytes(tar_of(("app-1.0/setup.py", {"mode": 0o6777})))
    tree = unpack(path, path.name, tmp_path / "out")
    assert stat.S_IMODE((tree / "setup.py").stat().st_mode) & 0o7022 == 0


FLIT = '[build-system]\nrequires = ["flit"]\nbuild-backend = "flit.api"\n'


@pytest.mark.parametrize(
    ("files", "requires", "backend"),
    [
        ({"setup.py": ""}, None, LEGACY_BACKEND),
        ({"pyproject.toml": "[tool.black]\n"}, None, LEGACY_BACKEND),
        ({"pyproject.toml": FLIT}, ("flit",), "flit.api"),
    ],
)
def test_what_builds_a_project_is_what_its_pyproject_says_or_setuptools(files, requires, backend, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    system = read_build_system(tmp_path, "app 1.0")
    assert (system.requires, system.backend) == (requires, backend)


@pytest.mark.parametrize("text", ["[build-system]\n", "[build-system]\nrequires = 1\n", "[[[", "a = " + "[" * 99_999])
def test_a_pyproject_that_cannot_be_read_is_named(text, tmp_path):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(BundleError, match=r"pyproject\.toml"):
        read_build_system(tmp_path, "app 1.0")


def test_a_directory_without_a_project_says_so(tmp_path):
    with pytest.raises(BundleError, match="it is no Python project"):
        read_build_system(tmp_path, "app 1.0")
