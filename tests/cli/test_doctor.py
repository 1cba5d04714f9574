"""The command, as a user types it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import commands
from support.deployment_factory import make_folder

LIB = "AZUREML_EXTRA_PYTHON_LIB_PATH"


def bundle(*arguments, cwd, env=None):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AZUREML", "AML_"))}
    return commands.bundle("doctor", *arguments, cwd=cwd, env={**clean, **(env or {})})


def test_the_exit_code_is_1_only_if_something_would_fail(tmp_path):
    folder = make_folder(tmp_path, {"deps/alpha.py": "", "copy": Path("score.py")})
    warned = bundle("--env", f"{LIB}=deps", cwd=folder)
    assert (warned.returncode, warned.stderr) == (0, "")
    assert "warning: copy: is a symlink to a file [symlink-file]" in warned.stdout
    assert warned.stdout.splitlines()[-1].startswith("0 would fail, 1 to know about")
    failing = bundle("--score-dir", folder, "--env", f"{LIB}=dep", cwd="/")
    assert failing.returncode == 1
    assert f"type: {LIB}: deps" in failing.stdout
    (folder / "copy").unlink()
    assert bundle("--env", f"{LIB}=deps", cwd=folder).stdout.startswith("nothing found that would fail")


def test_findings_are_json_too(tmp_path):
    folder = make_folder(tmp_path, {"deps/alpha.py": "", ".gitignore": "*.py\n"})
    answer = bundle("--json", "--env", f"{LIB}=deps", cwd=folder)
    assert answer.returncode == 1
    document = json.loads(answer.stdout)
    assert document["entry_script"] == "score.py"
    assert document["target"]["python"] == "3.7.16"
    assert document["fails"] is True
    dropped = {finding["path"]: finding for finding in document["findings"]}
    assert dropped["deps"]["files"] == ["deps/alpha.py"]
    assert set(dropped["deps"]) == {"name", "severity", "path", "what", "why", "type", "files"}


def test_a_deployment_yaml_says_folder_script_settings_and_python(tmp_path):
    make_folder(tmp_path / "src", {"on/main.py": "", "on/deps/alpha.py": ""})
    (tmp_path / "deploy").mkdir()
    file = tmp_path / "deploy/blue.yml"
    file.write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json\n"
        "code_configuration:\n  code: ../src\n  scoring_script: on/main.py\n"
        "environment:\n  image: mcr.microsoft.com/azureml/minimal-ubuntu20.04-py38-cpu-inference:latest\n"
        f"environment_variables:\n  WORKER_COUNT: 2\n  {LIB}: dep\n"
    )
    answer = bundle("--deployment", file, "--json", cwd="/")
    document = json.loads(answer.stdout)
    assert (document["score_dir"], document["entry_script"]) == (str(tmp_path / "src"), "on/main.py")
    assert document["target"]["python"] == "3.8.18"
    assert [finding["type"] for finding in document["findings"]] == [f"{LIB}: deps"]
    assert bundle("--deployment", file, "--env", f"{LIB}=deps", cwd="/").returncode == 0
    other = bundle("--deployment", file, "--target", "azureml-py311", "--json", cwd="/")
    assert "image-ignores-variables" in other.stdout


def test_in_the_container_the_process_says_it_all(tmp_path):
    folder = make_folder(tmp_path / "app", {"on/score.py": "", "on/deps/alpha.py": "", ".gitignore": "*.py\n"})
    process = {"AML_APP_ROOT": str(folder), "AZUREML_ENTRY_SCRIPT": "on/score.py", LIB: "deps"}
    answer = bundle("--json", cwd="/", env=process)
    assert json.loads(answer.stdout)["score_dir"] == str(folder)
    assert answer.returncode == 0, answer.stdout
    wrong = bundle(cwd="/", env={**process, LIB: "on/deps"})
    assert (wrong.returncode, f"type: {LIB}: deps" in wrong.stdout) == (1, True)
    # Who names a folder looks at that, wherever the command runs.
    assert json.loads(bundle("--json", "--score-dir", folder, cwd="/", env=process).stdout)["fails"] is True
    assert bundle("--env-from-process", "--score-dir", folder, cwd="/", env=process).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--score-dir", "nowhere"], "is no directory"),
        (["--env", "NAME"], "NAME=VALUE"),
        (["--deployment", "list.yml"], "no mapping"),
        (["--deployment", "broken.yml"], "is not YAML"),
        (["--deployment", "variables.yml"], "environment_variables is no mapping"),
        (["--target", "azureml-py99"], "is unknown"),
    ],
)
def test_wrong_use_has_exit_code_2(arguments, words, tmp_path):
    files = {"list.yml": "- a\n", "broken.yml": "a: [\n", "variables.yml": "environment_variables: [a]\n"}
    make_folder(tmp_path, files)
    answer = bundle(*arguments, cwd=tmp_path)
    assert answer.returncode == 2, answer.stderr
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
