"""Directories that are not what is to be on the path, and bundles that nothing puts there."""

from __future__ import annotations

import pytest
from support.doctor_cases import LIB, REQ, Case

CASES = [
    # What the path names
    Case(
        "not-the-packages",
        "fails",
        "root of a tree",
        f"{LIB}: t/site-packages",
        {LIB: "t"},
        bundles={"t": {"form": "tree"}},
    ),
    Case("not-the-packages", "fails", "nothing that can be", "bundle create", {LIB: "deps"}, {"deps": None}),
    Case(
        "not-the-packages",
        "fails",
        "nothing that can be",
        f"{LIB}: deps/lib/python3.7/site-packages",
        {LIB: "deps"},
        {"deps/lib/python3.7/site-packages/alpha.py": ""},
    ),
    Case(
        "not-the-packages",
        "fails",
        "part of a conda",
        f"{LIB}: env/lib/python3.7/site-packages",
        {LIB: "env"},
        {"env/conda-meta/history": "", "env/lib/python3.7/site-packages/alpha.py": ""},
    ),
    Case(
        "directory-of-wheels",
        "fails",
        "holds wheels",
        f"set {REQ}: house/requirements.txt",
        {LIB: "house"},
        {"house/wheels/a-1.0-py3-none-any.whl": "", "house/requirements.txt": "--no-index\n"},
    ),
    Case("directory-of-wheels", "fails", "holds wheels", "--find-links", {LIB: "w"}, {"w/a-1.0-py3-none-any.whl": ""}),
    # What no path names
    Case("nothing-puts-it-on-the-path", "fails", "is a bundle", f"{LIB}: d", bundles={"d": {}}),
    Case(
        "nothing-puts-it-on-the-path", "fails", "is a bundle", "PYTHONPATH: d.pyz", bundles={"d.pyz": {"form": "pyz"}}
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)
