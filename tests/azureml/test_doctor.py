"""What the doctor finds comes together in order, explained; what is right is left alone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support.deployment_factory import deployment, make_bundle, make_folder
from support.doctor_cases import GITIGNORE, LIB, PLAIN, REQ, Case

from bundler.azureml.doctor import diagnose
from bundler.azureml.doctoring.ignores import keeping
from bundler.azureml.doctoring.uploads import _LINKS
from bundler.runtime.errors import UsageError
from bundler.targets import PRESETS

ROOT = Path(__file__).parents[2]
CASES = [
    Case("entry-script-missing", "fails", "not in the code folder", "--entry-script", script="main.py"),
    Case("entry-script-missing", "warning", "no other entry script", "--score-dir", script=None),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)


def test_nothing_is_found_in_what_is_right(tmp_path):
    for name, form, value in (("packed", "packed", "deps"), ("tree", "tree", "deps/site-packages")):
        folder = make_folder(tmp_path / name, {"on/score.py": "", ".gitignore": GITIGNORE})
        make_bundle(folder / "on/deps", form=form)
        (folder / ".amlignore").write_text(keeping(GITIGNORE, "on/deps"))
        assert diagnose(deployment(folder, "on/score.py", **{LIB: value})) == ()
        assert diagnose(deployment(folder, "on/score.py", PYTHONPATH=f"on/{value}")) == ()
    folder = make_folder(tmp_path / "plain", PLAIN)
    assert diagnose(deployment(folder, **{LIB: "deps"})) == ()
    folder = make_folder(
        tmp_path / "wheels", {"requirements.txt": "--no-index\n--find-links wheels\n", "wheels/a.whl": ""}
    )
    assert diagnose(deployment(folder, **{REQ: "requirements.txt"})) == ()
    folder = make_folder(tmp_path / "new", PLAIN)
    assert diagnose(deployment(folder, PYTHONPATH="deps", target=PRESETS["azureml-py312"])) == ()


def test_what_was_meant_by_a_wrong_path_is_looked_at_in_the_same_run(tmp_path):
    folder = make_folder(tmp_path, {"on/score.py": "", "on/deps/a.pth": "/x\n", "on/deps/alpha.py": ""})
    findings = diagnose(deployment(folder, "on/score.py", **{LIB: "on/deps"}))
    assert [finding.name for finding in findings] == ["path-missing", "pth-is-dead"]


def test_what_fails_comes_first(tmp_path):
    folder = make_folder(tmp_path, {"copy": Path("score.py"), "gone": Path("nowhere")})
    severities = [item.severity for item in diagnose(deployment(folder, None, **{LIB: "x"}))]
    assert severities == ["fails", "fails", "warning", "warning"]


def test_a_folder_that_is_not_there_is_wrong_use(tmp_path):
    with pytest.raises(UsageError):
        diagnose(deployment(tmp_path / "nowhere"))


def names_in_the_code():
    """Return every name that a Finding can have: constants, also where one of two is chosen."""
    names = {f"symlink-{kind}" for kind in _LINKS}
    for path in [ROOT / "bundler/azureml/doctor.py", *(ROOT / "bundler/azureml/doctoring").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                (value,) = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
                if not isinstance(value, ast.JoinedStr):
                    names |= {item.value for item in ast.walk(value) if isinstance(item, ast.Constant)}
    return names


def test_every_finding_is_documented_and_tested():
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/doctor.md").read_text(), re.MULTILINE))
    tests = "\n".join(path.read_text() for path in sorted((ROOT / "tests/azureml").rglob("test_*.py")))
    assert documented == names_in_the_code()
    assert {name for name in documented if f'"{name}"' not in tests} == set()
