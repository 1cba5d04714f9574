"""What is dropped, followed, too much or changed when the folder is uploaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.deployment_factory import deployment, make_folder
from support.doctor_cases import GITIGNORE, LIB, PLAIN, REQ, Case

from bundler.azureml.doctor import diagnose

CASES = [
    Case(
        "upload-drops-files",
        "fails",
        "line 3 of .gitignore, *.so: deps/a/x.so",
        "cp .gitignore .amlignore && printf '%s\\n' '' '!/deps' '!/deps/**' >> .amlignore",
        {LIB: "deps"},
        {**PLAIN, "deps/a/x.so": "", ".gitignore": GITIGNORE},
    ),
    Case(
        "upload-drops-files",
        "fails",
        "line 1 of .amlignore, site-packages/",
        "printf '%s\\n' '' '!/t' '!/t/**' >> .amlignore",
        {LIB: "t/site-packages"},
        {".amlignore": "site-packages/", ".gitignore": ""},
        {"t": {"form": "tree"}},
    ),
    Case("upload-drops-files", "fails", "score.py", "!/score.py", files={".amlignore": "*.py\n"}),
    Case(
        "upload-drops-files",
        "fails",
        "w/a.whl",
        "!/w",
        {REQ: "r.txt"},
        {"r.txt": "--no-index\n-f w\n", "w/a.whl": "", ".gitignore": "*.whl\n"},
    ),
    Case(
        "upload-drops-bytecode",
        "warning",
        "line 2 of .gitignore",
        ".amlignore",
        {LIB: "deps"},
        {**PLAIN, "deps/__pycache__/alpha.cpython-37.pyc": b"B\r\r\n\1" + bytes(11), ".gitignore": GITIGNORE},
    ),
    Case(
        "upload-drops-bytecode",
        "warning",
        "d/bundle_runtime/__pycache__/boot.cpython-37.pyc",
        "!/d/**",
        {LIB: "d"},
        {".gitignore": GITIGNORE.replace("*.so\nlib/\n", ""), "d/bundle_runtime/__pycache__/boot.cpython-37.pyc": ""},
        {"d": {}},
    ),
    Case(
        "upload-drops-files",
        "fails",
        "t/site-packages/__pycache__/alpha.cpython-37.pyc",
        "!/t/**",
        {LIB: "t/site-packages"},
        {".gitignore": "__pycache__/\n"},
        {"t": {"form": "tree", "files": {"site-packages/__pycache__/alpha.cpython-37.pyc": b""}}},
    ),
    Case("ignore-line-unreadable", "fails", "line 2, '!'", "sed -i 2d .gitignore", files={".gitignore": "x\n!\n"}),
    Case("symlink-broken", "fails", "to nothing", "rm gone", files={"gone": Path("nowhere")}),
    Case("symlink-endless", "fails", "it is in", "rm a/up", files={"a/up": Path("..")}),
    Case("symlink-directory", "warning", "to a directory", ">> .amlignore", files={"a/x.txt": "", "twice": Path("a")}),
    Case("symlink-file", "warning", "to a file", "/copy >> .amlignore", files={"copy": Path("score.py")}),
    Case("upload-is-large", "warning", "101 MB", "bundle create", files={"model.bin": bytes(101_000_000)}),
    Case("upload-is-large", "warning", "2101 files", "bundle create", files={f"many/{n}": "" for n in range(2100)}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_would_fail_is_found_explained_and_answered(case, tmp_path):
    case.check(tmp_path)


def test_an_executable_file_of_the_packages_loses_its_mode(tmp_path):
    folder = make_folder(tmp_path, {**PLAIN, "deps/bin/tool": "#!/bin/sh\n"})
    (folder / "deps/bin/tool").chmod(0o755)
    (finding,) = diagnose(deployment(folder, **{LIB: "deps"}))
    assert (finding.name, finding.path, finding.severity) == ("modes-are-lost", "deps/bin/tool", "warning")
