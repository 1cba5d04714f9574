"""``-r environment.yml``, as a user types it; without the package index."""

from __future__ import annotations

import json
import tomllib

import pytest
from support.commands import bundle
from support.wheel_factory import make_wheel

ENVIRONMENT = """\
name: demo
channels: [conda-forge]
dependencies:
  - python=3.7
  - pytorch=1.10
  - alpha=2.0
  - cudatoolkit=11.3
  - pip
  - pip:
    - -r more/requirements.txt
    - gamma
variables: {A: b}
"""


@pytest.fixture
def project(tmp_path):
    """A project beside its wheels; commands run elsewhere."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name, version in (("torch", "1.10.2"), ("torch", "2.0"), ("alpha", "2.0.1"), ("beta", "1.0"), ("gamma", "3.0")):
        make_wheel(shelf, name, version, {f"{name}.py": b""})
    directory = tmp_path / "project"
    (directory / "more").mkdir(parents=True)
    (directory / "more" / "requirements.txt").write_text("-r beta.txt\n")
    (directory / "more" / "beta.txt").write_text("beta\n")
    (directory / "environment.yml").write_text(ENVIRONMENT)
    return directory


@pytest.fixture
def run(cache, project, tmp_path):
    def run(command, *arguments):
        places = ["--no-index", "--find-links", tmp_path / "shelf", "--cache-dir", cache.root]
        return bundle(command, *places, *arguments, cwd=tmp_path)

    return run


def locked(answer):
    assert answer.returncode == 0, answer.stderr
    return tomllib.loads(answer.stdout)


def test_a_conda_file_is_locked_and_everything_is_said(run):
    answer = run("lock", "-r", "project/environment.yml")
    lock = locked(answer)
    assert [(package["name"], package["version"]) for package in lock["packages"]] == [
        *(("alpha", "2.0.1"), ("beta", "1.0"), ("gamma", "3.0"), ("torch", "1.10.2")),
    ]
    left_out = (
        "cudatoolkit (CUDA: the wheels bring it, or the image has it); "
        "pip (what installs: list it below pip: if your code imports it)"
    )
    assert answer.stderr.splitlines()[:4] == [
        "environment.yml:4: python=3.7 → --target azureml-py37 (cpython 3.7.16 cp37m x86_64 glibc 2.27)",
        "project/environment.yml: taken from PyPI: pytorch=1.10 → torch==1.10.*; by their own names: alpha==2.0.*",
        f"project/environment.yml: left out: {left_out}",
        "warning: project/environment.yml: its variables are not part of a bundle: set them where it runs",
    ]


def test_create_takes_it_too_and_says_so_even_when_quiet(run, tmp_path):
    answer = run("create", "-r", "project/environment.yml", "-o", "deps.pyz", "--json", "--compile", "never")
    assert answer.returncode == 0, answer.stderr
    facts = json.loads(answer.stdout)
    assert facts["target"]["python"] == "3.7.16"
    assert [package["name"] for package in facts["packages"]] == ["alpha", "beta", "gamma", "torch"]
    assert "pytorch=1.10 → torch==1.10.*" in answer.stderr
    assert (tmp_path / "deps.pyz").is_file()


@pytest.mark.parametrize(
    ("spec", "typed", "python"),
    [
        ("python=3.9", (), "3.9.18"),
        ("python=3.9.2", (), "3.9.2"),
        ("python>=3.7", (), "3.7.16"),
        ("python=3.9", ("--platform", "manylinux_2_28_aarch64"), "3.9.18"),
        ("python=3.8", ("--target", "azureml-py38"), "3.8.18"),
        ("python=3.8.2", ("--python", "3.8.4"), "3.8.4"),
        ("numpy-base", (), "3.7.16"),
    ],
)
def test_the_target_is_that_of_its_python(run, project, tmp_path, spec, typed, python):
    make_wheel(tmp_path / "shelf", "numpy", "1.0", {"numpy.py": b""})
    (project / "conda.yaml").write_text(f"dependencies: ['{spec}', alpha]\n")
    lock = locked(run("lock", "-r", "project/conda.yaml", *typed))
    assert lock["tool"]["bundler"]["target"]["python"] == python
    assert lock["tool"]["bundler"]["target"]["arch"] == ("aarch64" if "--platform" in typed else "x86_64")


@pytest.mark.parametrize(
    ("typed", "named"), [(("--target", "azureml-py38"), "--target"), (("--python", "3.8.18"), "--python")]
)
def test_another_python_than_was_typed_is_an_error_that_names_both(run, typed, named):
    answer = run("lock", "-r", "project/environment.yml", *typed)
    assert answer.returncode == 2
    assert answer.stderr.startswith(
        f"error: environment.yml:4: asks for another Python than {named}; got python=3.7, want 3.8.18\nhint: "
    )


def test_two_files_have_the_same_python(run, project):
    (project / "other.yml").write_text("dependencies: [python=3.8]\n")
    answer = run("lock", "-r", "project/environment.yml", "-r", "project/other.yml")
    assert answer.returncode == 2
    assert "other.yml:1: asks for another Python than environment.yml:4; got python=3.8" in answer.stderr


def test_files_of_one_name_and_of_both_kinds_go_together(run, project):
    (project / "more" / "environment.yml").write_text("dependencies: [beta]\n")
    answer = run(
        *("lock", "-r", "project/environment.yml", "-r", "project/more/environment.yml"),
        *("-r", "project/more/requirements.txt", "alpha"),
    )
    assert len(locked(answer)["packages"]) == 4


@pytest.mark.slow
def test_a_fault_names_the_conda_file_and_its_line(run, project):
    (project / "environment.yml").write_text("dependencies:\n- alpha\n- pip:\n  - beta\n  - not a requirement\n")
    answer = run("lock", "-r", "project/environment.yml")
    assert answer.returncode == 1
    assert "error: environment.yml:5: is not a requirement" in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "code", "words"),
    [
        ("missing.yml", None, 2, "missing.yml: cannot be read"),
        ("deployment.yml", "image: x\n", 2, "is not a conda environment file; got the keys image"),
        ("broken.yml", "dependencies: [\n", 2, "is not YAML"),
        ("empty.yml", "dependencies: [python=3.7, pip]\n", 2, "nothing was asked for"),
        ("old.yml", "dependencies: [python=3.6, alpha]\n", 2, "asks for a Python that no preset has"),
        ("unknown.yml", "dependencies: [no-such=1]\n", 1, "hint: no-such=1 is a conda package of project/unknown.yml"),
    ],
)
def test_a_bad_file_has_a_clear_error_and_leaves_nothing(run, project, tmp_path, name, text, code, words):
    if text is not None:
        (project / name).write_text(text)
    before = sorted(tmp_path.iterdir())
    answer = run("create", "-r", f"project/{name}", "-o", "deps.pyz")
    assert answer.returncode == code, answer.stderr
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
    assert sorted(tmp_path.iterdir()) == before
