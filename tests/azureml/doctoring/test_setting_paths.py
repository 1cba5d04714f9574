"""Where settings lead: to nothing, elsewhere, or to what they cannot use."""

from __future__ import annotations

import pytest
from support.doctor_cases import CONDA, LIB, PLAIN, REQ, Case

CASES = [
    # PYTHONPATH
    Case("path-missing", "fails", "names deps", "bundle create", {"PYTHONPATH": "deps"}),
    # Where LIB_PATH leads to
    Case("path-missing", "fails", "exits with 97", "bundle create", {LIB: "deps"}),
    Case("path-missing", "fails", "relative to the directory", f"{LIB}: deps", {LIB: "dpes"}, PLAIN),
    Case(
        "path-missing",
        "fails",
        "on/on/deps is not there",
        f"{LIB}: deps",
        {LIB: "on/deps"},
        {"on/score.py": "", "on/deps/alpha.py": ""},
        script="on/score.py",
    ),
    Case(
        "path-missing",
        "fails",
        "on/deps is not there",
        f"{LIB}: ../deps",
        {LIB: "deps"},
        {"on/score.py": "", **PLAIN},
        script="on/score.py",
    ),
    Case("path-unusable", "fails", "nothing", "AZUREML", {LIB: ""}),
    Case("path-unusable", "fails", "several directories", f"{LIB}: a and PYTHONPATH: b", {LIB: "a:b"}),
    Case("path-unusable", "fails", "nobody expands", f"{LIB}: deps", {LIB: "$HOME/deps"}),
    Case("path-unusable", "fails", "nobody expands", f"{LIB}: deps", {LIB: "onlinescoring\\deps"}),
    Case("path-unusable", "fails", "a file", f"{REQ}: r.txt", {LIB: "r.txt"}, {"r.txt": "--no-index\n"}),
    Case("path-unusable", "fails", "a file", "bundle create", {LIB: "deps.zip"}, {"deps.zip": "PK"}),
    Case("path-unusable", "fails", "a file", "--format packed", {LIB: "d.pyz"}, bundles={"d.pyz": {"form": "pyz"}}),
    Case("path-absolute", "fails", "absolute", f"{LIB}: deps", {LIB: "/var/azureml-app/deps"}, PLAIN),
    Case("path-absolute", "warning", "absolute", f"{LIB}: deps", {LIB: "/deps"}, PLAIN),
    Case("path-outside", "warning", "leads out", f"{LIB}: deps", {LIB: "../../mnt/deps"}),
    Case("path-outside", "fails", "leads out", f"{LIB}: beside", {LIB: "../beside"}, {"../beside/alpha.py": ""}),
    # Requirements
    Case(
        "path-missing",
        "fails",
        "exits with 99",
        f"{REQ}: requirements.txt",
        {REQ: "requirments.txt"},
        {"requirements.txt": ""},
    ),
    Case("path-missing", "fails", "exits with 99", "put the file", {REQ: "r.txt"}),
    Case("path-missing", "fails", "exits with 98", "put the file", {CONDA: "e.yml"}),
    Case("path-unusable", "fails", "a directory", f"{LIB}: deps", {REQ: "deps"}, PLAIN),
    Case(
        "path-unusable",
        "fails",
        "--find-links wheels",
        "mkdir wheels",
        {REQ: "r.txt"},
        {"r.txt": "--no-index\n-f wheels\n"},
    ),
    Case("requirements-need-network", "warning", "no --no-index", "--find-links", {REQ: "r.txt"}, {"r.txt": "numpy\n"}),
    Case("requirements-need-network", "warning", "by conda", "bundle create", {CONDA: "e.yml"}, {"e.yml": "{}"}),
    # Inside the container, where what is there is there
    Case("path-missing", "fails", "names /nowhere", "bundle create", {"PYTHONPATH": "/nowhere"}, inside=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)
