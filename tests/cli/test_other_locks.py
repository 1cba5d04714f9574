"""``-r uv.lock`` and the locks of other tools, as a user types it; without the package index."""

from __future__ import annotations

import hashlib
import tomllib

import pytest
from support.commands import bundle
from support.lock_factory import (
    Locked,
    pdm_lock,
    pipfile_lock,
    poetry_lock,
    pylock,
    pyproject,
    uv_lock,
)
from support.sdist_factory import make_sdist, project_files
from support.wheel_factory import make_wheel

WINDOWS = "sys_platform == 'win32'"
PROJECT = pyproject(dependencies=["alpha", f"winonly; {WINDOWS}"], extras={"net": ["gamma"]}, groups={"dev": ["delta"]})
POETRY_PROJECT = f"""\
[tool.poetry]
name = "svc"
version = "1.0"
[tool.poetry.dependencies]
python = ">=3.7"
alpha = "^1.0"
winonly = {{version = "*", markers = "{WINDOWS}"}}
gamma = {{version = "*", optional = true}}
[tool.poetry.extras]
net = ["gamma"]
[tool.poetry.group.dev.dependencies]
delta = "*"
"""
# Name of the lock, how it is written, the file that it was made of.
LOCKS = {
    "uv": ("uv.lock", uv_lock, PROJECT),
    "poetry 2": ("poetry.lock", poetry_lock, PROJECT),
    "poetry 1.8": ("poetry.lock", lambda packages: poetry_lock(packages, version="2.0"), POETRY_PROJECT),
    "poetry 1.1": ("poetry.lock", lambda packages: poetry_lock(packages, version="1.1"), POETRY_PROJECT),
    "pdm": ("pdm.lock", pdm_lock, PROJECT),
    "pdm, no metadata": ("pdm.lock", lambda packages: pdm_lock(packages, strategy=()), PROJECT),
    "pipenv": ("Pipfile.lock", pipfile_lock, None),
    "pylock": ("pylock.toml", pylock, None),
    "named pylock": ("pylock.serving.toml", pylock, None),
}


@pytest.fixture
def shelf(tmp_path):
    """Wheels in two versions: the locks have the older one."""
    directory = tmp_path / "shelf"
    directory.mkdir()
    for name in ("alpha", "beta", "gamma", "delta", "winonly"):
        for version in ("1.0", "1.5"):
            requires = ("beta",) if name == "alpha" else ()
            make_wheel(directory, name, version, {f"{name}.py": b""}, requires=requires)
    return directory


@pytest.fixture
def packages(shelf):
    def locked(name, **fields):
        return Locked(name, "1.0", [shelf / f"{name}-1.0-py3-none-any.whl"], **fields)

    return [
        locked("alpha", requires=("beta",)),
        locked("beta"),
        locked("delta", groups=("dev",)),
        locked("gamma", extra="net", groups=("main",)),
        locked("winonly", marker=WINDOWS),
    ]


@pytest.fixture
def run(cache, shelf, tmp_path):
    def run(*arguments, command="lock"):
        places = ["--no-index", "--find-links", shelf, "--cache-dir", cache.root]
        return bundle(command, *places, *arguments, cwd=tmp_path)

    return run


def write(directory, kind, packages):
    """Write the lock of *kind* to *directory*; return its name."""
    name, lock, project = LOCKS[kind]
    if kind == "pipenv":
        packages = [package for package in packages if not package.extra]
    if kind.startswith("pdm"):  # an extra of the project is a group there
        for package in packages:
            package.groups = (package.extra,) if package.extra else package.groups
    (directory / name).write_text(lock(packages))
    if project is not None:
        (directory / "pyproject.toml").write_text(project)
    return name


def versions(answer):
    assert answer.returncode == 0, answer.stderr
    return {package["name"]: package["version"] for package in tomllib.loads(answer.stdout)["packages"]}


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_is_taken_as_it_is_for_the_target(run, tmp_path, packages, kind):
    name = write(tmp_path, kind, packages)
    assert versions(run("-r", name)) == {"alpha": "1.0", "beta": "1.0"}


@pytest.mark.parametrize("kind", LOCKS)
def test_extras_and_groups_are_taken_where_they_are_asked_for(run, tmp_path, packages, kind):
    name = write(tmp_path, kind, packages)
    extra = () if kind == "pipenv" else ("--extra", "net")
    found = versions(run("-r", name, *extra, "--group", "dev"))
    assert set(found) == {"alpha", "beta", "delta", *(["gamma"] if extra else [])}
    assert set(found.values()) == {"1.0"}


@pytest.mark.parametrize("kind", LOCKS)
def test_another_file_than_the_lock_lists_is_refused(run, tmp_path, shelf, packages, kind):
    name = write(tmp_path, kind, packages)
    (shelf / "beta-1.0-py3-none-any.whl").unlink()
    make_wheel(shelf, "beta", "1.0", {"beta.py": b"other"})
    answer = run("-r", name)
    assert answer.returncode == 3, answer.stderr
    assert f"error: {name}:" in answer.stderr
    assert "lists no hash of a wheel of beta 1.0" in answer.stderr
    line = int(answer.stderr.partition(f"error: {name}:")[2].partition(":")[0])
    around = (tmp_path / name).read_text().splitlines()[line - 1 : line + 1]
    assert "beta" in "".join(around)


@pytest.mark.parametrize("kind", ["uv", "poetry 1.8", "pipenv"])
def test_what_no_lock_lists_is_refused(run, tmp_path, packages, kind):
    name = write(tmp_path, kind, [package for package in packages if package.name != "beta"])
    if kind == "uv":
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace('dependencies = [\n    { name = "beta" },\n]\n', "", 1))
    answer = run("-r", name)
    assert answer.returncode == 2, answer.stderr
    assert f"error: {name}: does not list what its packages need on the target; got beta 1.5" in answer.stderr


@pytest.mark.slow
def test_beside_other_requirements_what_they_bring_is_named(run, tmp_path, packages):
    name = write(tmp_path, "poetry 2", packages)
    (tmp_path / "requirements.txt").write_text("gamma\n")
    answer = run("-r", name, "-r", "requirements.txt")
    assert versions(answer) == {"alpha": "1.0", "beta": "1.0", "gamma": "1.5"}
    assert "warning: in no lock, and chosen here: gamma 1.5" in answer.stderr


@pytest.mark.slow
def test_a_package_without_a_hash_is_said(run, tmp_path, packages):
    name = write(tmp_path, "pdm", packages)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace("files = [", "other = ["))
    answer = run("-r", name)
    assert versions(answer) == {"alpha": "1.0", "beta": "1.0"}
    assert "warning: pdm.lock: lists no hash of alpha, beta: any file of the version is taken" in answer.stderr


@pytest.mark.slow
def test_hashes_of_other_kinds_are_not_enough(run, tmp_path, packages):
    packages[1].hashes = ["md5:" + "0" * 32]
    name = write(tmp_path, "poetry 2", packages)
    answer = run("-r", name)
    assert answer.returncode == 3
    assert "has no valid sha256 among its hashes" in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uv", "poetry 2", "pdm", "pipenv"])
def test_a_lock_for_another_python_is_an_error_that_names_both(run, tmp_path, packages, kind):
    name = write(tmp_path, kind, packages)
    for path in (tmp_path / name, tmp_path / "pyproject.toml"):
        if path.exists():
            path.write_text(path.read_text().replace(">=3.7", ">=3.9").replace('"3.7"', '"3.9"'))
    answer = run("-r", name, "--target", "azureml-py37")
    assert answer.returncode == 2
    assert "asks for another Python than --target; got" in answer.stderr
    assert "3.9, want 3.7.16" in answer.stderr
    answer = run("-r", name)
    assert versions(answer) == {"alpha": "1.0", "beta": "1.0"}
    assert "3.9 → --target azureml-py39 (cpython 3.9.18" in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("option", "known"), [("--extra", "net"), ("--group", "dev")])
def test_an_extra_that_is_not_there_is_an_error_that_names_those_that_are(run, tmp_path, packages, option, known):
    name = write(tmp_path, "uv", packages)
    answer = run("-r", name, option, "nope")
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: {option}: names what no file has; got nope, want {known}\n")


@pytest.mark.slow
def test_projects_and_archives_of_a_lock_are_built(run, tmp_path, packages, shelf):
    project = tmp_path / "local"
    for path, text in project_files("local", "0.1", {"local.py": ""}).items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    archive = make_sdist(tmp_path, "epsilon", "2.0", {"epsilon.py": ""})
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    hashes = f'{{ sha256 = "{digest}" }}'
    more = (
        '\n[[packages]]\nname = "local"\ndirectory = { path = "local", editable = true }\n'
        f'\n[[packages]]\nname = "epsilon"\narchive = {{ path = "{archive.name}", hashes = {hashes} }}\n'
    )
    (tmp_path / "pylock.toml").write_text(pylock(packages, more=more))
    answer = run("-r", "pylock.toml")
    assert versions(answer) == {"alpha": "1.0", "beta": "1.0", "epsilon": "2.0", "local": "0.1"}
    (tmp_path / "pylock.toml").write_text(pylock(packages, more=more.replace(digest, "0" * 64)))
    answer = run("-r", "pylock.toml")
    assert answer.returncode == 3
    assert "is not what the line says" in answer.stderr
    assert "building" not in answer.stderr


@pytest.mark.slow
def test_a_source_of_the_index_that_the_lock_does_not_list_is_never_built(run, tmp_path, shelf, packages):
    make_sdist(shelf, "zeta", "1.0", {"zeta.py": ""})
    sdist = f'url = "https://index.example/zeta-1.0.tar.gz", hashes = {{ sha256 = "{"0" * 64}" }}'
    text = pylock([*packages, Locked("zeta", "1.0", [], hashes=[])])
    text = text.replace("wheels = [\n]\n", f"sdist = {{ {sdist} }}\n")
    (tmp_path / "pylock.toml").write_text(text)
    answer = run("-r", "pylock.toml")
    assert answer.returncode == 3, answer.stderr
    assert "lists no hash of a wheel of zeta 1.0" in answer.stderr
    assert "building" not in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "code", "words"),
    [
        ("poetry.lock", "[[package]", 2, "poetry.lock: is not TOML"),
        ("Pipfile.lock", "{", 2, "Pipfile.lock: is not JSON"),
        ("Pipfile.lock", "[]", 2, "is not what Pipfile.lock is; got list"),
        ("Pipfile.lock", '{"_meta": {"pipfile-spec": 9}}', 2, "has a format that is not known; got 9"),
        ("pdm.lock", "", 2, "has a format that is not known; got none"),
        ("poetry.lock", '[metadata]\nlock-version = "9.0"\n', 2, "has a format that is not known; got 9.0"),
        ("poetry.lock", '[[package]]\nname = 3\ngroups = ["main"]\n', 2, "name: is not what stands here; got int"),
        ("poetry.lock", '[[package]]\nname = "a"\nversion = "1\\n-r x"\ngroups = ["main"]\n', 2, "not one line"),
        ("poetry.lock", '[[package]]\nname = "a -r x"\nversion = "1"\ngroups = ["main"]\n', 2, "has no name that"),
        ("poetry.lock", '[[package]]\nname = "a"\nversion = "1"\n', 2, "has no pyproject.toml beside it"),
        ("uv.lock", "version = 1\n", 2, "has no pyproject.toml beside it"),
        ("pylock.toml", "x = 1\n", 3, "is not a valid pylock.toml"),
        ("Pipfile", "", 2, "hint: lock it with pipenv lock, and name Pipfile.lock"),
        ("uv.lock", None, 2, "uv.lock: cannot be read"),
    ],
)
def test_a_bad_lock_has_a_clear_error_and_leaves_nothing(run, tmp_path, name, text, code, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.iterdir())
    answer = run("-r", name, "-o", "deps.pyz", command="create")
    assert answer.returncode == code, answer.stderr
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
    assert sorted(tmp_path.iterdir()) == before
