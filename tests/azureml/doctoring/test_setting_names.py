"""Names of settings, and settings that exclude each other or leak."""

from __future__ import annotations

import pytest
from support.deployment_factory import deployment, make_folder
from support.doctor_cases import CONDA, LIB, PLAIN, REQ, Case

from bundler.azureml.doctor import diagnose

CASES = [
    # Names
    Case("variable-spelling", "fails", f"{REQ} is", f"{REQ}: x", {"AZUREML_EXTRA_REQUIRMENTS_TXT": "x"}),
    Case("variable-spelling", "fails", f"{REQ} is", f"{REQ}: x", {"AZUREML_EXTRA_REQUIREMENT_TXT": "x"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {"AZUREML_EXTRA_PYTHON_LIBS_PATH": "deps"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {"AZUREML_PYTHON_LIB_PATH": "deps"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {LIB.lower(): "deps"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {f"{LIB} ": "deps"}),
    Case("variable-spelling", "fails", f"{CONDA} is", f"{CONDA}: e", {"AZUREML_EXTRA_CONDA_YML": "e"}),
    Case("variable-spelling", "fails", f"{LIB} is", f"{LIB}: deps", {"AZUREML_EXTRA_LIBS": "deps"}),
    Case("variable-spelling", "fails", "PYTHONPATH is", "PYTHONPATH: deps", {"PYTHON_PATH": "deps"}),
    # Together
    Case("variables-exclude-each-other", "fails", f"with {LIB}", f"remove {REQ}", {LIB: "deps", REQ: "r.txt"}),
    Case("variables-exclude-each-other", "fails", f"with {LIB}", f"remove {CONDA}", {LIB: "deps", CONDA: "e.yml"}),
    Case(
        "image-ignores-variables",
        "fails",
        "Python 3.11",
        "PYTHONPATH: deps",
        {LIB: "deps"},
        PLAIN,
        target="azureml-py311",
    ),
    Case(
        "image-ignores-variables",
        "warning",
        "Python 3.9",
        "PYTHONPATH: deps",
        {LIB: "deps", "PYTHONPATH": "deps"},
        PLAIN,
        target="azureml-py39",
    ),
    # Python's own
    Case("pythonhome", "fails", "/usr", "remove PYTHONHOME", {"PYTHONHOME": "/usr"}),
    Case("pythonpath-leaks", "fails", "nobody expands", "PYTHONPATH:", {"PYTHONPATH": "deps:$PYTHONPATH"}),
    Case("pythonpath-leaks", "fails", "of this host", "PYTHONPATH:", {"PYTHONPATH": "/home/me/project"}),
    Case("pythonpath-leaks", "fails", "of this host", "PYTHONPATH:", {"PYTHONPATH": "C:\\project"}),
    Case("pythonpath-leaks", "fails", "of this host", "PYTHONPATH:", {"PYTHONPATH": "on\\deps;more"}),
    Case("pythonpath-absolute", "warning", "/opt/more", "PYTHONPATH:", {"PYTHONPATH": "/opt/more"}),
    Case(
        "pythonpath-absolute",
        "warning",
        "/var/azureml-app/deps",
        "PYTHONPATH: deps",
        {"PYTHONPATH": "/var/azureml-app/deps"},
        PLAIN,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)


def test_settings_of_azure_that_are_right_are_no_mistakes(tmp_path):
    settings = {
        "AML_APP_INSIGHTS_ENABLED": "true",
        "AML_APP_ROOT": "/var/azureml-app",
        "AZUREML_CONDA_ENVIRONMENT_PATH": "/opt/miniconda/envs/amlenv",
        "AZUREML_DEBUG_PORT": "5678",
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_INFERENCE_SERVER_HTTP_ENABLED": "True",
        "AZUREML_MODEL_DIR": "azureml-models",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
        "WORKER_COUNT": "2",
    }
    assert diagnose(deployment(make_folder(tmp_path), **settings)) == ()
