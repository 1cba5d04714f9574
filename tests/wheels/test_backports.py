"""Rule A12: a backport's module is left out where the target has its own, as pip leaves it unused."""

from __future__ import annotations

import subprocess

import pytest
from support.interpreters import python, target_of
from support.locked_wheels import options
from support.reporters import Heard
from support.wheel_factory import make_wheel, pin_of

from bundler.create import create
from bundler.locks import Lock
from bundler.runtime.demands import Demands
from bundler.runtime.errors import ContentError
from bundler.runtime.verifying import verify
from bundler.wheelhouses import create_wheelhouse
from bundler.wheels.backports import without_backports
from bundler.wheels.install import files_of
from bundler.wheels.wheel_reader import Wheel


def kept(directory, project, files, version="3.7"):
    """Return the paths in site-packages that stay, and the modules that do not."""
    path = make_wheel(directory, project, files=files)
    with Wheel.open(path, pin_of(path), warn=pytest.fail) as wheel:
        stay, modules = without_backports(wheel.name, files_of(wheel), target_of(version))
    return {name for file in stay if ".dist-info" not in (name := file.path.partition("/")[2])}, modules


LEFT_OUT = {
    "a module": ("configparser", {"configparser.py": b"", "backports/configparser/x.py": b""}, "configparser"),
    "a package": ("enum34", {"enum/__init__.py": b"", "enum/LICENSE": b""}, "enum"),
    "a package of packages": ("futures", {"concurrent/__init__.py": b"", "concurrent/futures/x.py": b""}, "concurrent"),
    "in .data": ("typing", {"typing-1.0.data/purelib/typing.py": b""}, "typing"),
}


@pytest.mark.parametrize(("project", "files", "module"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a12_all_of_the_module_is_left_out_and_nothing_else(project, files, module, tmp_path):
    files = {**files, "other.py": b"", f"{module}_more.py": b"", f"more/{module}.py": b""}
    stay, modules = kept(tmp_path, project, files)
    assert modules == (module,)
    backports = {name for name in files if name.startswith("backports/")}
    assert stay == {"other.py", f"{module}_more.py", f"more/{module}.py", *backports}


def test_a12_a_backport_stays_where_the_target_lacks_the_module(tmp_path):
    files = {"graphlib/__init__.py": b""}
    assert kept(tmp_path, "graphlib_backport", files, "3.7") == ({"graphlib/__init__.py"}, ())
    assert kept(tmp_path, "graphlib_backport", files, "3.12") == (set(), ("graphlib",))


REFUSED = {
    "a project that is no backport": ("parsers", {"configparser.py": b""}, "configparser.py"),
    "another module of a backport": ("configparser", {"configparser.py": b"", "json.py": b""}, "json.py"),
    "an extension": ("typing", {"typing.abi3.so": b""}, "typing.abi3.so"),
    "in a directory that a .pth adds": ("typing", {"lib/typing.py": b"", "x.pth": b"lib\n"}, "lib/typing.py"),
    "a .pth of a backport": ("typing", {"typing.py": b"", "x.pth": b"import evil\n"}, "x.pth"),
}


@pytest.mark.parametrize(("project", "files", "refused"), REFUSED.values(), ids=REFUSED)
def test_a12_what_else_shadows_the_standard_library_is_refused(project, files, refused, cache, tmp_path):
    lock = Lock(target=target_of("3.7"), pins=(pin_of(make_wheel(tmp_path, project, files=files)),))
    with pytest.raises(ContentError, match=refused) as caught:
        create(lock, tmp_path / "deps.pyz", options=options(cache))
    assert caught.value.rule == "A12"


def test_a12_the_standard_librarys_own_module_is_imported_and_record_lists_what_is_there(cache, tmp_path):
    files = {"configparser.py": b"raise SystemExit('not the standard library')\n", "backports_x.py": b"x = 1\n"}
    lock = Lock(target=target_of("3.7"), pins=(pin_of(make_wheel(tmp_path, "configparser", "3.7.4", files)),))
    reporter = Heard()
    bundle = create(lock, tmp_path / "deps", form="tree", options=options(cache), reporter=reporter)
    (warning,) = reporter.warnings
    assert "configparser-3.7.4-py3-none-any.whl: configparser was left out: Python 3.7 has its own" in warning
    verify(str(bundle.path), Demands(bundle.digest))
    record = (bundle.path / "site-packages/configparser-3.7.4.dist-info/RECORD").read_text()
    assert "configparser.py" not in record
    assert "configparser.cpython" not in record
    assert "backports_x.py" in record
    code = "import backports_x, configparser; print(configparser.ConfigParser.__module__)"
    command = [python("3.7"), "-c", code]
    environment = {"PYTHONPATH": str(bundle.path / "site-packages"), "BUNDLE_CACHE": str(tmp_path / "trees")}
    assert subprocess.check_output(command, text=True, env=environment) == "configparser\n"


def test_a12_a_wheelhouse_carries_a_backport_as_it_is(cache, tmp_path):
    wheel = make_wheel(tmp_path, "typing", files={"typing.py": b""})
    lock = Lock(target=target_of("3.7"), pins=(pin_of(wheel),))
    made = create_wheelhouse(lock, tmp_path / "house", options=options(cache))
    assert (made.path / "wheels" / wheel.name).read_bytes() == wheel.read_bytes()
