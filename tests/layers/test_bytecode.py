from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.interpreters import python, target_of

from bundler.interpreters import find_interpreter
from bundler.layers.bytecode import find_compiler
from bundler.runtime.errors import TargetError
from bundler.targets import PRESETS

SOURCE = (
    b'"""A docstring."""\nx = {"b", "a", "c", "d"}\ndef f(a, *, b=(1, 2)):\n    return frozenset({"x", "y", "z"})\n'
)


def compiler(version, jobs=2):
    found = find_compiler(target_of(version), mode="require", python=Path(python(version)), jobs=jobs, environ={})
    assert found is not None
    return found


@pytest.mark.parametrize("version", ["3.7", "3.9", "3.13"])
def test_the_target_imports_the_pyc_without_its_source_being_looked_at(version, tmp_path):
    with compiler(version) as made:
        (data,) = made.submit([("site-packages/mod.py", b"value = 42\n")]).result()
        pyc = tmp_path / Path(made.pyc_path("site-packages/mod.py")).relative_to("site-packages")
    pyc.parent.mkdir()
    pyc.write_bytes(data)
    (tmp_path / "mod.py").write_text("value = 0  # newer, and of another size\n")
    code = "import mod; print(mod.value, mod.__cached__ or '', mod.__file__)"
    answer = subprocess.run(
        [python(version), "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    value, cached, file = answer.stdout.split()
    assert value == "42"
    assert cached.endswith(pyc.name)
    assert file.endswith("mod.py")


@pytest.mark.parametrize("version", ["3.7", "3.8", "3.12", "3.13"])
def test_the_same_source_gives_the_same_bytes_in_any_order_and_process(version):
    batches = [[(f"site-packages/m{n}_{k}.py", SOURCE + b"y = %d\n" % k) for k in range(5)] for n in range(20)]
    with compiler(version, jobs=1) as one, compiler(version, jobs=4) as four:
        forward = [one.submit(batch) for batch in batches]
        backward = [four.submit(batch) for batch in reversed(batches)]
        assert [future.result() for future in forward] == [future.result() for future in reversed(backward)]


def test_no_path_of_this_host_is_in_the_bytes():
    with compiler("3.7") as made:
        (data,) = made.submit([("site-packages/mod.py", SOURCE)]).result()
    assert b"site-packages/mod.py" in data
    assert os.getcwd().encode() not in data
    assert b"/tmp" not in data


def test_a_source_that_does_not_compile_has_no_pyc():
    with compiler("3.7") as made:
        sources = [b"print 'python 2'\n", b"x = '\0'\n", b"x = 1\n"]
        old, null, fine = made.submit([(f"site-packages/{n}.py", source) for n, source in enumerate(sources)]).result()
    assert (old, null) == (b"", b"")
    assert fine != b""


def test_an_interpreter_of_another_version_is_refused():
    with pytest.raises(TargetError) as caught:
        find_compiler(target_of("3.7"), mode="auto", python=Path(python("3.8")), jobs=1, environ={})
    assert caught.value.exit_code == 5
    assert "cp38" in str(caught.value)


def test_without_an_interpreter_auto_does_without_and_require_fails():
    nowhere = {"PATH": "/nonexistent", "HOME": "/nonexistent"}
    target = PRESETS["azureml-py37"]
    assert find_compiler(target, mode="auto", python=None, jobs=1, environ=nowhere) is None
    with pytest.raises(TargetError, match="--target-python"):
        find_compiler(target, mode="require", python=None, jobs=1, environ=nowhere)


def test_never_looks_for_no_interpreter():
    assert find_compiler(target_of("3.7"), mode="never", python=Path("/nonexistent"), jobs=1, environ={}) is None


def test_finds_an_interpreter_on_path(tmp_path):
    (tmp_path / "python3.7").symlink_to(python("3.7"))
    found = find_interpreter(target_of("3.7"), python=None, environ={"PATH": str(tmp_path), "HOME": "/nonexistent"})
    assert found is not None
    assert found.path == tmp_path / "python3.7"
