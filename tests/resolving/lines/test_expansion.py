"""Requirement files as people have them: with projects, other machines' paths and names that are not for here."""

from __future__ import annotations

import hashlib
import os
import subprocess

import pytest
from support.interpreters import target_of
from support.package_servers import Site, serving
from support.reporters import Heard
from support.sdist_factory import make_sdist, project_files
from support.wheel_factory import make_wheel

from bundler.building.builder import BuildPolicy
from bundler.create import lock
from bundler.fetching.index_options import IndexOptions
from bundler.locks import Lock
from bundler.options import Options
from bundler.reporters import Reporter
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.source_builders import builder_for


@pytest.fixture
def shelf(tmp_path):
    directory = tmp_path / "shelf"
    directory.mkdir()
    make_wheel(directory, "helper", "1.0", {"helper.py": b"value = 41\n"})
    return directory


@pytest.fixture
def ask(cache, shelf, tmp_path):
    def ask(*requirements, text=None, build=BuildPolicy(), reporter=None, offline=False):  # noqa: B008 - it is frozen
        indexes = IndexOptions(no_index=True, find_links=(str(shelf),), retries=0)
        options = Options(target=target_of("3.7"), indexes=lambda: indexes, cache=cache, build=build, offline=offline)
        files = []
        if text is not None:
            (tmp_path / "requirements.txt").write_text(text)
            files = [tmp_path / "requirements.txt"]
        return lock(requirements, requirement_files=files, options=options, reporter=reporter)

    return ask


@pytest.fixture
def project(tmp_path):
    """A project in a directory."""
    directory = tmp_path / "proj"
    for name, text in project_files("app", "1.0", {"app.py": "value = 1\n"}, requires=["helper"]).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def pins(locked):
    return [f"{pin.name} {pin.version}" for pin in locked.pins]


@pytest.mark.parametrize("line", ["-e ./proj", "./proj", "app @ file://BASE/proj", "proj/ ; python_version < '3.8'"])
def test_a_local_project_is_built_and_what_it_requires_comes_along(line, ask, project, tmp_path):
    reporter = Heard()
    locked = ask(text=line.replace("BASE", str(tmp_path)) + "\n", reporter=reporter)
    assert pins(locked) == ["app 1.0", "helper 1.0"]
    told = [text for text in reporter.warnings if "later edits do not count: app" in text]
    assert len(told) == line.startswith("-e")
    build = locked.pins[0].build
    assert build.is_directory
    assert build.source.path == project


def test_a_project_of_the_command_line_is_built_too(ask, project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert pins(ask("./proj")) == ["app 1.0", "helper 1.0"]


def test_the_lock_names_the_directory_and_is_read_again(ask, project, tmp_path):
    locked = ask(text="-e ./proj\n")
    text = locked.to_toml(relative_to=tmp_path)
    assert '[packages.directory]\npath = "proj"\neditable = false' in text
    assert Lock.from_toml(text, tmp_path / "pylock.toml", None) == locked


def test_what_tools_leave_in_a_project_changes_nothing(ask, project):
    first = ask(text="./proj\n").pins[0]
    for name in ("build/x.py", ".git/HEAD", "__pycache__/a.pyc", "app.egg-info/PKG-INFO", ".venv/bin/python"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("left behind")
    os.utime(project / "backend.py", (1, 1))
    assert ask(text="./proj\n").pins[0].build.source.sha256 == first.build.source.sha256
    (project / "package" / "app.py").write_text("value = 2\n")
    assert ask(text="./proj\n").pins[0].sha256 != first.sha256


def test_a_source_distribution_by_path_is_built(ask, tmp_path):
    make_sdist(tmp_path, "app", "1.0", {"app.py": ""}, requires=["helper"])
    assert pins(ask(text="./app-1.0.tar.gz\n")) == ["app 1.0", "helper 1.0"]


@pytest.mark.parametrize("line", ["./lib-2.0.tar.gz", "lib @ file://BASE/lib-2.0.tar.gz"])
def test_a1_the_hash_behind_a_source_distribution_is_compared(line, ask, tmp_path):
    digest = hashlib.sha256(make_sdist(tmp_path, "lib", "2.0", {"lib.py": ""}).read_bytes()).hexdigest()
    line = line.replace("BASE", str(tmp_path))
    assert pins(ask(text=f"{line} --hash=sha256:{digest}\n")) == ["lib 2.0"]
    with pytest.raises(ContentError, match="is not what the line says") as caught:
        ask(text=f"{line} --hash=sha256:{'0' * 64}\n")
    assert (caught.value.where, caught.value.rule) == ("requirements.txt:1", "A1")


def test_a1_a_hash_behind_a_directory_cannot_be_compared(ask, project):
    with pytest.raises(ContentError, match="has a hash, and a directory has none to compare it with"):
        ask(text=f"./proj --hash=sha256:{'0' * 64}\n")


def test_a_line_with_more_hashes_than_a_path_has_letters_is_no_path(ask, shelf):
    (wheel,) = shelf.glob("helper-*.whl")
    hashes = [hashlib.sha256(wheel.read_bytes()).hexdigest(), *(f"{number:064x}" for number in range(80))]
    assert pins(ask(text="helper " + " ".join(f"--hash=sha256:{text}" for text in hashes) + "\n")) == ["helper 1.0"]


def test_one_by_url_is_fetched_and_its_hash_is_compared(ask, tmp_path):
    data = make_sdist(tmp_path, "app", "1.0", {"app.py": ""}).read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    with serving(Site()) as site:
        url = site.add("/app-1.0.tar.gz", data)
        locked = ask(text=f"app @ {url}#sha256={sha256}\n")
        assert (locked.pins[0].build.source.url, locked.pins[0].build.source.sha256) == (url, sha256)
        with pytest.raises(ContentError, match="is not what the line says") as caught:
            ask(text=f"\n{url}#sha256={'0' * 64}\n")
    assert caught.value.where.startswith("requirements.txt:2: ")


@pytest.fixture
def repository(project, tmp_path):
    """A bare repository with the project below ``py/``, at tag v1; and the commit that the tag names."""
    work = tmp_path / "work"
    work.mkdir()
    project.rename(work / "py")
    who = ["-c", "user.name=me", "-c", "user.email=me@example.test"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run(["git", *arguments], cwd=work, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(tmp_path / "bare.git")], check=True)
    commit = subprocess.run(["git", "rev-parse", "v1"], cwd=work, capture_output=True, text=True, check=True).stdout
    return f"file://{tmp_path}/bare.git", commit.strip()


@pytest.mark.parametrize("revision", ["v1", "main", "COMMIT", None])
def test_a_commit_of_a_repository_is_built_and_locked_by_its_hash(revision, ask, repository, tmp_path):
    url, commit = repository
    at = "" if revision is None else f"@{revision.replace('COMMIT', commit)}"
    reporter = Heard()
    locked = ask(text=f"app @ git+{url}{at}#subdirectory=py\n", reporter=reporter)
    today = f"app: {revision or 'the default branch'} is commit {commit[:12]} today"
    assert reporter.notes == ([] if revision == "COMMIT" else [today])
    build = locked.pins[0].build.repository
    assert (build.url, build.commit, build.subdirectory) == (url, commit, "py")
    text = locked.to_toml()
    assert f'commit-id = "{commit}"' in text
    travelling = locked.to_embedded_toml()
    assert str(tmp_path) not in travelling
    assert Lock.from_toml(travelling, tmp_path / "pylock.toml", None).pins[0].sha256 == locked.pins[0].sha256
    assert Lock.from_toml(text, tmp_path / "pylock.toml", None) == locked


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("app @ git+URL@nowhere#subdirectory=py", "has no such commit, tag or branch"),
        ("app @ git+URL@--upload-pack=x#subdirectory=py", "has no such commit, tag or branch"),
        ("app @ git+URL#subdirectory=../..", "has no such directory"),
        ("app @ git+URL", "it is no Python project"),
        ("app @ git+URL/missing.git", "cannot be cloned"),
        ("other @ git+URL#subdirectory=py", "names another project than it leads to"),
    ],
)
def test_a_repository_that_cannot_be_used_says_why(line, words, ask, repository):
    with pytest.raises(BundleError, match=words):
        ask(text=line.replace("URL", repository[0]) + "\n")


@pytest.mark.parametrize("line", ["git+https://example.test/app.git", "https://example.test/app-1.0.tar.gz"])
def test_offline_nothing_is_fetched(line, ask):
    with pytest.raises(BundleError, match="has to be fetched") as caught:
        ask(text=f"{line}\n", offline=True)
    assert "--offline" in caught.value.hint


def test_paths_of_another_machine_are_names_with_one_warning_for_all(ask, shelf):
    make_wheel(shelf, "other", "2.0", {"other.py": b""})
    reporter = Heard()
    text = "helper @ file:///croot/helper_1668696182826/work\nother @ file:///tmp/build/80754af9/other_1/work\n"
    assert pins(ask(text=text, reporter=reporter)) == ["helper 1.0", "other 2.0"]
    assert reporter.warnings == ["read as names, since their files are another machine's: helper, other"]


def test_what_is_not_for_here_is_left_out_with_its_reason(ask):
    reporter = Heard()
    assert pins(ask(text="helper\npkg-resources==0.0.0\npywin32==227\n", reporter=reporter)) == ["helper 1.0"]
    assert reporter.warnings == [
        "left out: pkg-resources: no project: an old pip's freeze has made it up",
        "left out: pywin32: for Windows only",
    ]


@pytest.mark.slow
def test_what_is_condas_own_in_a_freeze_of_conda_is_left_out(ask):
    reporter = Heard()
    text = "helper\nmkl-random @ file:///croot/mkl_random_1682950433854/work\n"
    assert pins(ask(text=text, reporter=reporter)) == ["helper 1.0"]
    assert reporter.warnings == ["left out: mkl-random: part of conda's numpy: not needed"]


@pytest.mark.slow
def test_a_line_with_many_hashes_is_longer_than_any_path_and_no_path(ask, shelf):
    (wheel,) = shelf.glob("helper-1.0-*.whl")
    hashes = [hashlib.sha256(wheel.read_bytes()).hexdigest(), *(f"{number:064x}" for number in range(80))]
    text = " \\\n".join(["helper==1.0", *(f"    --hash=sha256:{each}" for each in hashes)])
    assert pins(ask(text=f"{text}\n")) == ["helper 1.0"]


@pytest.mark.slow
def test_a_variable_is_replaced_wherever_it_stands(ask, shelf, monkeypatch):
    make_wheel(shelf, "helper", "2.0", {"helper.py": b""})
    monkeypatch.setenv("HELPER_VERSION", "1.0")
    assert pins(ask(text="helper==${HELPER_VERSION}\n")) == ["helper 1.0"]


@pytest.mark.slow
def test_a_line_may_go_on_in_the_middle_of_a_requirement(ask, shelf):
    make_wheel(shelf, "helper", "2.0", {"helper.py": b""})
    assert pins(ask(text="helper\\\n==1.0\n")) == ["helper 1.0"]


@pytest.mark.slow
def test_the_source_is_built_where_no_binary_names_the_project(ask, shelf):
    make_wheel(shelf, "app", "1.0", {"app.py": b""})
    make_sdist(shelf, "app", "1.0", {"app.py": ""})
    locked = ask(text="--no-binary six,app\napp\n")
    assert [pin.build is not None for pin in locked.pins if pin.name == "app"] == [True]
    (plain,) = [pin for pin in ask(text="app\n").pins if pin.name == "app"]
    assert plain.build is None


@pytest.mark.slow
def test_the_other_lines_of_a_file_stay_where_they_are(ask, project, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.txt").write_text("-e ../proj\n\nsix ==\n")
    with pytest.raises(BundleError, match=r"b\.txt:3: is not a requirement"):
        ask(text="\n-r more/b.txt\n")


@pytest.mark.slow
def test_constraints_and_links_of_a_rewritten_file_are_those_beside_the_file(ask, project, tmp_path, shelf):
    make_wheel(shelf, "helper", "2.0", {"helper.py": b""})
    (tmp_path / "constraints.txt").write_text("helper<2\n")
    (tmp_path / "links").mkdir()
    make_wheel(tmp_path / "links", "linked", "1.0", {"linked.py": b""})
    locked = ask(text="-c constraints.txt\n-f links\nlinked\n-e ./proj\n")
    assert pins(locked) == ["app 1.0", "helper 1.0", "linked 1.0"]


@pytest.mark.slow
def test_without_building_each_is_refused_with_its_line(ask, project):
    for line in ("-e ./proj", "./proj", "git+https://example.test/app"):
        with pytest.raises(UsageError, match="a bundle holds wheels only") as caught:
            ask(text=f"\n{line}\n", build=None)
        assert caught.value.where == "requirements.txt:2"


@pytest.mark.slow
def test_nothing_is_left_in_the_cache_but_what_is_kept(ask, project, cache):
    ask(text="-e ./proj\n")
    assert list((cache.root / "uv").glob("projects-*")) == []
    assert list((cache.root / "temporary").iterdir()) == []


@pytest.mark.slow
def test_a_directory_without_a_project_says_what_it_lacks(ask, tmp_path):
    (tmp_path / "myenv").mkdir()
    (tmp_path / "myenv" / "pyvenv.cfg").write_text("")
    with pytest.raises(UsageError, match=r"without pyproject\.toml or setup\.py") as caught:
        ask(text="./myenv\n")
    assert "virtual environment" in caught.value.hint


@pytest.mark.slow
def test_a1_another_machine_refuses_a_directory_that_has_changed(ask, project, cache):
    locked = ask(text="./proj\n")
    (project / "package" / "app.py").write_text("value = 2\n")
    cache.wheel(locked.pins[0].build.source.sha256).unlink()
    options = Options(target=target_of("3.7"), indexes=IndexOptions, cache=cache)
    with pytest.raises(ContentError, match="has other files than when it was locked"):
        builder_for(options, Reporter()).rebuild(locked.pins[0])


@pytest.mark.slow
@pytest.mark.network
def test_a_project_that_takes_its_version_from_git_has_it(cache, tmp_path):
    work = tmp_path / "scm"
    work.mkdir()
    (work / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=61", "setuptools_scm>=7"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "scm"\ndynamic = ["version"]\n'
        '[tool.setuptools]\npy-modules = ["scm"]\n[tool.setuptools_scm]\n'
    )
    (work / "scm.py").write_text("")
    who = ["-c", "user.name=me", "-c", "user.email=me@example.test"]
    for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"], ["tag", "v1.4.2"]):
        subprocess.run(["git", *arguments], cwd=work, check=True)
    options = Options(target=target_of("3.7"), cache=cache)
    assert pins(lock([f"scm @ git+file://{work}@v1.4.2"], options=options)) == ["scm 1.4.2"]
