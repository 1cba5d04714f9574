"""The requirements files of fixtures/requirements/real: every form that people write, and what each file comes to."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from support.commands import REQUIREMENTS, ROOT

REAL = REQUIREMENTS / "real"
TABLE = tomllib.loads((REAL / "verdicts.toml").read_text())
ENTRIES = {**TABLE["created"], **TABLE["refused"]}
# What is read by another file only.
INCLUDED = {
    "constraints/constraints.txt",
    "includes/requirements/base.txt",
    "includes/requirements/prod.txt",
    "includes/serving/requirements.txt",
    "pip_extra.txt",
}
FORMS = {
    "an editable project": r"^-e \.$",
    "a directory": r"^\.\./\.\./libs/features$",
    "a named directory": r"^[\w-]+\[api\] @ file://\S+/libs/model$",
    "a source archive": r"^\./\S+\.tar\.gz$",
    "a named source archive": r"@ file://\S+\.zip$",
    "a wheel": r"^\./\S+\.whl$",
    "a wheel at a URL": r"^https://\S+\.whl$",
    "a source at a URL": r"^https://\S+\.zip$",
    "a URL with a marker": r"@ \S+\.tar\.gz ; python_version",
    "a repository": r"^git\+\S+@v1\.4#egg=",
    "a named repository": r"@ git\+\S+@main#subdirectory=",
    "an editable repository": r"^-e git\+\S+#egg=",
    "another machine's directory": r"@ file:///croot/\S+/work$",
    "another machine's wheel": r"@ file:///\S+-none-any\.whl$",
    "Debian's pkg-resources": r"^pkg-resources==0\.0\.0$",
    "a name of Windows": r"^pywin32==\d+\s*$",
    "-r": r"^-r \S+$",
    "--requirement=": r"^--requirement=\S+$",
    "-c": r"^-c \S+$",
    "--find-links": r"^--find-links vendor$",
    "-f with a URL": r"^-f \S+/torch_stable\.html$",
    "--extra-index-url": r"^--extra-index-url \S+$",
    "-i": r"^-i \S+$",
    "--trusted-host": r"^--trusted-host \S+$",
    "--pre": r"^--pre$",
    "--no-binary": r"^--no-binary markupsafe$",
    "--only-binary": r"^--only-binary=numpy,pandas$",
    "--prefer-binary": r"^--prefer-binary$",
    "--require-hashes": r"^--require-hashes$",
    "--hash": r"^    --hash=sha256:[0-9a-f]{64}",
    "a variable": r"==\$\{[A-Z_]+\}$",
    "a continued line": r"^requests\\\n==",
    "a comment behind a requirement": r"^six  # ",
    "extras": r"^uvicorn\[standard\]==",
    "several extras": r"^dask\[array,dataframe\]==",
    "a marker": r'; python_version ?< ?"3',
    "a local version": r"^torch==1\.9\.0\+cu111$",
    "parentheses": r"^requests \(>=",
    "===": r"^pandas===1",
    "~=": r"^PyYAML ~= ",
    "==X.*": r"^  numpy==1\.21\.\*$",
    "a pre-release": r"==1\.\d+\.0(b\d+|rc\d+)$",
    "a byte order mark": r"\A\ufeff",
    "CRLF": r"\r\n",
    "conda: a channel": r"^  - conda-forge::",
    "conda: a build": r"=py3\d+h[0-9a-f]+_\d$",
    "conda: python=X.Y": r"^\s*- python=3\.\d+$",
    "conda: python=X.Y.Z": r"^- python=3\.\d+\.\d+$",
    "conda: python==": r"^  - python==3",
    "conda: a range of Pythons": r"^  - python>=3\.8,<3\.10$",
    "conda: X.Y.*": r"^- numpy=1\.19\.\*$",
    "conda: with a space": r"^  - pandas >=1\.3,<1\.6$",
    "conda: !=": r"^  - pillow!=",
    "conda: pip:": r"^- pip:$",
    "conda: -r below pip:": r"^      - -r ",
    "conda: variables": r"^variables:$",
    "conda: prefix": r"^prefix: ",
    "conda: what is no package of Python": r"^  - libgcc-ng",
}


def text_of(path):
    data = path.read_bytes()
    return data.decode("utf-16" if data.startswith(b"\xff\xfe") else "latin-1" if b"latin-1" in data else "utf-8")


TEXTS = {file: text_of(REAL / file) for file in [*ENTRIES, *INCLUDED]}


def test_every_file_has_its_verdict():
    files = {
        path.relative_to(REAL).as_posix()
        for path in REAL.rglob("*")
        if path.suffix in (".txt", ".yml", ".yaml") and path.name != "entry_points.txt"
    }
    assert files == ENTRIES.keys() | INCLUDED
    assert len(ENTRIES) >= 60
    assert len(TABLE["refused"]) <= 10


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_in_a_file(form):
    assert any(re.search(FORMS[form], text, re.MULTILINE) for text in TEXTS.values())


@pytest.mark.network
@pytest.mark.slow
def test_small_files_come_to_what_the_table_says(builder_cache):
    names = ["company_feed", "editable_project", "git_repository", "monorepo", "require_hashes.txt", "vendored"]
    command = [sys.executable, ROOT / "scripts" / "corpus.py", "--cache-dir", builder_cache, *names, "misspelt.txt"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "6 of 6 that should make a bundle that imports: 100.0%" in answer.stdout
    assert "1 of 1 that should be refused: 100.0%" in answer.stdout
