"""Files that the server takes for its own configuration."""

from __future__ import annotations

import pytest
from support.deployment_factory import deployment, make_folder
from support.doctor_cases import LIB, PLAIN, Case

from bundler.azureml.doctor import diagnose

CASES = [
    Case(
        "server-file-in-packages",
        "warning",
        "config.json",
        "--exclude 'site-packages/config.json'",
        {LIB: "t/site-packages"},
        bundles={"t": {"form": "tree", "files": {"site-packages/config.json": b"{}"}}},
    ),
    Case(
        "server-reads-file", "fails", "no JSON object", "mv config.json model_config.json", files={"config.json": "[1]"}
    ),
    Case(
        "server-reads-file",
        "fails",
        "no JSON object",
        "mv on/config.json",
        files={"on/s.py": "", "on/config.json": "x"},
        script="on/s.py",
    ),
    Case("server-reads-file", "fails", "no JSON object", "model_logging.json", files={"logging.json": ""}),
    Case("server-reads-file", "fails", "'version': 1", "model_logging.json", files={"logging.json": "{}"}),
    Case(
        "server-reads-file", "warning", "hidden_size", "model_config.json", files={"config.json": '{"hidden_size": 4}'}
    ),
    Case(
        "server-file-in-packages",
        "warning",
        "logging.json",
        "remove",
        {LIB: "deps"},
        {**PLAIN, "deps/logging.json": "{}"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)


def test_the_server_s_own_files_are_no_mistakes(tmp_path):
    files = {"config.json": '{"SCORING_TIMEOUT_MS": 6000}', "logging.json": '{"version": 1}', "on/config.json": ""}
    assert diagnose(deployment(make_folder(tmp_path, {**files, "on/score.py": ""}), "on/score.py")) == ()
