"""What the readers make of a lock's text, where a command would need a network to show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.lock_factory import REGISTRY, Locked, pipfile_lock, poetry_lock

from bundler.fetching.index_options import IndexOptions
from bundler.inputs.kinds import read_input
from bundler.inputs.listings import Chosen
from bundler.inputs.locks.other_locks import OtherLocks
from bundler.runtime.errors import UsageError
from bundler.targets import PRESETS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PY37 = PRESETS["azureml-py37"]
PY38 = PRESETS["azureml-py38"]


@pytest.fixture
def read(tmp_path):
    """A way to read a lock with that text, for a target."""

    def read(name, text, target=PY37, *, extras=(), groups=()):
        (tmp_path / name).write_text(text)
        return read_input(tmp_path / name, Chosen.of(extras, groups)).for_target(target)

    return read


def unread(name):
    """Return a package of a lock whose file is nowhere."""
    return Locked(name, "1.0", [Path(f"{name}-1.0-py3-none-any.whl")], hashes=["sha256:" + "0" * 64])


def texts(found):
    return [line.text for line in found.requirements.lines]


def poetry(*packages):
    head = '[[package]]\nname = "{}"\nversion = "1.0"\npython-versions = "*"\ngroups = ["main", "dev"]\n{}\n'
    return "".join(head.format(*package) for package in packages) + '[metadata]\nlock-version = "2.1"\n'


@pytest.mark.parametrize(
    ("url", "more", "place"),
    [
        ("https://git.example/a.git", "", f"git+https://git.example/a.git@{COMMIT}"),
        ("https://git.example/a.git", "part", f"git+https://git.example/a.git@{COMMIT}#subdirectory=part"),
        ("git@git.example:team/a.git", "", f"git+ssh://git@git.example/team/a.git@{COMMIT}"),
        ("ssh://git@git.example/a.git", "", f"git+ssh://git@git.example/a.git@{COMMIT}"),
    ],
)
def test_a_commit_of_each_lock_is_the_line_of_a_requirements_file(read, url, more, place):
    source = f'[package.source]\ntype = "git"\nurl = "{url}"\nresolved_reference = "{COMMIT}"\n'
    source += f'subdirectory = "{more}"\n' if more else ""
    assert texts(read("poetry.lock", poetry(("a", source)))) == [f"a @ {place}"]
    part = f'subdirectory = "{more}"\n' if more else ""
    pdm = '[metadata]\nlock_version = "4.5.0"\nstrategy = ["inherit_metadata"]\n[[package]]\nname = "a"\n'
    pdm += f'version = "1.0"\ngroups = ["default"]\ngit = "{url}"\nrevision = "{COMMIT}"\n{part}'
    assert texts(read("pdm.lock", pdm)) == [f"a @ {place}"]
    entry = f'{{"git": "{url}", "ref": "{COMMIT}"' + (f', "subdirectory": "{more}"' if more else "") + "}"
    pipenv = f'{{"_meta": {{"pipfile-spec": 6}}, "default": {{"a": {entry}}}}}'
    assert texts(read("Pipfile.lock", pipenv)) == [f"a @ {place}"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('type = "git"\nurl = "https://git.example/a"\nresolved_reference = "main"', "names no commit"),
        (f'type = "git"\nurl = "https://x.example/a b"\nresolved_reference = "{COMMIT}"', "has a URL that is none"),
        ('type = "directory"\nurl = "../gone"', "names a path that is not there"),
        ('type = "url"\nurl = "alpha --pre"', "has a URL that is none"),
        ('type = "svn"\nurl = "x"', "is from a place of a kind that is not known"),
    ],
)
def test_a_place_that_is_none_is_refused(read, source, words):
    with pytest.raises(UsageError, match=words) as caught:
        read("poetry.lock", poetry(("a", f"[package.source]\n{source}")))
    assert caught.value.where == "poetry.lock:1"


@pytest.mark.parametrize(
    ("marker", "groups", "extras", "expected"),
    [
        ("\"python_version < '3.8'\"", (), (), ["a==1.0"]),
        ("\"python_version >= '3.8'\"", (), (), []),
        ('"extra == \\"x\\" or extra == \\"y\\""', (), ("y",), ["a==1.0"]),
        ('"extra == \\"x\\""', (), (), []),
        ("{main = \"sys_platform == 'win32'\", dev = \"sys_platform == 'linux'\"}", (), (), []),
        ("{main = \"sys_platform == 'win32'\", dev = \"sys_platform == 'linux'\"}", ("dev",), (), ["a==1.0"]),
        ("{main = \"sys_platform == 'win32'\"}", ("dev",), (), ["a==1.0"]),
    ],
)
def test_markers_of_poetry_are_for_its_groups_and_extras(read, marker, groups, extras, expected):
    more = '\n[extras]\nx = ["a"]\ny = ["a"]\n'
    found = read("poetry.lock", poetry(("a", f"markers = {marker}")) + more, groups=groups, extras=extras)
    assert texts(found) == expected


def test_a_version_for_another_python_is_left_out_and_two_for_one_are_refused(read, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["a"]\n')
    one = '[[package]]\nname = "a"\nversion = "{}"\npython-versions = "{}"\nfiles = []\n'
    end = '[metadata]\nlock-version = "2.0"\npython-versions = "*"\n'
    text = one.format("1.0", "<3.8") + one.format("2.0", ">=3.8") + end
    assert [line.text for line in read("poetry.lock", text).constraints.lines] == ["a==1.0"]
    assert [line.text for line in read("poetry.lock", text, PY38).constraints.lines] == ["a==2.0"]
    with pytest.raises(UsageError, match="is a second version of a for the target") as caught:
        read("poetry.lock", text.replace("<3.8", "*"), PY38)
    assert (caught.value.got, caught.value.want) == ("a==2.0", "a==1.0")


def test_what_pipenv_has_not_locked_is_asked_for_by_name_and_said(read):
    found = read("Pipfile.lock", '{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "*"}}}')
    assert texts(found) == ["a"]
    assert found.warnings == ("has no version of a: the newest is taken",)
    old = '{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1.0", "sys_platform": "== \'win32\'"}}}'
    assert texts(read("Pipfile.lock", old)) == []


def test_environments_of_a_pylock_have_to_hold(read):
    text = 'lock-version = "1.0"\ncreated-by = "other"\nenvironments = ["sys_platform == \'win32\'"]\npackages = []\n'
    with pytest.raises(UsageError, match="was made for other targets"):
        read("pylock.toml", text)


def test_default_groups_of_a_pylock_are_taken_unless_others_are_named(read):
    text = 'lock-version = "1.0"\ncreated-by = "other"\ndependency-groups = ["dev"]\ndefault-groups = ["main"]\n'
    for name in ("main", "dev"):
        text += f'[[packages]]\nname = "{name}"\nversion = "1.0"\nmarker = "\'{name}\' in dependency_groups"\n'
        text += f'wheels = [{{url = "https://x.example/{name}-1.0-py3-none-any.whl", '
        text += f'hashes = {{sha256 = "{"0" * 64}"}}}}]\n'
    hashed = f"==1.0 --hash=sha256:{'0' * 64}"
    assert texts(read("pylock.toml", text)) == [f"main{hashed}"]
    assert texts(read("pylock.toml", text, groups=("dev",))) == [f"dev{hashed}"]


@pytest.mark.parametrize(
    ("indexes", "said"),
    [
        (IndexOptions(), False),
        (IndexOptions(index_url=REGISTRY), False),
        (IndexOptions(index_url=f"{REGISTRY}/"), False),
        (IndexOptions(index_url="https://mirror.example/simple", extra_index_urls=(REGISTRY,)), False),
        (IndexOptions(index_url="https://mirror.example/simple"), True),
    ],
)
def test_another_index_than_the_users_is_said(read, indexes, said):
    found = read("Pipfile.lock", pipfile_lock([unread("a")]))
    warnings = list(OtherLocks(inputs=(found,), alone=True).warnings(indexes))
    expected = f"{found.path}: was made with {REGISTRY}, which is not asked, for a"
    assert warnings == ([expected] if said else [])


def test_a_second_index_of_a_lock_is_said_even_if_the_user_has_named_none(read):
    registry = "https://user:secret@wheels.example/simple"
    text = poetry_lock([unread("a"), unread("b")]).partition("\n[metadata]")[0]
    text += poetry_lock([unread("torch")], registry=registry).partition("\n")[2]
    found = read("poetry.lock", text)
    (warning,) = OtherLocks(inputs=(found,), alone=True).warnings(IndexOptions())
    assert warning == f"{found.path}: was made with https://wheels.example/simple, which is not asked, for torch"
