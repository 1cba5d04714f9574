from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from bundler.azureml.doctoring.ignores import IgnoreFile, governing, keeping
from bundler.runtime.errors import UsageError

# What github.com offers for Python projects, in short, and lines people add.
PYTHON = """\
# Byte-compiled
__pycache__/
*.py[cod]
*.so
build/
dist/
lib/
lib64/
*.egg-info/
.env
*.log
!important.log
"""
MEMBERS = ("index.json", "blobs/sha256/ab", "site-packages/a/lib/b.so", "site-packages/__pycache__/c.pyc", "x.log")


def by_last_match(text, path):
    """Tell whether azure-ai-ml from 1.4 on drops *path*."""
    dropped = False
    for line in text.splitlines():
        pattern = GitIgnoreSpecPattern(line.strip())
        if pattern.include is not None and pattern.match_file(path) is not None:
            dropped = pattern.include
    return dropped


def by_first_match(text, path):
    """Tell whether azure-ai-ml before 1.4 drops *path*."""
    for line in text.splitlines():
        pattern = GitIgnoreSpecPattern(line.strip())
        if pattern.include is not None and pattern.match_file(path) is not None:
            return pattern.include
    return False


def by_git(directory, text, paths):
    """Return those of *paths* that git ignores."""
    if not (directory / ".git").exists():
        subprocess.run(["git", "init", "-q", directory], check=True)
    (directory / ".gitignore").write_text(text)
    for path in paths:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).touch()
    answer = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin", "-z"],
        cwd=directory,
        input="\0".join(paths),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    assert answer.returncode in (0, 1), answer.stderr
    return set(answer.stdout.split("\0")) - {""}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("deps/site-packages/numpy/core/_multiarray.cpython-37m-x86_64-linux-gnu.so", "*.so"),
        ("deps/site-packages/sklearn/lib/x.py", "lib/"),
        ("deps/site-packages/a/__pycache__/b.cpython-37.pyc", "*.py[cod]"),
        ("deps/dist/x", "dist/"),
        ("deps/site-packages/a.py", None),
        ("lib", None),
        ("important.log", None),
    ],
)
def test_the_line_that_drops_a_file_is_named(path, line):
    rule = IgnoreFile.parse(PYTHON, ".gitignore").dropping(path)
    assert (rule and rule.line) == line
    assert rule is None or PYTHON.splitlines()[rule.number - 1] == line


def test_a_file_can_be_taken_back_from_a_dropped_directory_as_az_does_and_git_does_not():
    text = "deps/\n!deps/a.py\n"
    assert IgnoreFile.parse(text, ".amlignore").dropping("deps/a.py") is None
    assert IgnoreFile.parse(text, ".amlignore").dropping("deps/b.py").number == 1


def test_the_amlignore_alone_counts_where_there_is_one(tmp_path):
    assert governing(tmp_path) is None
    (tmp_path / ".gitignore").write_text("*.so\n")
    assert governing(tmp_path).dropping("a.so").line == "*.so"
    (tmp_path / ".amlignore").write_text("")
    assert governing(tmp_path).name == ".amlignore"
    assert governing(tmp_path).dropping("a.so") is None


def test_a_line_that_is_no_pattern_is_known():
    faulty = IgnoreFile.parse("*.so\n!\n*.log\n", ".gitignore").faulty
    assert [(rule.number, rule.line) for rule in faulty] == [(2, "!")]


@pytest.mark.parametrize(
    ("name", "existing"),
    [
        ("deps", None),
        ("deps", ""),
        ("deps", PYTHON),
        ("deps", PYTHON.rstrip("\n")),
        ("deps", PYTHON.replace("\n", "\r\n")),
        ("deps", "deps/\n"),
        ("deps", "*\n!score.py\n"),
        ("deps", "/*\n"),
        ("deps", "**\n"),
        ("deps", "deps/**\n*.so"),
        ("onlinescoring/deps", PYTHON),
        ("onlinescoring/deps", "onlinescoring/\n"),
        ("onlinescoring/deps", "*\n!onlinescoring/score.py\n"),
        ("lib/python/deps", "lib/\n"),
        ("lib/python/deps", "lib\n!lib/other\n/lib/python\n"),
        ("a/b/deps", "*\n!a\n"),
        ("a [1]*", "*\n"),
        ("de\\ps ", "*\n"),
        ("!deps", "*\n"),
        ("#deps", "*\n"),
    ],
)
def test_everything_of_the_bundle_is_kept_however_the_file_is_read(name, existing, tmp_path):
    text = keeping(existing, name)
    paths = [f"{name}/{member}" for member in MEMBERS]
    assert [path for path in paths if by_last_match(text, path)] == []
    assert [path for path in paths if by_first_match(text, path)] == []
    assert by_git(tmp_path, text, paths) == set()
    assert keeping(text, name) == text


def test_a_bundle_that_is_a_file_is_kept():
    text = keeping("*.pyz\n", "deps.pyz")
    assert not by_last_match(text, "deps.pyz")
    assert not by_first_match(text, "deps.pyz")
    assert by_last_match(text, "other.pyz")


def test_the_rules_for_everything_else_stay_and_a_second_bundle_can_be_kept_too(tmp_path):
    text = keeping(keeping("onlinescoring\n!onlinescoring/score.py\n*.so\n", "onlinescoring/deps"), "more")
    others = ["x.so", "onlinescoring/.env", "onlinescoring/y.py", "onlinescoring/depsy/z.py"]
    assert all(by_last_match(text, path) for path in others)
    assert all(by_first_match(text, path) for path in others)
    assert by_git(tmp_path, text, [*others, "onlinescoring/deps/a.so", "more/b.so"]) == set(others)
    assert not by_last_match(text, "onlinescoring/score.py")


RULES = ["*", "/*", "**", "*.so", "!*.so", "a", "a/", "/a/", "a/*", "a/**", "!a", "!a/", "!a/c", "a/b", "!a/b", "b"]
RULES += ["**/b", "d/"]
LINES = st.lists(st.sampled_from(RULES), max_size=5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, name=st.sampled_from(["a", "a/b", "a/b/c", "d/b"]))
def test_keeping_holds_for_any_rules_and_changes_no_other_file(lines, name, tmp_path):
    before = "".join(f"{line}\n" for line in lines)
    after = keeping(before, name)
    inside = [f"{name}/x", f"{name}/y/lib/z.so"]
    assert by_git(tmp_path, after, inside) == set()
    for path in inside:
        assert not by_last_match(after, path)
        assert not by_first_match(after, path)
    assert keeping(after, name) == after
    for path in ("q.so", "a/q", "a/c/q.so", "a/bb/q", "b/q", "d/q", "a/b/q"):
        if not path.startswith(f"{name}/"):
            assert by_last_match(after, path) == by_last_match(before, path)
            assert by_first_match(after, path) == by_first_match(before, path)


@pytest.mark.parametrize("name", ["", "/", "../deps", "a//b", "./deps", "de\nps"])
def test_a_name_outside_the_code_folder_is_refused(name):
    with pytest.raises(UsageError):
        keeping(None, name)
