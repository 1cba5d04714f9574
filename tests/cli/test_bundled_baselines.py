"""What the presets' images have, as a user hears of it and leaves it out; without the package index."""

from __future__ import annotations

import json
import tomllib

import pytest
from support.commands import bundle
from support.package_servers import Site, serving
from support.wheel_factory import make_wheel

from bundler.resolving.baseline.bundled_baselines import BundledBaseline

SERVER = "azureml-inference-server-http"
LISTED = BundledBaseline.of("azureml-py37").baseline.packages
ENVIRONMENT = """\
dependencies:
  - python={python}
  - pip:
    - azureml-defaults
    - azureml-inference-server-http
    - inference-schema
    - app
"""


@pytest.fixture
def shelf(tmp_path):
    """Wheels: of what the images have, only pydantic and certifi."""
    directory = tmp_path / "shelf"
    for name, version, requires in (
        ("app", "1.0", ["lib", "certifi"]),
        ("lib", "1.0", []),
        ("pydantic", str(LISTED["pydantic"].version), []),
        ("pydantic", "2.99", []),
        ("certifi", str(LISTED["certifi"].version), []),
    ):
        make_wheel(directory, name, version, {f"{name}.py": b"x = 1\n"}, requires=requires)
    return directory


@pytest.fixture
def run(cache, shelf, tmp_path):
    def run(command, *arguments, where=cache.root):
        places = ["--no-index", "--find-links", shelf, "--cache-dir", where]
        return bundle(command, *places, *arguments, cwd=tmp_path)

    return run


def locked(answer):
    assert answer.returncode == 0, answer.stderr
    lock = tomllib.loads(answer.stdout)
    provided = {item["name"]: item["version"] for item in lock["tool"]["bundler"].get("provided", [])}
    return [package["name"] for package in lock["packages"]], provided


def test_a_conda_file_with_azureml_defaults_and_the_server_leaves_them_to_the_image(run, tmp_path):
    """No wheel of the server, of azureml-defaults or of what they require is to be had."""
    (tmp_path / "environment.yml").write_text(ENVIRONMENT.format(python="3.11"))
    answer = run("lock", "-r", "environment.yml", "--skip-provided")
    names, provided = locked(answer)
    assert names == ["app", "lib"]
    for preset_has in ("azureml-defaults", SERVER, "inference-schema", "certifi", "flask", "azureml-core", "werkzeug"):
        assert provided[preset_has] == str(BundledBaseline.of("azureml-py311").baseline.packages[preset_has].version)
    assert "azureml-py311 is the list of 2026-" in answer.stderr


def test_no_index_is_asked_about_what_only_the_image_needs(shelf, cache, tmp_path):
    arguments = ("--skip-provided", "--find-links", shelf, "--cache-dir", cache.root)
    with serving(Site()) as index:
        answer = bundle("lock", "app", SERVER, *arguments, "--index-url", f"{index.base}/simple", cwd=tmp_path)
    assert locked(answer)[0] == ["app", "lib"]
    asked = {request.path.strip("/").partition("simple/")[2] for request in index.requests}
    assert asked == {"app", "certifi", "lib", SERVER}


def test_the_same_lock_from_an_empty_cache_and_offline(run, tmp_path):
    arguments = ("app", SERVER, "--skip-provided")
    first = run("lock", *arguments)
    assert locked(first)[0] == ["app", "lib"]
    for more in ([], ["--offline"]):
        assert run("lock", *arguments, *more, where=tmp_path / f"cache-{len(more)}").stdout == first.stdout


@pytest.mark.slow
def test_what_the_image_has_is_said_in_one_line_and_nothing_is_left_out(run):
    answer = run("lock", "app", "pydantic<2")
    assert locked(answer) == (["app", "certifi", "lib", "pydantic"], {})
    (line,) = [line for line in answer.stderr.splitlines() if "the image of" in line]
    assert line.startswith("the image of azureml-py37 has already, by the list of 2026-")
    named = f"pydantic {LISTED['pydantic'].version}, certifi {LISTED['certifi'].version}"
    assert line.endswith(f": {named}; --skip-provided leaves them out")
    assert "the image" not in run("lock", "app", "pydantic<2", "-q").stderr
    assert "the image" not in run("lock", "app", "--python", "3.9.1", "--platform", "musllinux_1_2_x86_64").stderr


@pytest.mark.slow
def test_what_is_asked_for_in_a_version_of_the_image_is_the_images_though_another_one_was_chosen(run, shelf):
    make_wheel(shelf, "lib", "3.0", {"lib.py": b""}, requires=["six"])
    make_wheel(shelf, "six", "99.0", {"six.py": b""})
    answer = run("lock", "lib", "six")
    assert f": six {LISTED['six'].version}; --skip-provided leaves it out" in answer.stderr
    assert "has already" not in run("lock", "lib").stderr, "nobody has asked for six, and the image has another one"
    assert "has already" not in run("lock", "lib", "six>=99").stderr
    names, provided = locked(run("lock", "lib", "six", "--skip-provided"))
    assert (names, list(provided)) == (["lib"], ["six"])


@pytest.mark.slow
def test_what_the_server_refuses_is_a_warning_that_names_it(run, shelf):
    answer = run("lock", "pydantic", "-q")
    assert locked(answer)[0] == ["pydantic"]
    (line,) = answer.stderr.splitlines()
    assert line.startswith("warning: the bundle stands before the image of azureml-py37, whose server may not start: ")
    assert f": {SERVER} 0.8.4.2 requires pydantic<1.11,>=1.9, and the bundle has 2.99. --baseline azureml-py37" in line
    assert "warning" not in run("lock", "pydantic<2").stderr
    assert "warning" not in run("lock", "pydantic", "lib", "--drop", "pydantic").stderr
    assert locked(run("lock", "pydantic", "--baseline", "azureml-py37"))[0] == ["pydantic"]
    make_wheel(shelf, SERVER.replace("-", "_"), "9.0", {"server.py": b""}, requires=["pydantic>=2"])
    assert "warning" not in run("lock", "pydantic", SERVER).stderr, "the bundle's own server stands before the image's"


@pytest.mark.slow
def test_a_baseline_that_is_named_wins(run, tmp_path):
    (tmp_path / "freeze.txt").write_text("lib==1.0\n")
    answer = run("lock", "app", "--baseline", "freeze.txt", "--skip-provided")
    assert locked(answer) == (["app", "certifi"], {"lib": "1.0"})
    assert "the list of" not in answer.stderr
    assert "the image of" not in run("lock", "app", "--baseline", "freeze.txt").stderr


@pytest.mark.slow
def test_create_leaves_it_out_and_check_takes_the_presets_name(run):
    made = run("create", "app", "--skip-provided", "-o", "thin.pyz", "--compile", "never", "--json")
    assert made.returncode == 0, made.stderr
    facts = json.loads(made.stdout)
    assert [package["name"] for package in facts["packages"]] == ["app", "lib"]
    assert [item["name"] for item in facts["provided"]] == ["certifi"]
    answer = run("check", "thin.pyz", "--baseline", "azureml-py37")
    assert answer.returncode == 0, answer.stdout
    assert "note: azureml-py37 is the list of 2026-" in answer.stdout
    assert run("create", "pydantic", "-o", "two.pyz", "--compile", "never", "-q").returncode == 0
    answer = run("check", "two.pyz", "--baseline", "azureml-py37", "--offline")
    assert answer.returncode == 1
    assert f"broken: {SERVER} 0.8.4.2 requires pydantic<1.11,>=1.9 of the image; the bundle has 2.99" in answer.stdout
    answer = run("check", "thin.pyz", "--baseline", "azureml-py312")
    assert answer.returncode == 2
    assert "is the baseline of another Python" in answer.stderr


@pytest.mark.slow
def test_a_bundle_of_which_the_image_has_everything_is_empty_and_fine(run, tmp_path):
    made = run("create", "certifi", "--skip-provided", "-o", "empty.pyz", "--compile", "never", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["packages"] == []
    assert "0 packages" in run("create", "certifi", "--skip-provided", "-o", "again.pyz", "--compile", "never").stdout
    assert bundle("verify", "empty.pyz", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_where_nothing_is_known_of_the_image_skip_provided_wants_to_be_told(run):
    answer = run("lock", "app", "--skip-provided", "--python", "3.13.0")
    assert answer.returncode == 2
    assert "--skip-provided: needs a --baseline: only what the images of the presets have is known" in answer.stderr
    assert "pip inspect" in answer.stderr
