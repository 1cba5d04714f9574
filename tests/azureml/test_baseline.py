"""The real inference server under bundles: what ``check`` reports kills it, what ``--baseline`` makes does not."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest
from support.inference_server import ServerDiedError, running_server, server_environment
from support.interpreters import python

from bundler.resolving.baseline.baselines import ask_interpreter
from bundler.resolving.baseline.bundled_baselines import BundledBaseline

pytestmark = [pytest.mark.network, pytest.mark.slow]

SCORE = """\
import json

{imports}


def init():
    pass


def run(data):
    return {{"version": {version}, "file": {module}.__file__}}
"""


@pytest.fixture(scope="module")
def venv(tmp_path_factory):
    return server_environment(tmp_path_factory, python("3.7"), "0.8.4.2")


@pytest.fixture(scope="module")
def place(tmp_path_factory, venv):
    directory = tmp_path_factory.mktemp("deployment")
    freeze = subprocess.run([venv / "bin" / "python", "-m", "pip", "freeze"], capture_output=True, check=True).stdout
    (directory / "freeze.txt").write_bytes(freeze)
    return directory


@pytest.fixture(scope="module")
def bundle(place):
    def run(command, *arguments):
        program = [sys.executable, "-c", "import sys; from bundler.cli import main; sys.exit(main())"]
        return subprocess.run(
            [*program, command, "--cache-dir", "cache", *map(str, arguments)],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def breaking(bundle):
    answer = bundle("create", "pydantic==2.5.3", "--format", "tree", "--compile", "never", "-o", "two")
    assert answer.returncode == 0, answer.stderr
    return "two"


def test_the_bundled_list_is_what_this_server_has_and_requires(venv):
    listed = BundledBaseline.of("azureml-py37").baseline.packages
    there = ask_interpreter(venv / "bin" / "python").packages
    for name, item in listed.items():
        assert there[name].version == item.version
        assert set(map(str, there[name].requires)) == set(map(str, item.requires)), name


def score(place, name, imports, module, version):
    """Return the app root of a deployment whose score script tells which module it has imported."""
    root = place / f"app-{name}"
    root.mkdir()
    (root / "score.py").write_text(SCORE.format(imports=imports, module=module, version=version))
    return root


def serve(venv, place, tree, root):
    return running_server(venv, root, "score.py", {"PYTHONPATH": f"{place / tree / 'site-packages'}:"})


@pytest.mark.parametrize("baseline", ["freeze", "interpreter"])
def test_a_bundle_with_pydantic_2_is_reported_to_break_the_server(bundle, breaking, venv, baseline):
    what = "freeze.txt" if baseline == "freeze" else venv / "bin" / "python"
    answer = bundle("check", breaking, "--baseline", what, "--json")
    assert answer.returncode == 1, answer.stderr
    document = json.loads(answer.stdout)
    (conflict,) = document["broken"]
    assert (conflict["package"], conflict["version"]) == ("azureml-inference-server-http", "0.8.4.2")
    assert (conflict["name"], conflict["found"]) == ("pydantic", "2.5.3")
    assert [item["name"] for item in document["overrides"] if item["bundle"] == "2.5.3"] == ["pydantic"]
    # wrapt 1.12.1 is published as source only: a freeze cannot tell what it requires
    assert [item["name"] for item in document["unchecked"]] == (["wrapt"] if baseline == "freeze" else [])


def test_the_server_really_dies_of_it(breaking, venv, place):
    root = score(place, "dies", "import pydantic", "pydantic", "pydantic.VERSION")
    reason = "BaseSettings` has been moved"
    with pytest.raises(ServerDiedError, match=reason) as caught, serve(venv, place, breaking, root):
        pass
    assert caught.value.code == 3


def test_the_server_starts_with_the_bundle_that_check_tells_to_make(bundle, breaking, venv, place):
    answer = bundle("check", breaking, "--baseline", "freeze.txt")
    command = shlex.split(answer.stdout.splitlines()[-1])
    assert command[:2] == ["bundle", "create"]
    answer = bundle("create", *command[2:])
    assert answer.returncode == 0, answer.stderr
    assert bundle("check", command[-1], "--baseline", "freeze.txt").returncode == 0
    root = score(place, "starts", "import pydantic", "pydantic", "pydantic.VERSION")
    with serve(venv, place, command[-1], root) as server:
        assert server.get("/").status == 200
        answer = server.post("/score", {}).json()
        assert answer["version"].startswith("1.10.")
        assert answer["file"].startswith(str(place / command[-1])), "it is the bundle's that is imported"


def test_what_cannot_go_with_the_server_is_refused_with_its_name(bundle, place):
    answer = bundle("create", "pydantic>=2", "--baseline", "freeze.txt", "-o", "none.pyz")
    assert answer.returncode == 1
    assert "the image is in the way: azureml-inference-server-http 0.8.4.2 requires pydantic" in answer.stderr
    assert not (place / "none.pyz").exists()


@pytest.mark.parametrize("baseline", [("--baseline", "freeze.txt"), ()], ids=["freeze", "preset"])
def test_what_the_server_has_is_left_to_it(bundle, venv, place, baseline, request):
    """Fastapi needs pydantic, which the image has; Deprecated needs wrapt, of which there is no wheel."""
    thin = f"thin-{request.node.callspec.id}"
    arguments = (*baseline, "--skip-provided", "--format", "tree", "--compile", "never")
    answer = bundle("create", "fastapi", "Deprecated>=1.2", *arguments, "-o", thin, "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    left = {item["name"] for item in document["provided"]}
    assert {"pydantic", "typing-extensions", "wrapt"} <= left
    assert left.isdisjoint(package["name"] for package in document["packages"])
    imports = "import deprecated, fastapi, pydantic, wrapt"
    root = score(place, thin, imports, "fastapi", "[pydantic.__file__, wrapt.__file__]")
    with serve(venv, place, thin, root) as server:
        answer = server.post("/score", {}).json()
        assert answer["file"].startswith(str(place / thin))
        assert all(file.startswith(str(venv)) for file in answer["version"])
