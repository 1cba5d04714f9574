"""A bundle in the real Azure ML inference server, unmodified, with no network: every way that docs/azureml.md names.

The path is set as the image's start script sets it: ``PYTHONPATH="DIR:$PYTHONPATH"`` for the variable, in the app root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from support.commands import REQUIREMENTS, create
from support.inference_server import ServerDiedError, running_server, server_environment
from support.interpreters import python

pytestmark = [pytest.mark.network, pytest.mark.slow]

SCORE = """
import os
import numpy, pandas, sklearn, scipy.stats
from sklearn.linear_model import LinearRegression


def init():
    global model
    frame = pandas.DataFrame({"a": numpy.arange(10.0), "b": numpy.ones(10)})
    model = LinearRegression().fit(frame, frame["a"] * 2 + 1)
    if "WITNESSES" in os.environ:
        with open(os.path.join(os.environ["WITNESSES"], str(os.getpid())), "w") as file:
            file.write(sklearn.__file__)


def run(data):
    modules = (numpy, pandas, sklearn, scipy)
    return {
        "prediction": round(float(model.predict(pandas.DataFrame({"a": [20.0], "b": [1.0]}))[0]), 6),
        "versions": [module.__version__ for module in modules],
        "files": [module.__file__ for module in modules],
    }
"""
ONE_LINE = (
    "import os, sys; sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'packed'));"
    " import bundle_runtime; bundle_runtime.mount('packed')\n"
)
ENTRY = "onlinescoring/score.py"
VERSIONS = ["1.21.6", "1.3.5", "1.0.2", "1.7.3"]


@pytest.fixture(scope="session")
def venv(tmp_path_factory):
    """The image's environment: the server, and nothing that the bundle has."""
    return server_environment(tmp_path_factory, python("3.7"), "0.8.4.2")


@pytest.fixture(scope="session")
def app(tmp_path_factory, builder_cache):
    """A code folder with the bundle in every form beside the score script."""
    app = tmp_path_factory.mktemp("app")
    scoring = app / "onlinescoring"
    scoring.mkdir()
    (scoring / "score.py").write_text(SCORE)
    (scoring / "score_one_line.py").write_text(ONE_LINE + SCORE)
    facts = {}
    for form, name in (("packed", "packed"), ("tree", "tree"), ("pyz", "deps.pyz"), ("wheelhouse", "wheelhouse")):
        arguments = ["-r", REQUIREMENTS / "sklearn.txt", "--format", form, "--azureml"]
        facts[form] = create(scoring / name, *arguments, cache=builder_cache)
    return app, facts


def variable(app, value):
    """Return the PYTHONPATH that the image's start script makes of AZUREML_EXTRA_PYTHON_LIB_PATH."""
    directory = app / os.path.dirname(ENTRY) / value
    assert directory.is_dir(), "the container would exit with 97"
    return f"{directory}:"


def check_scores(server, where, versions=VERSIONS):
    assert server.get("/").status == 200
    answer = server.post("/score", {"data": [1]})
    assert answer.status == 200, server.log
    facts = answer.json()
    assert facts["prediction"] == 41.0
    assert facts["versions"] == versions
    for file in facts["files"]:
        assert file.startswith(str(where) + os.sep), file


def check_workers(witnesses, where, workers):
    """Wait until each of *workers* has said where its modules are from."""
    deadline = time.monotonic() + 60
    while len(os.listdir(witnesses)) < workers and time.monotonic() < deadline:
        time.sleep(0.1)
    found = [path.read_text() for path in witnesses.iterdir()]
    assert found == [f"{where}/sklearn/__init__.py"] * workers


def cached(facts, cache):
    return cache / facts["digest"].removeprefix("sha256:") / "site-packages"


@pytest.mark.parametrize("workers", [1, 3])
def test_the_variable_with_a_packed_directory(workers, venv, app, tmp_path):
    root, facts = app
    settings = facts["packed"]["environment_variables"]
    cache, report = tmp_path / "cache", tmp_path / "report.json"
    environ = {
        "PYTHONPATH": variable(root, settings["AZUREML_EXTRA_PYTHON_LIB_PATH"]),
        "BUNDLE_EXPECT": settings["BUNDLE_EXPECT"],
        "BUNDLE_CACHE": str(cache),
        "BUNDLE_REPORT": str(report),
        "WORKER_COUNT": str(workers),
    }
    for time_of_day in ("cold", "warm"):
        (tmp_path / time_of_day).mkdir()
        with running_server(venv, root, ENTRY, {**environ, "WITNESSES": str(tmp_path / time_of_day)}) as server:
            check_scores(server, cached(facts["packed"], cache))
            check_workers(tmp_path / time_of_day, cached(facts["packed"], cache), workers)
    told = json.loads(report.read_text())
    assert (told["decision"], told["trust"]) == ("unpacked", "verified")


def test_the_variable_with_a_tree(venv, app, tmp_path):
    root, facts = app
    settings = facts["tree"]["environment_variables"]
    value = settings["AZUREML_EXTRA_PYTHON_LIB_PATH"]
    assert value == "tree/site-packages"
    environ = {"PYTHONPATH": variable(root, value), "BUNDLE_CACHE": str(tmp_path), "WORKER_COUNT": "3"}
    environ.update(BUNDLE_EXPECT=settings["BUNDLE_EXPECT"], WITNESSES=str(tmp_path / "witnesses"))
    (tmp_path / "witnesses").mkdir()
    with running_server(venv, root, ENTRY, environ) as server:
        check_scores(server, root / "onlinescoring/tree/site-packages")
        check_workers(tmp_path / "witnesses", root / "onlinescoring/tree/site-packages", 3)


def test_pythonpath_with_a_packed_directory_relative_to_the_app_root(venv, app, tmp_path):
    root, facts = app
    environ = {"PYTHONPATH": "onlinescoring/packed", "BUNDLE_CACHE": str(tmp_path)}
    with running_server(venv, root, ENTRY, environ) as server:
        check_scores(server, cached(facts["packed"], tmp_path))


def test_pythonpath_with_a_pyz_as_the_settings_say(venv, app, tmp_path):
    root, facts = app
    settings = facts["pyz"]["environment_variables"]
    assert settings["PYTHONPATH"] == "onlinescoring/deps.pyz"
    with running_server(venv, root, ENTRY, {**settings, "BUNDLE_CACHE": str(tmp_path)}) as server:
        check_scores(server, cached(facts["pyz"], tmp_path))


def test_one_line_in_the_score_script(venv, app, tmp_path):
    root, facts = app
    environ = {"BUNDLE_CACHE": str(tmp_path), "BUNDLE_EXPECT": facts["packed"]["digest"]}
    with running_server(venv, root, "onlinescoring/score_one_line.py", environ) as server:
        check_scores(server, cached(facts["packed"], tmp_path))


def test_one_line_says_what_the_server_has_imported_before(venv, builder_cache, tmp_path):
    (tmp_path / "score.py").write_text(
        ONE_LINE + "import click\ndef init(): pass\ndef run(data): return click.__file__\n"
    )
    create(tmp_path / "packed", "click==8.1.3", "--format", "packed", cache=builder_cache)
    with running_server(venv, tmp_path, "score.py", {"BUNDLE_CACHE": str(tmp_path / "cache")}) as server:
        image = f"{venv}/lib/python3.7/site-packages/click/__init__.py"
        assert server.post("/score", {}).json() == image
        assert f"were imported before and stay: click ({image})" in server.log


def test_a_wheelhouse_through_the_servers_own_pip(venv, app, tmp_path):
    root, facts = app
    value = facts["wheelhouse"]["environment_variables"]["AZUREML_EXTRA_REQUIREMENTS_TXT"]
    requirements = root / "onlinescoring" / value
    copy = tmp_path / "venv"
    shutil.copytree(venv, copy, symlinks=True)
    # What the start script types; the environment is another one, so that the others stay as they are.
    command = ["unshare", "-rn", copy / "bin/python", "-m", "pip", "install", "-r", requirements]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=root)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for script in (copy / "bin").iterdir():
        if script.is_file() and not script.is_symlink() and script.read_bytes()[:2] == b"#!":
            script.write_bytes(script.read_bytes().replace(str(venv).encode(), str(copy).encode(), 1))
    with running_server(copy, root, ENTRY, {}) as server:
        check_scores(server, copy / "lib/python3.7/site-packages")


# --- a newer server on a newer Python -------------------------------------------------------------------------------

NEWER = ["numpy==1.26.4", "pandas==2.2.2", "scikit-learn==1.4.2", "scipy==1.13.0"]


@pytest.mark.parametrize("form", ["packed", "tree"])
def test_a_newer_server_on_a_newer_python(form, builder_cache, tmp_path, tmp_path_factory):
    """Its image ignores the variable: PYTHONPATH, relative to the app root."""
    newer = server_environment(tmp_path_factory, python("3.12"), "1.5.1")
    (tmp_path / "score.py").write_text(SCORE)
    arguments = [*NEWER, "--target", "azureml-py312", "--format", form, "--azureml"]
    facts = create(tmp_path / "deps", *arguments, cache=builder_cache)
    cache = tmp_path / "cache"
    path = "deps" if form == "packed" else "deps/site-packages"
    where = cached(facts, cache) if form == "packed" else tmp_path / path
    environ = {"PYTHONPATH": path, "BUNDLE_CACHE": str(cache), "BUNDLE_EXPECT": facts["digest"], "WORKER_COUNT": "3"}
    for _ in ("cold", "warm"):
        with running_server(newer, tmp_path, "score.py", environ) as server:
            check_scores(server, where, ["1.26.4", "2.2.2", "1.4.2", "1.13.0"])


# --- refusals -------------------------------------------------------------------------------------------------------


def dies(venv, app, environ, code, *words, entry=ENTRY):
    report = environ["BUNDLE_REPORT"]
    with pytest.raises(ServerDiedError) as caught, running_server(venv, app, entry, environ):
        pass
    assert caught.value.code == code, caught.value.log
    last = caught.value.log.strip().splitlines()[-1]
    told = json.loads(Path(report).read_text())
    for word in words:
        assert word in last
        assert word in told["error"]
    assert told["exit_code"] == code


@pytest.fixture
def environ(app, tmp_path):
    root, _ = app
    return {
        "PYTHONPATH": variable(root, "packed"),
        "BUNDLE_CACHE": str(tmp_path / "cache"),
        "BUNDLE_REPORT": str(tmp_path / "report.json"),
    }


def test_a_tampered_packed_directory_never_becomes_healthy(venv, app, environ, tmp_path):
    root, _ = app
    copy = tmp_path / "packed"
    shutil.copytree(root / "onlinescoring/packed", copy)
    blob = max((copy / "blobs/sha256").iterdir(), key=lambda each: each.stat().st_size)
    with blob.open("r+b") as file:
        file.seek(blob.stat().st_size // 2)
        file.write(b"tampered")
    dies(venv, root, {**environ, "PYTHONPATH": f"{copy}:"}, 3, blob.name, "is damaged at byte", "[C19]")


def test_another_digest_than_expected_never_becomes_healthy(venv, app, environ):
    dies(venv, app[0], {**environ, "BUNDLE_EXPECT": "sha256:" + "0" * 64}, 4, "is another bundle than expected")


def test_a_bundle_for_another_python_never_becomes_healthy(venv, app, environ, builder_cache, tmp_path):
    create(tmp_path / "deps", "six==1.16.0", "--target", "azureml-py39", "--format", "packed", cache=builder_cache)
    dies(venv, app[0], {**environ, "PYTHONPATH": f"{tmp_path}/deps:"}, 5, "was built for another Python", "want 3.9")


def test_no_room_never_becomes_healthy(venv, app, environ, tmp_path):
    """A real small disk: 64 MiB for a tree of 350 MB."""
    root, _ = app
    (tmp_path / "small").mkdir()
    program = venv / "bin" / "azmlinfsrv"
    script = 'mount -t tmpfs -o size=64m tmpfs "$1" && shift && exec "$@"'
    command = ["unshare", "-rmn", "bash", "-c", script, "bash", tmp_path / "small", program, "--entry_script", ENTRY]
    env = {"PATH": os.environ["PATH"], **environ, "BUNDLE_CACHE": str(tmp_path / "small" / "cache")}
    answer = subprocess.run(list(map(str, command)), cwd=root, env=env, capture_output=True, text=True, check=False)
    assert answer.returncode == 6
    assert "MiB are needed" in answer.stderr.splitlines()[-1]
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["exit_code"] == 6
    assert os.listdir(tmp_path / "small") == []


def test_read_only_everything_with_a_tree_works(venv, app, tmp_path):
    """No place to write to but /dev/shm, which the server's own workers need."""
    root, facts = app
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy, sklearn, os\n"
        "try:\n    open(sys.argv[2] + '/x', 'w')\nexcept OSError as error:\n    print(error.errno, sklearn.__file__)\n"
    )
    command = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--ro-bind", "/", "/"]
    command += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--clearenv"]
    command += ["--setenv", "PYTHONPATH", root / "onlinescoring/tree/site-packages"]
    command += ["--setenv", "BUNDLE_EXPECT", facts["tree"]["digest"]]
    command += [venv / "bin/python", driver, root, tmp_path]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"30 {root}/onlinescoring/tree/site-packages/sklearn/__init__.py\n"
