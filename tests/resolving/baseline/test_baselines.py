"""What an image has, as people can get it told."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.interpreters import python

from bundler.resolving.baseline.baselines import parse_baseline, read_baseline
from bundler.runtime.errors import BundleError, UsageError
from bundler.targets import PRESETS

FREEZE = """\
# a comment
azure-core==1.30.1
Flask===2.2.5
certifi @ file:///croot/certifi_1671487769961/work/certifi
local @ file:///wheels/local_thing-3.1-py3-none-any.whl#sha256=00
packed @ https://user:secret@example.test/packed-2.0.tar.gz
-e git+https://user:secret@example.test/repo.git@0123abc#egg=from_git
# Editable install with no version control (mine==0.1)
-e /home/me/mine
--extra-index-url https://example.test/simple
old==2004d
WARNING: the lock file is stale
"""


def versions(baseline):
    return {name: str(item.version) for name, item in baseline.packages.items()}


def test_every_kind_of_line_of_a_freeze_is_understood_or_noted():
    baseline = parse_baseline(FREEZE.encode(), "freeze.txt")
    assert versions(baseline) == {
        "azure-core": "1.30.1",
        "certifi": "None",
        "flask": "2.2.5",
        "from-git": "None",
        "local": "3.1",
        "mine": "0.1",
        "old": "None",
        "packed": "2.0",
    }
    assert baseline.notes == ("line 12 is not understood: WARNING: the lock file is stale",)
    reasons = {name: item.unknown for name, item in baseline.packages.items() if item.version is None}
    assert "pip list --format=freeze" in reasons["certifi"]
    assert "2004d" in reasons["old"]
    assert "secret" not in repr(baseline)
    assert all(item.requires is None and item.unknown for item in baseline.packages.values())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_a_windows_shell_has_written_is_read(encoding):
    assert versions(parse_baseline("a==1.0\r\nb==2.0\r\n".encode(encoding), "x")) == {"a": "1.0", "b": "2.0"}


def test_a_package_that_is_listed_twice_is_noted_and_the_first_counts():
    baseline = parse_baseline(b"a==1.0\nA==2.0\n", "x")
    assert versions(baseline) == {"a": "1.0"}
    assert baseline.notes == ("a is listed again: 2.0",)


def test_json_of_pip_list_has_versions_and_that_of_pip_inspect_requirements_too():
    listed = parse_baseline(json.dumps([{"name": "A.b", "version": "1.0"}, {"version": "2"}]).encode(), "x")
    assert versions(listed) == {"a-b": "1.0"}
    assert listed.packages["a-b"].requires is None
    assert listed.notes == ("[1] has no name and version",)
    document = {
        "installed": [
            {"metadata": {"name": "A.b", "version": "1.0", "requires_dist": ["c (<2) ; extra == 'x'", "d>dev"]}},
            {"metadata": {"name": "c", "version": "1.1"}},
            {},
        ],
        "environment": {"python_full_version": "3.7.16"},
    }
    inspected = parse_baseline(json.dumps(document).encode(), "x")
    assert versions(inspected) == {"a-b": "1.0", "c": "1.1"}
    assert [str(item) for item in inspected.packages["a-b"].requires] == ['c<2; extra == "x"']
    assert "'d>dev'" in inspected.packages["a-b"].unknown
    assert inspected.packages["c"].requires == ()
    assert inspected.packages["c"].unknown is None
    assert inspected.notes == ("installed[2] has no name and version",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "names no package"),
        (b"Usage: pip [options]\n", "names no package: line 1"),
        (b"[]", "names no package"),
        (b"{}", "names no package"),
        (b'{"installed": 3}', "names no package"),
        (b'{"installed": [3]}', r"names no package: installed\[0\]"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "nested too deeply|is not JSON"),
        (b"\xff\x00\x01", "is no text"),
    ],
)
def test_what_names_no_package_is_refused_with_what_to_type_in_the_image(data, words):
    with pytest.raises(UsageError, match=words) as caught:
        parse_baseline(data, "freeze.txt")
    assert "pip freeze" in caught.value.hint


def test_a_live_interpreter_tells_what_it_has_and_what_that_requires(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([python("3.7"), "-m", "venv", "--without-pip", venv], check=True)
    site = venv / "lib" / "python3.7" / "site-packages"
    files = {
        "new_one-1.5.dist-info/METADATA": "Name: new.one\nVersion: 1.5\nRequires-Dist: b>=2\n\nRequires-Dist: no",
        "old-2.0.egg-info/PKG-INFO": "Name: old\nVersion: 2.0\n",
        "old-2.0.egg-info/requires.txt": "a<3\n\n[:python_version < '3.8']\nb\n\n[more:os_name == 'nt']\nc\n[more]\nd",
        "plain-3.0.egg-info": "Name: plain\nVersion: 3.0\n",
        "empty-1.0.dist-info/RECORD": "",
    }
    for name, text in files.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)
    (tmp_path / "bundle" / "new_one-9.9.dist-info").mkdir(parents=True)
    (tmp_path / "bundle" / "new_one-9.9.dist-info" / "METADATA").write_text("Name: new.one\nVersion: 9.9\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path / "bundle"))
        baseline = read_baseline(str(venv / "bin" / "python"))
    assert versions(baseline) == {"new-one": "1.5", "old": "2.0", "plain": "3.0"}, "without what PYTHONPATH adds"
    assert baseline.python.startswith("3.7.")
    assert [str(item) for item in baseline.packages["new-one"].requires] == ["b>=2"]
    assert [str(item) for item in baseline.packages["old"].requires] == [
        "a<3",
        'b; python_version < "3.8"',
        'c; os_name == "nt" and extra == "more"',
        'd; extra == "more"',
    ]
    assert baseline.notes == ("a distribution without name and version is left out",)


def test_this_interpreter_lists_what_its_pip_lists():
    listed = subprocess.run(
        [sys.executable, "-I", "-m", "pip", "list", "--format=json"], capture_output=True, check=True
    ).stdout
    assert versions(read_baseline(sys.executable)) == versions(parse_baseline(listed, "pip"))


def test_a_baseline_of_another_python_is_refused():
    document = {
        "installed": [{"metadata": {"name": "a", "version": "1"}}],
        "environment": {"python_full_version": "3.8.1"},
    }
    baseline = parse_baseline(json.dumps(document).encode(), "image")
    baseline.check_target(PRESETS["azureml-py38"])
    with pytest.raises(UsageError, match=r"image: is the baseline of another Python; got 3\.8\.1, want 3\.7\.16"):
        baseline.check_target(PRESETS["azureml-py37"])


def test_a_place_that_is_no_baseline_is_an_error_that_names_it(tmp_path):
    with pytest.raises(BundleError, match="missing: cannot be read"):
        read_baseline(str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="is a directory") as caught:
        read_baseline(str(tmp_path))
    assert caught.value.hint.endswith("bin/python")
    script = tmp_path / "program"
    script.write_text("#!/bin/sh\necho 'not a python' >&2\n")
    script.chmod(0o755)
    with pytest.raises(UsageError, match="is no Python interpreter that answers; got not a python"):
        read_baseline(str(script))
    script.chmod(0o644)
    with pytest.raises(BundleError, match="cannot be run"):
        read_baseline(str(script))
