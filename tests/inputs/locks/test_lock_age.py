"""The hashes in here were written by the tools themselves: Poetry 1.8, 2.5 and pipenv 2026."""

from __future__ import annotations

import pytest

from bundler.inputs.locks.lock_age import warn_of_pipenv, warn_of_poetry

OLD_POETRY = '[tool.poetry]\nname = "x"\nversion = "1"\n[tool.poetry.dependencies]\npython = "^3.8"\n'
POETRY = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = []\n'
WITH_GROUPS = POETRY + "[dependency-groups]\nlint = []\n"
PIPFILE = """\
[[source]]
url = "https://index.example/simple"
verify_ssl = true
name = "main"

[packages]

[requires]
python_version = "3.11"
"""


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (OLD_POETRY, "935b488be9f11b23f14aa1ce3bed4013d88bd77462534b5e4fe5bb82b485bfe9"),
        (POETRY, "c8a1ab143713ea01f1c8b6b73fbc195933c1f42f90a165e7cffad900744774b7"),
        (WITH_GROUPS, "d4ab10905cedd3000a749c1f06cad762891540f5f670686df08626d8c4db359a"),
    ],
)
def test_a_project_that_has_changed_since_its_poetry_lock_is_known(tmp_path, text, digest):
    project = tmp_path / "pyproject.toml"
    project.write_text(text + "[tool.ruff]\nline-length = 1\n")
    assert warn_of_poetry(project, digest) == ()
    project.write_text(text.replace("3.8", "3.9"))
    assert warn_of_poetry(project, digest) == ("pyproject.toml has changed since: poetry lock",)


def test_a_pipfile_that_has_changed_since_its_lock_is_known(tmp_path):
    digest = "8e3b83fb9c2ce38e683aefb5b1639e1a3970308a9f35c7ed978db06bf6243a0b"
    pipfile = tmp_path / "Pipfile"
    pipfile.write_text(PIPFILE)
    assert warn_of_pipenv(pipfile, digest) == ()
    pipfile.write_text(PIPFILE.replace("[packages]", "[packages]\nsix = '*'"))
    assert warn_of_pipenv(pipfile, digest) == ("Pipfile has changed since: pipenv lock",)


@pytest.mark.parametrize("text", [None, "[", "x = 2020-01-01\n", ""])
def test_what_cannot_be_compared_is_not_warned_of(tmp_path, text):
    path = tmp_path / "Pipfile"
    if text is not None:
        path.write_text(text)
    assert warn_of_pipenv(path, "0" * 64) == ()
