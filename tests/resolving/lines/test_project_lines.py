"""Each way to write down a project that is no wheel and no name."""

from __future__ import annotations

import pytest

from bundler.resolving.lines.project_lines import ProjectLine, elsewhere, parse_project_line


@pytest.fixture
def base(tmp_path):
    (tmp_path / "proj").mkdir()
    (tmp_path / "app-1.0.tar.gz").write_bytes(b"")
    return tmp_path


URL = "https://example.test/app"
LINES = {
    "-e ./proj": ("directory", {"editable": True}),
    "-e proj": ("directory", {"editable": True}),
    "--editable=./proj[more]": ("directory", {"editable": True, "extras": "[more]"}),
    "./proj": ("directory", {}),
    "proj/": ("directory", {}),
    "app[more] @ file://BASE/proj ; python_version < '3.8'": (
        "directory",
        {"name": "app", "extras": "[more]", "marker": "python_version < '3.8'"},
    ),
    "./app-1.0.tar.gz": ("archive", {}),
    "app-1.0.tar.gz": ("archive", {}),
    "app @ file://BASE/app-1.0.tar.gz": ("archive", {"name": "app"}),
    f"{URL}-1.0.zip": ("remote", {"place": f"{URL}-1.0.zip"}),
    f"app @ {URL}-1.0.tar.gz#sha256=abc": ("remote", {"name": "app", "place": f"{URL}-1.0.tar.gz", "sha256": "abc"}),
    f"git+{URL}.git": ("git", {"place": f"{URL}.git"}),
    f"git+{URL}.git@v1#egg=app[more]&subdirectory=py": (
        "git",
        {"name": "app", "extras": "[more]", "place": f"{URL}.git", "revision": "v1", "subdirectory": "py"},
    ),
    "app @ git+ssh://git@example.test/app.git@main": (
        "git",
        {"name": "app", "place": "ssh://git@example.test/app.git", "revision": "main"},
    ),
    "-e git+file:///srv/app@0123abc#egg=app": (
        "git",
        {"name": "app", "place": "file:///srv/app", "revision": "0123abc", "editable": True},
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_means_the_project(line, base):
    kind, fields = LINES[line]
    place = {"directory": str(base / "proj"), "archive": str(base / "app-1.0.tar.gz")}.get(kind, "")
    found = parse_project_line(line.replace("BASE", str(base)), base)
    assert found == ProjectLine(kind=kind, **{"place": place, **fields})


@pytest.mark.parametrize(
    "line",
    [
        *("proj", "proj==1.0", "./a-1.0-py3-none-any.whl", f"a @ {URL}-1.0-py3-none-any.whl", "-r a"),
        "proj==1.0" + f"      --hash=sha256:{'0' * 64}" * 80,  # longer than a file name can be
    ],
)
def test_a_name_or_a_wheel_is_no_project(line, base):
    assert parse_project_line(line, base) is None


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("attrs @ file:///croot/attrs_1668696182826/work", "attrs"),
        ("numpy @ file:///tmp/build/80754af9/numpy_and_numpy_base_1620831194891/work", "numpy"),
        ("torch @ file:///home/me/torch-1.9.0+cu111-cp37-cp37m-linux_x86_64.whl", "torch==1.9.0+cu111"),
        ("app @ file:///C:/work/app-2.1.tar.gz", "app==2.1"),
        ("x[y] @ file:///nowhere ; sys_platform == 'linux'", "x[y] ; sys_platform == 'linux'"),
    ],
)
def test_a_file_of_another_machine_is_read_as_what_it_was(line, meant, base):
    assert elsewhere(line, base) == meant
    assert elsewhere(line.replace("file:///", "https://example.test/"), base) is None
