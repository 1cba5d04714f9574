"""``--venv`` and ``--as-is``, as a user types them: real virtual environments, real installers, no package index."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from types import SimpleNamespace

import pytest
from support.environment_factory import VERSION, make_environment, pip_install, uv_install
from support.interpreters import python
from support.sdist_factory import project_files
from support.wheel_factory import make_wheel, record_line

from bundler.cli import main

ALPHA = {
    "alpha/__init__.py": b"import beta\ndef main():\n    print('main')\n",
    "alpha/core.py": b"x = 1\n",
    "alpha-1.0.data/purelib/extra.py": b"e = 1\n",
    "alpha-1.0.data/scripts/alpha-tool": b"#!python\nimport alpha\nprint('tool', alpha.beta.b)\n",
    "alpha-1.0.data/scripts/alpha-native": b"\x7fELF\x00\x01",
    "alpha-1.0.data/data/share/alpha/table.txt": b"1\n",
    "alpha-1.0.data/headers/alpha.h": b"//\n",
}
SITE = f"lib/python{VERSION}/site-packages"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shelf of wheels, and an environment in which pip has installed two of them."""
    root = tmp_path_factory.mktemp("made")
    entry_points = "[console_scripts]\nalpha-main = alpha:main\n"
    make_wheel(root / "shelf", "alpha", "1.0", ALPHA, requires=["beta>=1"], entry_points=entry_points)
    make_wheel(root / "shelf", "alpha", "1.1", {"alpha.py": b""})
    make_wheel(root / "shelf", "beta", "1.0", {"beta.py": b"b = 1\n"})
    make_wheel(root / "shelf", "beta", "2.0", {"beta.py": b"b = 2\n"})
    make_wheel(root / "shelf", "setuptools", "68.0", {"setuptools.py": b""})
    make_environment(root / "myenv")
    pip_install("-f", root / "shelf", "alpha==1.0", "beta==1.0", "setuptools", venv=root / "myenv")
    return root


@pytest.fixture
def work(made, tmp_path):
    """A directory with both, in which a test may do what it likes."""
    shutil.copytree(made, tmp_path / "work", symlinks=True)
    return tmp_path / "work"


@pytest.fixture
def site(work):
    return work / "myenv" / SITE


@pytest.fixture
def run(cache, work, monkeypatch, capsys):
    monkeypatch.chdir(work)

    def run(command, *arguments):
        extra = [] if command == "inspect" else ["--cache-dir", str(cache.root)]
        if command != "inspect" and "--as-is" not in arguments:
            extra += ["--no-index", "--find-links", "shelf"]
        code = main([command, *extra, *map(str, arguments)])
        return SimpleNamespace(returncode=code, **capsys.readouterr()._asdict())

    return run


def versions(answer):
    assert answer.returncode == 0, answer.err
    return {package["name"]: package["version"] for package in tomllib.loads(answer.out)["packages"]}


def failure(answer, code):
    assert answer.returncode == code, answer.err
    return answer.err[answer.err.index("error: ") :]


def files_of(tree):
    return {
        str(path.relative_to(tree)): (path.read_bytes(), path.stat().st_mode & 0o111)
        for path in tree.rglob("*")
        if path.is_file() and not path.is_relative_to(tree / ".bundle")
    }


# The versions


def test_what_is_installed_is_locked_for_its_python_and_everything_is_said(run):
    answer = run("lock", "--venv", "myenv")
    assert versions(answer) == {"alpha": "1.0", "beta": "1.0"}
    assert tomllib.loads(answer.out)["tool"]["bundler"]["target"]["python"] == "3.11.7"
    first, second, *rest = answer.err.splitlines()
    assert first.startswith("myenv/pyvenv.cfg: Python 3.11.")
    assert first.endswith("→ --target azureml-py311 (cpython 3.11.7 cp311 x86_64 glibc 2.31)")
    assert second == ("myenv: 2 taken: alpha 1.0, beta 1.0; left out, nothing else there requires it: setuptools 68.0")
    assert [line for line in rest if not line.startswith("resolved ")] == []


def test_its_site_packages_may_be_named_as_well(run):
    assert versions(run("lock", "--venv", f"myenv/{SITE}")) == {"alpha": "1.0", "beta": "1.0"}


def test_nothing_is_added_and_what_is_missing_is_named(run, work):
    uv_install("--python", work / "myenv", "-f", work / "shelf", "beta==2.0")
    make_wheel(work / "shelf", "gamma", "1.0", {"gamma.py": b""}, requires=["delta", "beta<2", "setuptools"])
    make_wheel(work / "shelf", "delta", "1.0", {"delta.py": b""})
    uv_install("--python", work / "myenv", "--no-deps", work / "shelf" / "gamma-1.0-py3-none-any.whl")
    answer = run("lock", "--venv", "myenv")
    assert versions(answer) == {"alpha": "1.0", "beta": "2.0", "gamma": "1.0", "setuptools": "68.0"}
    assert (
        "warning: myenv: gamma requires delta, which is not installed there,"
        " gamma requires beta<2, and 2.0 is installed there: install it there if your code needs it"
    ) in answer.err


def test_files_that_were_edited_removed_or_added_are_named(run, site):
    (site / "alpha/core.py").write_text("x = 2\n")
    (site / "beta.py").unlink()
    (site / "mine.py").write_text("")
    (site / "alpha/added.py").write_text("")
    (site / "alpha/__pycache__").mkdir(exist_ok=True)
    (site / "alpha/__pycache__/other.cpython-311.pyc").write_bytes(b"")
    (site.parents[2] / "bin/alpha-main").write_text("#!/elsewhere/python\n")
    answer = run("create", "--venv", "myenv", "-o", "deps.pyz", "--compile", "never", "-q")
    assert answer.returncode == 0, answer.err
    instead = "not taken: the bundle has what the index has"
    assert [line for line in answer.err.splitlines() if line.startswith("warning: ")] == [
        f"warning: myenv: alpha 1.0: differs from its RECORD: 1 changed (alpha/core.py): {instead}",
        f"warning: myenv: beta 1.0: differs from its RECORD: 1 missing (beta.py): {instead}",
        f"warning: myenv/{SITE}: 2 files belong to no distribution, not taken: mine.py, alpha/added.py",
    ]


@pytest.mark.slow
def test_another_wheel_of_the_same_version_is_named_where_it_is_in_the_cache(run, work):
    assert run("create", "--venv", "myenv", "-o", "deps.pyz", "--compile", "never").returncode == 0
    make_wheel(work / "other", "beta", "1.0", {"beta.py": b"b = 'of a fork'\n"})
    pip_install("--force-reinstall", "--no-deps", work / "other/beta-1.0-py3-none-any.whl", venv=work / "myenv")
    shutil.rmtree(work / "other")
    answer = run("lock", "--venv", "myenv")
    assert "installed from files that are not there any more, asked for by name: beta 1.0" in answer.err
    assert (
        "warning: myenv: beta-1.0-py3-none-any.whl is another wheel than the installed one: 1 file differs (beta.py)"
    ) in answer.err


@pytest.mark.slow
def test_what_came_from_a_place_is_asked_for_there(run, work):
    wheel = make_wheel(work / "other", "gamma", "1.0", {"gamma.py": b""})
    pip_install(wheel, venv=work / "myenv")
    answer = run("lock", "--venv", "myenv")
    assert versions(answer)["gamma"] == "1.0"
    assert f"taken from where they were installed from: gamma 1.0 from {wheel.as_uri()}" in answer.err
    make_wheel(work / "other", "gamma", "1.0", {"gamma.py": b"changed = 1\n"})
    assert "lists no hash of a wheel of gamma 1.0" in failure(run("lock", "--venv", "myenv"), 3)


@pytest.mark.slow
def test_a_commit_of_a_repository_is_built_from_that_commit(run, work, site):
    repository = work / "repository"
    for path, text in project_files("gamma", "1.0", {"gamma.py": "g = 1\n"}).items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git = ["git", "-C", repository, "-c", "user.name=n", "-c", "user.email=e"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    pip_install("-f", work / "shelf", make_wheel(work / "other", "gamma", "1.0"), venv=work / "myenv")
    origin = {"url": repository.as_uri(), "vcs_info": {"vcs": "git", "commit_id": commit}}
    (site / "gamma-1.0.dist-info/direct_url.json").write_text(json.dumps(origin))
    answer = run("lock", "--venv", "myenv")
    assert versions(answer)["gamma"] == "1.0"
    assert f'commit-id = "{commit}"' in answer.out


@pytest.mark.slow
def test_a_version_that_the_index_has_not_leads_to_as_is(run, work):
    (work / "shelf/beta-1.0-py3-none-any.whl").unlink()
    assert "--as-is" in failure(run("lock", "--venv", "myenv"), 1)
    assert run("create", "--venv", "myenv", "--as-is", "-o", "deps.pyz", "--compile", "never").returncode == 0


@pytest.mark.slow
def test_a_target_directory_of_pip_is_taken_too(run, work):
    pip_install("--target", work / "deps", "-f", work / "shelf", "alpha==1.0", "beta==1.0")
    (work / "deps/mine.py").write_text("")
    answer = run("lock", "--venv", "deps", "--python", "3.11.7")
    assert versions(answer) == {"alpha": "1.0", "beta": "1.0"}
    warnings = [line for line in answer.err.splitlines() if line.startswith("warning: ")]
    assert warnings == ["warning: deps: 1 file belongs to no distribution, not taken: mine.py"]


@pytest.mark.slow
@pytest.mark.parametrize("typed", [("--target", "azureml-py38"), ("--python", "3.8.18")])
def test_another_python_than_was_typed_is_an_error_that_names_both(run, typed):
    error = failure(run("lock", "--venv", "myenv", *typed), 2)
    assert error.startswith(f"error: myenv/pyvenv.cfg: was made with another Python than {typed[0]} names; got 3.11.")
    assert "want 3.8.18" in error


# The files


@pytest.mark.slow
def test_the_files_themselves_make_the_same_tree_as_the_wheels_that_they_came_from(run, work):
    common = ["--format", "tree", "--compile", "never"]
    assert run("create", "--venv", "myenv", *common, "-o", "of-index").returncode == 0
    answer = run("create", "--venv", "myenv", "--as-is", *common, "-o", "as-is")
    assert answer.returncode == 0, answer.err
    assert "warning" not in answer.err
    assert files_of(work / "as-is") == files_of(work / "of-index")
    tool = subprocess.run([work / "as-is/bin/alpha-tool"], capture_output=True, text=True, check=False)
    assert "No module named" in tool.stderr, "it finds no tree: its first line names no Python of the environment"
    main = subprocess.run([python(VERSION), work / "as-is/bin/alpha-main"], capture_output=True, text=True, check=True)
    assert main.stdout == "main\n"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["pip", "uv"])
def test_a_target_directory_makes_the_same_tree(run, work, how):
    if how == "pip":
        pip_install("--target", work / "deps", "-f", work / "shelf", "alpha==1.0", "beta==1.0")
    else:
        uv_install("--target", work / "deps", "-f", work / "shelf", "alpha==1.0", "beta==1.0")
    common = ["--format", "tree", "--compile", "never", "--python", "3.11.7"]
    answer = run("create", "--venv", "deps", "--as-is", *common, "-o", "as-is")
    assert answer.returncode == 0, answer.err
    assert "warning" not in answer.err
    assert run("create", "alpha==1.0", "beta==1.0", *common, "-o", "of-index").returncode == 0
    assert files_of(work / "as-is") == files_of(work / "of-index")


@pytest.mark.slow
def test_two_environments_with_the_same_files_give_the_same_wheels(run, work):
    make_environment(work / "second")
    uv_install("--python", work / "second", "-f", work / "shelf", "alpha==1.0", "beta==1.0")
    locks = [tomllib.loads(run("lock", "--venv", name, "--as-is").out) for name in ("myenv", "second")]
    first, second = ([package["wheels"][0]["hashes"] for package in lock["packages"]] for lock in locks)
    assert first == second


@pytest.mark.slow
def test_a_lock_of_files_is_good_here_and_says_elsewhere_what_to_do(run, work, cache):
    assert run("lock", "--venv", "myenv", "--as-is", "-o", "pylock.toml").returncode == 0
    shutil.move(work / "myenv", work / "moved")
    create = ["create", "--lock", "pylock.toml", "--target", "azureml-py311", "--compile", "never", "-o", "deps.pyz"]
    assert run(*create).returncode == 0
    shown = run("inspect", "deps.pyz").out
    assert "as installed alpha 1.0, in myenv\n" in shown
    facts = json.loads(run("inspect", "deps.pyz", "--json").out)
    assert facts["as_installed"][1] == {"name": "beta", "version": "1.0", "environment": "myenv"}
    assert str(work) not in shown + json.dumps(facts)
    shutil.rmtree(cache.root / "wheels")
    error = failure(run(*create, "--force", "--level", "3"), 1)
    assert "was packed from an environment, and is not in the cache of this machine" in error
    assert f"hint: lock again where the environment is: bundle lock --venv {work / 'myenv'} --as-is" in error


@pytest.mark.slow
def test_changed_and_missing_files_are_refused_all_at_once_and_foreign_ones_stay_behind(run, work, site):
    (site / "mine.py").write_text("")
    answer = run("create", "--venv", "myenv", "--as-is", "-o", "deps.pyz", "--compile", "never", "-q")
    assert answer.returncode == 0, answer.err
    assert f"warning: myenv/{SITE}: 1 file belongs to no distribution, left out: mine.py\n" in answer.err
    (site / "alpha/core.py").write_text("x = 2\n")
    (site / "beta.py").unlink()
    before = sorted(work.iterdir())
    error = failure(run("create", "--venv", "myenv", "--as-is", "-o", "other.pyz"), 3)
    assert error.splitlines() == [
        "error: myenv: 2 faults found",
        "  myenv: alpha 1.0: differs from its RECORD: 1 changed (alpha/core.py) [A9]",
        "hint: reinstall it there: pip install --force-reinstall --no-deps alpha==1.0",
        "  myenv: beta 1.0: differs from its RECORD: 1 missing (beta.py) [A9]",
        "hint: reinstall it there: pip install --force-reinstall --no-deps beta==1.0",
    ]
    assert sorted(work.iterdir()) == before


@pytest.mark.slow
def test_a_file_of_the_same_size_that_was_changed_is_found(run, site):
    (site / "beta.py").write_bytes(b"b = 9\n")
    assert "1 changed (beta.py)" in failure(run("lock", "--venv", "myenv", "--as-is"), 3)


@pytest.mark.slow
def test_a_file_of_two_distributions_is_that_of_the_last_one(run, work, site):
    for name in ("first", "second"):
        make_wheel(work / "shelf", name, "1.0", {"shared.py": name.encode(), f"{name}.py": b""})
        pip_install("-f", work / "shelf", name, venv=work / "myenv")
    assert (site / "shared.py").read_bytes() == b"second"
    error = failure(run("lock", "--venv", "myenv", "--as-is"), 3)
    assert "myenv: first 1.0: differs from its RECORD: 1 overwritten (shared.py by second 1.0) [A9]" in error
    assert "hint: two of them do not go together: pip uninstall second 1.0, then pip install --force-reinstall" in error


@pytest.mark.slow
def test_namespace_packages_of_several_distributions_pass_as_they_are(run, work):
    stubs = (
        b"__import__('pkg_resources').declare_namespace(__name__)\n",
        b"# one\n__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
    )
    for name, stub in zip(("first", "second"), stubs, strict=True):
        make_wheel(work / "shelf", name, "1.0", {"space/__init__.py": stub, f"space/{name}.py": b""})
        pip_install("-f", work / "shelf", name, venv=work / "myenv")
    common = ["--format", "tree", "--compile", "never"]
    for options, out in (([], "of-index"), (["--as-is"], "as-is")):
        answer = run("create", "--venv", "myenv", *options, *common, "-o", out)
        assert answer.returncode == 0, answer.err
        assert "warning" not in answer.err
    found, wanted = (
        {k: v for k, v in files_of(work / out).items() if "RECORD" not in k} for out in ("as-is", "of-index")
    )
    assert found == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tag", "code", "words"),
    [
        (
            "cp38-cp38-manylinux_2_17_x86_64",
            5,
            "myenv: has packages that do not fit the target; got beta 1.0 (cp38-cp38-manylinux_2_17_x86_64)",
        ),
        ("cp311-cp311-win_amd64", 5, "got beta 1.0 (cp311-cp311-win_amd64), want cpython 3.11.7"),
        ("py2.py3-none-any", 0, ""),
    ],
)
def test_the_tags_of_its_wheel_have_to_fit_the_target(run, site, tag, code, words):
    info = site / "beta-1.0.dist-info"
    lines = "".join(f"Tag: {part}\n" for part in (tag, "py3-none-any")[: 1 + (code == 0)])
    wheel = f"Wheel-Version: 1.0\n{lines}".encode()
    (info / "WHEEL").write_bytes(wheel)
    record = (info / "RECORD").read_text().splitlines()
    record = [record_line(f"{info.name}/WHEEL", wheel) if "/WHEEL," in line else line for line in record]
    (info / "RECORD").write_text("\n".join(record))
    answer = run("lock", "--venv", "myenv", "--as-is")
    assert words in answer.err
    assert answer.returncode == code
    assert ("beta-1.0-py2.py3-none-any.whl" in answer.out) == (code == 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["alpha"], "--venv: takes the place of requirements"),
        (["-r", "file.txt"], "--venv: takes the place of requirements"),
        (["--as-is", "--skip-provided"], "--as-is: resolves nothing"),
        (["--lock", "pylock.toml"], "--venv: takes the place of a lock"),
    ],
)
def test_wrong_use_has_a_clear_error(run, work, arguments, words):
    assert words in failure(run("create", "--venv", "myenv", "-o", "deps.pyz", *arguments), 2)
    assert not (work / "deps.pyz").exists()


@pytest.mark.slow
def test_as_is_needs_an_environment(run):
    assert "--as-is: is about an environment" in failure(run("lock", "alpha", "--as-is"), 2)


@pytest.mark.slow
def test_a_package_may_be_dropped_whatever_its_files_are(run, site):
    (site / "beta.py").write_text("changed")
    answer = run("lock", "--venv", "myenv", "--as-is", "--drop", "beta")
    assert versions(answer) == {"alpha": "1.0"}
    assert tomllib.loads(answer.out)["tool"]["bundler"]["dropped"] == [{"name": "beta", "version": "1.0"}]
    assert "--drop: names what is not in the lock" in failure(run("lock", "--venv", "myenv", "--drop", "no"), 2)


@pytest.mark.slow
def test_what_the_image_has_may_be_left_to_it(run, work):
    (work / "freeze.txt").write_text("beta==1.0\n")
    answer = run("lock", "--venv", "myenv", "--baseline", "freeze.txt", "--skip-provided")
    assert versions(answer) == {"alpha": "1.0"}
