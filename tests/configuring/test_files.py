"""Which configuration file holds in a directory, and what cannot be one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundler.configuring.files import LARGEST, find, load
from bundler.runtime.errors import UsageError

TABLE = "[tool.bundle]\nlevel = 1\n"


@pytest.fixture
def deep(tmp_path):
    """A directory three below tmp_path."""
    path = tmp_path / "project" / "src" / "app"
    path.mkdir(parents=True)
    return path


def found_from(start, home=None):
    found = find(start, home)
    return found and str(found.path)


def test_the_nearest_file_above_holds(deep, tmp_path):
    (tmp_path / "bundle.toml").touch()
    assert found_from(deep) == "../../../bundle.toml"
    (tmp_path / "project" / "bundle.toml").touch()
    assert found_from(deep) == "../../bundle.toml"
    (deep / "bundle.toml").touch()
    assert found_from(deep) == "bundle.toml"


def test_a_project_file_holds_only_with_a_table_for_bundle(deep, tmp_path):
    (tmp_path / "bundle.toml").touch()
    (deep / "pyproject.toml").write_text('[project]\nname = "bundle"\n[tool.bundler]\n')
    assert found_from(deep) == "../../../bundle.toml"
    (deep / "pyproject.toml").write_text(TABLE)
    assert found_from(deep) == "pyproject.toml"
    (deep / "pyproject.toml").write_text("[ tool . bundle.bundles.train ]\n")
    assert found_from(deep) == "pyproject.toml"


def test_of_two_in_a_directory_bundle_toml_holds(deep):
    (deep / "bundle.toml").touch()
    (deep / "pyproject.toml").write_text("[tool.black]\n")
    assert find(deep, None).ignored is None
    (deep / "pyproject.toml").write_text(TABLE)
    found = find(deep, None)
    assert (str(found.path), str(found.ignored)) == ("bundle.toml", "pyproject.toml")


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_the_search_ends_with_a_checkout(deep, tmp_path, kind):
    (tmp_path / "bundle.toml").touch()
    git = tmp_path / "project" / ".git"
    git.mkdir() if kind == "directory" else git.touch()
    assert found_from(deep) is None
    (tmp_path / "project" / "bundle.toml").touch()
    assert found_from(deep) == "../../bundle.toml"


def test_the_search_ends_with_home(deep, tmp_path):
    (tmp_path / "bundle.toml").touch()
    assert found_from(deep, home=tmp_path / "project") is None
    assert found_from(deep, home=tmp_path) == "../../../bundle.toml"


def test_the_search_ends_where_another_file_system_begins(tmp_path):
    assert os.path.ismount("/dev/shm"), "another file system is needed: mount -t tmpfs tmpfs /dev/shm"
    # Nothing above /dev/shm is looked at; what is above it is not ours to change, so the mount itself has to tell.
    looked_at = []

    class Watched(type(Path())):
        def is_file(self):
            looked_at.append(str(self))
            return super().is_file()

    assert find(Watched("/dev/shm"), None) is None
    assert looked_at
    assert all(path.startswith("/dev/shm/") for path in looked_at)


def test_the_file_of_another_user_does_not_hold_where_everybody_may_write(deep, tmp_path, monkeypatch):
    (deep / "bundle.toml").touch()
    deep.chmod(0o1777)
    assert found_from(deep) == "bundle.toml"
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    if (deep / "bundle.toml").stat().st_uid == 0:  # root's files hold everywhere
        os.chown(deep / "bundle.toml", 4243, -1)
    assert found_from(deep) is None
    deep.chmod(0o755)
    assert found_from(deep) == "bundle.toml"


def test_what_is_no_file_is_none(deep):
    (deep / "bundle.toml").mkdir()
    os.mkfifo(deep / "pyproject.toml")
    assert found_from(deep) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
        (b"a = " + b"{a = " * 50_000, "is nested too deeply"),
        (b"a" + b".a" * 100_000 + b" = 1", ":1: is too long a line"),
        ("# Zürich\n".encode("latin-1"), "is not UTF-8 text; got byte 0xfc at 3"),
        ("level = 1".encode("utf-16"), "is not UTF-8 text; got byte 0xff at 0"),
        (b"#" * 10_000_000, f"is too large; want at most {LARGEST} bytes"),
        (b"level = " + b"9" * 5000, "has a value that no number and no date can have"),
        (b"level = \n", "is not TOML: Invalid value (at line 1, column 9)"),
        (b"level = 1\nlevel = 2\n", "is not TOML: Cannot overwrite a value (at line 2"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else value,
)
def test_what_cannot_be_read_is_refused(tmp_path, data, words):
    path = tmp_path / "bundle.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError) as error:
        load(path)
    assert f"{path}" in str(error.value)
    assert words in str(error.value)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "bundle.toml").write_bytes(b"\xef\xbb\xbflevel = 1\r\n")
    assert load(tmp_path / "bundle.toml") == {"level": 1}


def test_of_a_project_file_only_its_table_is_taken(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text(f'[project]\nname = "x"\n{TABLE}')
    assert load(path) == {"level": 1}
    path.write_text("[tool.black]\n")
    with pytest.raises(UsageError, match=r"has no \[tool.bundle\]"):
        load(path)
    path.write_text("[tool]\nbundle = 1\n")
    with pytest.raises(UsageError, match=r"pyproject.toml:tool.bundle: is no table"):
        load(path)
