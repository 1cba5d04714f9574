"""``-r pyproject.toml``, and no requirement at all, as a user types it; without the package index."""

from __future__ import annotations

import tomllib

import pytest
from support.commands import bundle
from support.lock_factory import Locked, pdm_lock, pipfile_lock, poetry_lock, pylock, pyproject, uv_lock
from support.wheel_factory import make_wheel

POETRY = """\
[tool.poetry]
name = "svc"
[tool.poetry.dependencies]
python = "^3.7"
alpha = "^1.0"
beta = [{version = "~1.0", python = "<3.8"}, {version = ">=2", python = ">=3.8"}]
gamma = {version = "*", optional = true}
[tool.poetry.extras]
net = ["gamma"]
[tool.poetry.dev-dependencies]
delta = "1.0"
"""


@pytest.fixture
def shelf(tmp_path):
    directory = tmp_path / "shelf"
    directory.mkdir()
    for name in ("alpha", "beta", "gamma", "delta"):
        for version in ("1.0", "1.0.4", "1.5", "2.0"):
            make_wheel(directory, name, version, {f"{name}.py": b""})
    return directory


@pytest.fixture
def here(tmp_path):
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


@pytest.fixture
def run(cache, shelf, here):
    def run(*arguments, command="lock"):
        places = ["--no-index", "--find-links", shelf, "--cache-dir", cache.root]
        return bundle(command, *places, *arguments, cwd=here)

    return run


def versions(answer):
    assert answer.returncode == 0, answer.stderr
    return {package["name"]: package["version"] for package in tomllib.loads(answer.stdout)["packages"]}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), {"alpha": "1.5"}),
        (("--extra", "net"), {"alpha": "1.5", "beta": "1.0"}),
        (("--extra", "All"), {"alpha": "1.5", "beta": "1.0", "gamma": "2.0"}),
        (("--group", "dev"), {"alpha": "1.5", "delta": "1.0", "gamma": "1.0"}),
        (("--group", "lint", "beta"), {"alpha": "1.5", "gamma": "1.0", "beta": "2.0"}),
    ],
)
def test_a_project_is_taken_with_the_extras_and_groups_that_are_asked_for(run, here, asked, expected):
    text = pyproject(
        dependencies=["alpha<2", "beta; sys_platform == 'win32'"],
        extras={"net": ["beta==1.0"], "more": ["gamma"], "all": ["svc[net,more]"]},
        groups={"dev": ["delta==1.0", {"include-group": "lint"}], "lint": ["gamma==1.0"]},
    )
    (here / "pyproject.toml").write_text(text)
    assert versions(run("-r", "pyproject.toml", *asked)) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), {"alpha": "1.5", "beta": "1.0.4"}),
        (("--target", "azureml-py38", "--extra", "net"), {"alpha": "1.5", "beta": "2.0", "gamma": "2.0"}),
        (("--group", "dev"), {"alpha": "1.5", "beta": "1.0.4", "delta": "1.0"}),
    ],
)
def test_an_old_poetry_project_is_taken_too(run, here, asked, expected):
    (here / "pyproject.toml").write_text(POETRY)
    answer = run("-r", "pyproject.toml", *asked)
    assert versions(answer) == expected
    if not asked:
        assert "pyproject.toml:4: python ^3.7 → --target azureml-py37" in answer.stderr


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (
            '[project]\nname = "svc"\ndynamic = ["version", "dependencies"]\n',
            2,
            "hint: name the project's directory, which is built: .",
        ),
        (pyproject(dependencies=["alpha", "-r /etc/passwd"]), 2, "pyproject.toml:5: is not a requirement"),
        (pyproject(dependencies=["alpha", "../other"]), 2, "pyproject.toml:5: is not a requirement"),
        (pyproject(dependencies=["alpha @ #x"]), 2, "pyproject.toml:5: is no line of a requirements file"),
        (pyproject(dependencies=["alpha==9"]), 1, "alpha"),
        (pyproject(requires_python=">=3.8"), 2, "pyproject.toml:4: asks for another Python than --target; "),
        (pyproject(groups={"dev": [{"include-group": "dev"}]}), 2, "dev: has no group that PEP 735 knows: Cyclic"),
        ("[tool.ruff]\n", 2, "names no dependencies: it has no [project]"),
        ('[project]\nname = "x"\ndependencies = "a"\n', 2, "dependencies: is not what stands here; got text"),
        (POETRY.replace("^1.0", "^1.0 || ^2.0"), 2, "pyproject.toml:5: asks for versions that no requirement can name"),
        (POETRY.replace("^1.0", "^x"), 2, "pyproject.toml:5: has versions that are not understood; got ^x"),
        (POETRY.replace('"^1.0"', '{path = "../a"}'), 2, "pyproject.toml:5: names a path that is not there"),
    ],
)
def test_a_project_that_does_not_say_enough_is_an_error(run, here, text, code, words):
    (here / "pyproject.toml").write_text(text)
    group = ("--group", "dev") if "include-group" in text else ()
    answer = run("-r", "pyproject.toml", "--target", "azureml-py37", *group)
    assert answer.returncode == code, answer.stderr
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "bundle-inputs" not in answer.stderr


def test_places_that_only_uv_knows_are_said(run, here):
    (here / "pyproject.toml").write_text(
        pyproject(dependencies=["alpha"], more='[tool.uv.sources]\nalpha = { git = "https://x.example/a" }\n')
    )
    answer = run("-r", "pyproject.toml")
    assert versions(answer) == {"alpha": "2.0"}
    assert "warning: pyproject.toml: where [tool.uv.sources] has alpha is not read: name uv.lock" in answer.stderr


@pytest.fixture
def put(here, shelf):
    """A way to put a file of each kind there, each of which asks for another package."""
    locked = [Locked("alpha", "1.0", [shelf / "alpha-1.0-py3-none-any.whl"])]
    texts = {
        "pyproject.toml": pyproject(dependencies=["alpha"]),
        "requirements.txt": "alpha==1.5\n",
        "environment.yml": "dependencies: [alpha=1.5]\n",
        "conda.yaml": "dependencies: [alpha=1.5]\n",
        "conda_dependencies.yml": "dependencies: [alpha=1.5]\n",
        "uv.lock": uv_lock(locked),
        "poetry.lock": poetry_lock(locked),
        "pdm.lock": pdm_lock(locked),
        "Pipfile.lock": pipfile_lock(locked),
        "Pipfile": "",
        "pylock.toml": pylock(locked),
        "tools only": "[tool.ruff]\nline-length = 1\n",
    }

    def put(*names):
        for name in names:
            (here / ("pyproject.toml" if name == "tools only" else name)).write_text(texts[name])

    return put


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "taken", "version"),
    [
        (["pyproject.toml"], "pyproject.toml", "2.0"),
        (["requirements.txt"], "requirements.txt", "1.5"),
        (["requirements.txt", "tools only"], "requirements.txt", "1.5"),
        (["environment.yml"], "environment.yml", "1.5.*"),
        (["conda.yaml"], "conda.yaml", "1.5.*"),
        (["conda_dependencies.yml"], "conda_dependencies.yml", "1.5.*"),
        (["uv.lock", "pyproject.toml"], "uv.lock", "1.0"),
        (["poetry.lock", "pyproject.toml"], "poetry.lock", "1.0"),
        (["pdm.lock", "pyproject.toml"], "pdm.lock", "1.0"),
        (["Pipfile.lock", "Pipfile"], "Pipfile.lock", "1.0"),
        (["pylock.toml", "pyproject.toml"], "pylock.toml", "1.0"),
    ],
)
def test_without_any_requirement_the_only_file_is_taken_and_said(run, put, names, taken, version):
    put(*names)
    answer = run()
    assert answer.stderr.splitlines()[0] == f"nothing was named: -r {taken}"
    assert versions(answer) == {"alpha": version.removesuffix(".*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "got"),
    [
        (["pyproject.toml", "requirements.txt"], "requirements.txt, pyproject.toml"),
        (["uv.lock", "poetry.lock", "pyproject.toml"], "uv.lock, poetry.lock"),
        (["environment.yml", "conda.yaml"], "environment.yml, conda.yaml"),
    ],
)
def test_of_several_files_none_is_taken(run, put, names, got):
    put(*names)
    answer = run()
    assert answer.returncode == 2
    assert answer.stderr == (
        f"error: requirements: nothing was asked for, and several files could say it; got {got}\n"
        f"hint: name the one that is meant: -r {got.partition(',')[0]}\n"
    )


@pytest.mark.slow
def test_without_any_file_nothing_was_asked_for(run, put):
    put("tools only", "Pipfile")
    answer = run()
    assert answer.returncode == 2
    assert "nothing was asked for" in answer.stderr


@pytest.mark.slow
def test_what_lock_writes_is_what_create_takes_and_never_its_own_input(run, put, here):
    put("pyproject.toml")
    for _ in range(2):
        answer = run("-o", "pylock.toml")
        assert answer.returncode == 0, answer.stderr
        assert "nothing was named: -r pyproject.toml" in answer.stderr
    answer = run("-o", "deps.pyz", "--compile", "never", command="create")
    assert answer.returncode == 0, answer.stderr
    assert "nothing was named: --lock pylock.toml" in answer.stderr
    assert (here / "deps.pyz").is_file()
