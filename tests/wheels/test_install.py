"""Where the files of a wheel go, and what becomes of scripts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.interpreters import python
from support.wheel_factory import make_wheel, pin_of, record_line

from bundler.runtime.documents import is_tree_path
from bundler.runtime.errors import ContentError
from bundler.wheels.install import chunks_of, files_of, record_text
from bundler.wheels.wheel_reader import Wheel

INFO = "demo-1.0.dist-info"
DATA = "demo-1.0.data"
KEPT = {f"site-packages/{INFO}/{name}" for name in ("METADATA", "WHEEL", "INSTALLER")}


def install(path, exclude=()):
    """Return path → (executable, bytes)."""
    with Wheel.open(path, pin_of(path), warn=pytest.fail) as wheel:
        files = files_of(wheel, exclude=exclude)
        assert [file.path for file in files] == sorted(file.path for file in files)
        found = {file.path: (file.executable, b"".join(chunks_of(wheel, file))) for file in files}
        assert {file.path: file.size for file in files} == {path: len(data) for path, (_, data) in found.items()}
        return found


def test_every_scheme_has_its_place(tmp_path):
    wheel = make_wheel(
        tmp_path,
        name="Demo_Pkg",
        filename="Demo_Pkg-1.0-py3-none-any.whl",
        files={
            "demo.py": b"",
            "Demo_Pkg-1.0.data/purelib/pure.py": b"",
            "Demo_Pkg-1.0.data/platlib/plat.so": b"",
            "Demo_Pkg-1.0.data/scripts/run.sh": b"#!/bin/sh\n",
            "Demo_Pkg-1.0.data/headers/demo.h": b"",
            "Demo_Pkg-1.0.data/data/share/demo/x": b"",
            "Demo_Pkg-1.0.data/data/etc/demo.conf": b"",
            "Demo_Pkg-1.0.data/data/bin/tool": b"\x7fELF",
            "Demo_Pkg-1.0.data/data/lib/python3.7/site-packages/odd.py": b"",
        },
    )
    found = {path for path in install(wheel) if ".dist-info" not in path}
    assert found == {
        "site-packages/demo.py",
        "site-packages/pure.py",
        "site-packages/plat.so",
        "bin/run.sh",
        "include/demo-pkg/demo.h",
        "share/demo/x",
        "etc/demo.conf",
        "bin/tool",
        "lib/python3.7/site-packages/odd.py",
    }


def test_bookkeeping_of_other_installers_is_replaced(tmp_path):
    names = ["RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"]
    found = install(make_wheel(tmp_path, files={f"{INFO}/{name}": b"other\n" for name in names}))
    assert set(found) == KEPT
    assert found[f"site-packages/{INFO}/INSTALLER"] == (False, b"bundler\n")


def test_shipped_bytecode_is_dropped(tmp_path):
    files = {"a.py": b"", "a.pyc": b"", "d/__pycache__/b.cpython-37.pyc": b"", "d/__pycache__/c.nbi": b""}
    assert set(install(make_wheel(tmp_path, files=files))) - KEPT == {"site-packages/a.py"}


def test_the_configuration_of_sphinx_beside_the_packages_is_dropped(tmp_path):
    """sktime and scikit-base bring one each, at the same path; one inside of a package is the package's."""
    dropped = ["docs/source/conf.py", "docs/conf.py", "doc/conf.py"]
    kept = ["docs/source/index.py", "demo/docs/conf.py", "conf.py"]
    found = install(make_wheel(tmp_path, files=dict.fromkeys([*dropped, *kept], b"x = 1\n")))
    assert found.keys() - KEPT == {f"site-packages/{path}" for path in kept}


def test_executables_are_what_the_wheel_says_and_everything_in_bin(tmp_path):
    files = {"run": b"", "plain": b"", f"{DATA}/scripts/s": b"", f"{DATA}/data/bin/b": b"", f"{DATA}/data/share/d": b""}
    found = install(make_wheel(tmp_path, files=files, modes={"run": 0o100777}))
    assert {path for path, (executable, _) in found.items() if executable} == {"site-packages/run", "bin/s", "bin/b"}


@pytest.mark.parametrize(
    ("shipped", "installed"),
    [
        (b"#!python\nx\n", b"#!/usr/bin/env python3\nx\n"),
        (b"#!pythonw\nx\n", b"#!/usr/bin/env python3\nx\n"),
        (b"#!python -E\r\nx\r\n", b"#!/usr/bin/env python3\nx\r\n"),
        (b"#!python", b"#!/usr/bin/env python3"),
        (b"#!/bin/sh\n#!python\n", b"#!/bin/sh\n#!python\n"),
        (b"\x7fELF#!python\n", b"\x7fELF#!python\n"),
        (b"", b""),
    ],
)
def test_the_first_line_of_a_shipped_script_looks_for_python_on_path(shipped, installed, tmp_path):
    found = install(make_wheel(tmp_path, files={f"{DATA}/scripts/tool": shipped}))
    assert found["bin/tool"] == (True, installed)


def test_an_entry_point_replaces_a_shipped_script_of_its_name(tmp_path):
    wheel = make_wheel(
        tmp_path, files={f"{DATA}/scripts/tool": b"old"}, entry_points="[console_scripts]\ntool = demo:main\n"
    )
    assert b"from demo import main" in install(wheel)["bin/tool"][1]


def test_a9_a_script_is_verified_before_it_is_rewritten(tmp_path):
    path = f"{DATA}/scripts/tool"
    wheel = make_wheel(
        tmp_path,
        files={path: b"#!python\n"},
        record=lambda text: text.replace(record_line(path, b"#!python\n"), record_line(path, b"#!pythan\n")),
    )
    with pytest.raises(ContentError, match="is not what RECORD promises") as caught:
        install(wheel)
    assert caught.value.rule == "A9"


@pytest.mark.parametrize("version", ["3.7", None])
@pytest.mark.parametrize("value", ["demo:main", "demo.sub:Class.method", "demo:sys [extra]"])
def test_launchers_run_anywhere_without_a_path_of_this_host(version, value, tmp_path):
    executable = python(version) if version else sys.executable
    body = b"import sys as _sys\n\ndef main():\n    print(_sys.argv[1:], __file__)\n    return 7\n\nsys = main\n"
    wheel = make_wheel(
        tmp_path / "wheels",
        files={
            "demo/__init__.py": body,
            "demo/sub.py": b"from demo import main\n\nclass Class:\n    method = staticmethod(main)\n",
        },
        entry_points=f"[console_scripts]\ntool = {value}\n",
    )
    tree = tmp_path / "a tree"
    for path, (executable_bit, data) in install(wheel).items():
        assert str(tmp_path).encode() not in data
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
        (tree / path).chmod(0o755 if executable_bit else 0o644)
    moved = tree.rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(moved / "bin" / "tool")
    result = subprocess.run(
        [executable, "-I", "-S", tmp_path / "link", "x"], capture_output=True, text=True, check=False, cwd="/"
    )
    assert (result.returncode, result.stderr) == (7, "")
    assert result.stdout.startswith(f"['x'] {moved}/site-packages/demo/")


def test_excluded_files_are_absent(tmp_path):
    wheel = make_wheel(
        tmp_path,
        files={"demo/a.py": b"", "demo/tests/t.py": b"", f"{DATA}/data/share/x": b""},
        entry_points="[console_scripts]\ntool = demo:main\nother = demo:main\n",
    )
    found = install(wheel, exclude=["*/tests/*", "share/*", "bin/tool"])
    assert {path for path in found if ".dist-info" not in path} == {"site-packages/demo/a.py", "bin/other"}


# (rule, what is wrong) → path in the wheel, and the path in the tree that --exclude takes, if that helps.
REFUSED = {
    ("A10", "unknown scheme"): (f"{DATA}/stdlib/os.py", None),
    ("A10", "no scheme"): (f"{DATA}/file", None),
    ("A10", "scheme in another case"): (f"{DATA}/Scripts/x", None),
    ("A10", "python"): (f"{DATA}/scripts/python", "bin/python"),
    ("A10", "python3.7"): (f"{DATA}/scripts/python3.7", "bin/python3.7"),
    ("A10", "Python"): (f"{DATA}/scripts/PYTHON", "bin/PYTHON"),
    ("A10", "pip"): (f"{DATA}/scripts/pip3", "bin/pip3"),
    ("A10", "activate"): (f"{DATA}/scripts/activate.csh", "bin/activate.csh"),
    ("A10", "python3.7m-config"): (f"{DATA}/scripts/python3.7-config", "bin/python3.7-config"),
    ("A10", "activate_this"): (f"{DATA}/scripts/activate_this.py", "bin/activate_this.py"),
    ("A10", "python in data"): (f"{DATA}/data/bin/python", "bin/python"),
    ("A10", "the bundle's own"): (f"{DATA}/data/.bundle/tree.json", ".bundle/tree.json"),
    ("A10", "the bundle's own, case"): (f"{DATA}/data/.BUNDLE/tree.json", ".BUNDLE/tree.json"),
    ("A10", "the bundle's own directory"): (f"{DATA}/data/.bundle", ".bundle"),
    ("A10", "site-packages by the back door"): (f"{DATA}/data/site-packages/x.pth", "site-packages/x.pth"),
    ("A5", "one place twice"): (f"{DATA}/purelib/demo.py", None),
    ("A5", "one place twice, case"): (f"{DATA}/platlib/DEMO.py", None),
    ("A5", "file and directory"): (f"{DATA}/purelib/demo.py/x.py", None),
    ("A5", "scripts twice"): (f"{DATA}/data/bin/TOOL", None),
}


@pytest.mark.parametrize(("rule", "what"), REFUSED, ids=[f"{rule}-{what.replace(' ', '-')}" for rule, what in REFUSED])
def test_refuses(rule, what, tmp_path):
    hostile, excluded = REFUSED[rule, what]
    wheel = make_wheel(
        tmp_path, files={"demo.py": b"x", hostile: b"y"}, entry_points="[console_scripts]\ntool = demo:main\n"
    )
    with pytest.raises(ContentError) as caught:
        install(wheel)
    assert (caught.value.rule, caught.value.exit_code) == (rule, 3)
    assert wheel.name in caught.value.where
    if excluded is not None:
        assert caught.value.hint == f"leave it out with --exclude '{excluded}'"
        assert excluded not in install(wheel, exclude=[excluded])


def test_record_lists_what_is_there_relative_to_site_packages():
    rows = [
        ("site-packages/demo/__init__.py", "00" * 32, 3),
        ("bin/tool", "ff" * 32, 12),
        ('site-packages/a, "b".txt', "ab" * 32, 0),
    ]
    lines = record_text(rows, INFO).decode().split("\n")
    assert lines == [
        "../bin/tool,sha256=__________________________________________8,12",
        '"a, ""b"".txt",sha256=q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s,0',
        f"{INFO}/RECORD,,",
        "demo/__init__.py,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,3",
        "",
    ]
    assert record_text(reversed(rows), INFO).decode().split("\n") == lines


NAMES = st.text("ab./_-\\:~ \u202eäPYTHON", min_size=1, max_size=12)
SCHEMES = st.sampled_from(["", *(f"{DATA}/{scheme}/" for scheme in ("purelib", "scripts", "headers", "data", "x"))])


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.tuples(SCHEMES, NAMES).map("".join), st.binary(max_size=5), max_size=4))
def test_no_accepted_path_leaves_the_tree_or_enters_what_is_ours(tmp_path_factory, files):
    wheel = make_wheel(tmp_path_factory.mktemp("wheel"), files=files)
    try:
        found = install(wheel)
    except ContentError:
        return
    for path in found:
        assert is_tree_path(path)
        assert not path.casefold().startswith(".bundle")
    inside = {path for path in found if path.startswith("site-packages/")}
    assert not {path for path in inside if path.partition("/")[2].startswith(("../", "/"))}


@pytest.mark.parametrize(
    "name", ["activate-global-python-argcomplete", "python-argcomplete-check", "pipx", "pip-audit"]
)
def test_a10_a_script_that_only_begins_like_the_interpreters_is_installed(name, tmp_path):
    wheel = make_wheel(tmp_path, files={f"{DATA}/scripts/{name}": b"#!python\n"})
    assert f"bin/{name}" in install(wheel)
