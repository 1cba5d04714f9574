"""The configuration file, as a user has it: found, chosen from, overridden, shown; without the package index."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tomllib

import pytest
from support.commands import ROOT
from support.interpreters import target_of
from support.wheel_factory import make_wheel

from bundler.cli import main
from bundler.cli.option_keys import REFUSED

PASSWORD = "hunter2"
SHARED = """
    target = "target.json"
    no-index = true
    find-links = ["shelf"]
    compile = "never"
    """
NAMED = f"""{SHARED}
    [bundles.train]
    requirements = ["app"]
    output = "train.pyz"
    [bundles.serve]
    requirement = ["serve.txt"]
    output = "serve.pyz"
    lock = "pylock.serve.toml"
    """


@pytest.fixture
def bundle(cache, tmp_path, monkeypatch):
    """Run ``bundle`` in tmp_path, or in *below* of it, with the test's own cache; there is a shelf of wheels."""
    make_wheel(tmp_path / "shelf", "app", "1.0", {"app.py": b"x = 1\n"}, requires=["lib"])
    make_wheel(tmp_path / "shelf", "lib", "2.0", {"lib.py": b"x = 1\n"})
    (tmp_path / "target.json").write_text(json.dumps(target_of("3.7").to_json()))
    (tmp_path / "serve.txt").write_text("lib==2.0\n")
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("BUNDLE_CACHE_DIR", str(cache.root))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, below="", **environ):
        (tmp_path / below).mkdir(exist_ok=True)
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as there, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            there.chdir(tmp_path / below)
            for name, value in environ.items():
                there.setenv(name, value)
            try:
                code = main(list(map(str, arguments)))
            except SystemExit as exit_:
                code = exit_.code
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def written(tmp_path):
    def write(text, name="bundle.toml"):
        (tmp_path / name).write_text(text)

    return write


def packages(path):
    return [item["name"] for item in tomllib.loads(path.read_text())["packages"]]


def test_create_needs_no_option_where_a_file_has_them(bundle, written, tmp_path):
    written(f'{SHARED}\nrequirements = ["app"]\noutput = "deps.pyz"\n')
    answer = bundle("create")
    assert answer.returncode == 0, answer.stderr
    told = "bundle.toml: target, no-index, find-links, compile, requirements, output\n"
    assert answer.stderr.startswith(told)
    assert answer.stdout.startswith("deps.pyz: ")
    answer = bundle("create", "-o", "two.pyz", "-q", below="sub")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert (tmp_path / "sub" / "two.pyz").read_bytes() == (tmp_path / "deps.pyz").read_bytes()
    assert json.loads(bundle("create", "-o", "three.pyz", "--json").stdout)["path"] == "three.pyz"


def test_each_bundle_of_a_file_is_made_from_anywhere_below(bundle, written, tmp_path):
    written(NAMED)
    answer = bundle("create", "--bundle", "train", "--json", below="sub")
    assert answer.returncode == 0, answer.stderr
    made = json.loads(answer.stdout)
    assert (made["path"], [item["name"] for item in made["packages"]]) == ("../train.pyz", ["app", "lib"])
    answer = bundle("lock", "--bundle", "serve", below="sub")
    assert answer.returncode == 0, answer.stderr
    assert packages(tmp_path / "pylock.serve.toml") == ["lib"]
    assert answer.stderr.startswith("../bundle.toml, bundle serve: ")
    answer = bundle("create", "--bundle", "serve", "--json")
    assert [item["name"] for item in json.loads(answer.stdout)["packages"]] == ["lib"]


def test_with_bundles_and_none_chosen_nothing_is_guessed(bundle, written, tmp_path):
    written(NAMED)
    for arguments in (["create"], ["create", "-o", "x.pyz"], ["lock"], ["lock", "-o", "pylock.toml"]):
        answer = bundle(*arguments)
        assert answer.returncode == 2
        want = "want --bundle train or --bundle serve"
        assert answer.stderr == f"error: bundle.toml: names bundles, and none of them is chosen; {want}\n"
    written(f"{SHARED}\n[bundles.only]\nrequirements = ['app']\n")
    assert "want --bundle only\n" in bundle("lock").stderr
    answer = bundle("lock", "lib", "-o", "pylock.toml")
    assert answer.returncode == 0, answer.stderr
    assert packages(tmp_path / "pylock.toml") == ["lib"], "who asks for something needs no bundle"


def test_what_is_typed_goes_before_the_file_and_replaces_what_was_asked_for(bundle, written, tmp_path):
    written(f"""{SHARED}
        requirements = ["app"]
        requirement = ["missing.txt"]
        drop = ["lib"]
        lock = "pylock.toml"
        """)
    answer = bundle("lock", "app", "-o", "pylock.one.toml")
    assert answer.returncode == 0, answer.stderr
    assert packages(tmp_path / "pylock.one.toml") == ["app"]
    assert bundle("lock", "app", "--drop", "app", "-o", "pylock.two.toml").returncode == 0
    assert packages(tmp_path / "pylock.two.toml") == ["lib"], "a list takes the place of a list"
    assert bundle("lock", "-r", "serve.txt").stdout.startswith("lock-version"), "another's lock is not written"
    assert not (tmp_path / "pylock.toml").exists()
    answer = bundle("lock")
    assert answer.returncode == 1
    assert "hint: bundle.toml:requirement says it" in answer.stderr


def test_a_lock_in_the_file_is_written_by_lock_and_taken_by_create(bundle, written, tmp_path):
    written(f"""{SHARED}
        requirements = ["app"]
        constraint = ["serve.txt"]
        baseline = "freeze.txt"
        skip-provided = true
        output = "deps.pyz"
        lock = "pylock.toml"
        """)
    (tmp_path / "freeze.txt").write_text("lib==2.0\n")
    answer = bundle("create")
    assert answer.returncode == 1
    assert "pylock.toml: cannot be read" in answer.stderr
    assert "hint: bundle.toml:lock says it, and bundle lock writes it" in answer.stderr
    answer = bundle("lock")
    assert answer.returncode == 0, answer.stderr
    assert packages(tmp_path / "pylock.toml") == ["app"], "lib is the image's"
    answer = bundle("create")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.startswith("bundle.toml: target, no-index, find-links, compile, output, lock\n")
    answer = bundle("create", "lib", "-o", "lib.pyz", "--unset", "baseline", "--unset", "skip-provided", "--json")
    assert [item["name"] for item in json.loads(answer.stdout)["packages"]] == ["lib"]
    answer = bundle("create", "--unset", "lock", "--unset", "skip-provided", "-o", "anew.pyz", "--json")
    assert [item["name"] for item in json.loads(answer.stdout)["packages"]] == ["app", "lib"]


def test_a_typed_lock_needs_nothing_that_the_file_says_of_resolving(bundle, written, tmp_path):
    resolving = 'baseline = "freeze.txt"\nskip-provided = true\nconstraint = ["serve.txt"]\n'
    written(f'{SHARED}\nrequirements = ["app"]\n{resolving}')
    (tmp_path / "freeze.txt").write_text("lib==2.0\n")
    assert bundle("lock", "-o", "pylock.toml").returncode == 0
    answer = bundle("create", "--lock", "pylock.toml", "-o", "deps.pyz", "--json")
    assert answer.returncode == 0, answer.stderr
    assert [item["name"] for item in json.loads(answer.stdout)["packages"]] == ["app"]


def test_a_typed_target_takes_the_place_of_all_that_the_file_says_of_it(bundle, written):
    written('python = "3.8.1"\nplatform = "musllinux_1_2_x86_64"\nfind-links = ["shelf"]\nno-index = true\n')
    answer = bundle("lock", "lib", "--target", "azureml-py310")
    assert answer.returncode == 0, answer.stderr
    assert 'requires-python = "==3.10.*"' in answer.stdout


def test_the_baseline_of_a_file_is_what_check_compares_with(bundle, written, tmp_path):
    written(f'{SHARED}\nbaseline = "freeze.txt"\n')
    (tmp_path / "freeze.txt").write_text("lib==1.0\n")
    answer = bundle("create", "lib", "--unset", "baseline", "-o", "deps.pyz", "-q")
    assert answer.returncode == 0, answer.stderr
    answer = bundle("check", "../deps.pyz", below="sub")
    assert "../deps.pyz over ../freeze.txt" in answer.stdout, answer.stderr
    written(SHARED)
    answer = bundle("check", "deps.pyz")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: bundle check: an option is missing; want --baseline\n")


@pytest.mark.slow
def test_another_file_is_named_and_none_is_read(bundle, written, tmp_path):
    written("level = 'wrong'")
    written(f'{SHARED}\nrequirements = ["lib"]\n', "other.toml")
    answer = bundle("lock", "--config", "../other.toml", below="sub")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.startswith("../other.toml: ")
    assert bundle("lock").returncode == 2
    answer = bundle("lock", "lib", "--no-config", "--no-index", "-f", "shelf")
    assert answer.returncode == 0, answer.stderr
    answer = bundle("lock", "lib", "--config", "missing.toml")
    assert answer.returncode == 2
    assert "missing.toml: cannot be read" in answer.stderr
    assert bundle("lock", "lib", "--config", "other.toml", "--no-config").returncode == 2
    answer = bundle("lock", "lib", "--no-config", "--bundle", "train")
    assert "--bundle: needs a configuration file, and there is none; got --no-config" in answer.stderr


@pytest.mark.slow
def test_a_project_file_serves_and_beside_bundle_toml_a_warning_says_which_holds(bundle, written):
    table = '[tool.bundle]\nno-index = true\nfind-links = ["shelf"]\nrequirements = ["lib"]\n'
    written(f'[project]\nname = "x"\n{table}', "pyproject.toml")
    answer = bundle("lock")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.startswith("pyproject.toml: no-index, find-links, requirements\n")
    written(f'{SHARED}\nrequirements = ["app"]\n')
    answer = bundle("lock")
    assert answer.stderr.startswith(
        "warning: pyproject.toml: [tool.bundle] is not read, because bundle.toml is\nbundle.toml: "
    )
    assert bundle("lock", "-q").stderr == ""


@pytest.mark.slow
def test_an_error_about_an_option_that_a_file_has_said_names_the_file(bundle, written):
    written('[bundles.a]\nrequirements = ["lib"]\nbuild = ["auto", "lib"]\n')
    answer = bundle("lock", "--bundle", "a")
    assert answer.returncode == 2
    assert "error: --build: says two things; got auto, lib, want auto, never or names\n" in answer.stderr
    assert "hint: bundle.toml:bundles.a.build says it" in answer.stderr
    answer = bundle("lock", "--bundle", "a", "--build", "never", "--build", "lib")
    assert "says it" not in answer.stderr


@pytest.mark.slow
def test_what_is_needed_may_be_in_a_bundle_that_was_not_chosen(bundle, written):
    written(NAMED)
    answer = bundle("create", "lib")
    assert answer.returncode == 2
    want = "want -o/--output\nhint: bundle.toml says it for --bundle train and --bundle serve\n"
    assert answer.stderr == f"error: bundle create: an option is missing; {want}"


@pytest.mark.slow
def test_a_program_that_a_file_names_is_not_run(bundle, written, tmp_path):
    program = tmp_path / "evil"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    written(f'{SHARED}\nrequirements = ["lib"]\nbaseline = "evil"\n')
    answer = bundle("lock")
    assert answer.returncode == 2
    assert "bundle.toml:baseline: names a program, which is run only if you name it" in answer.stderr
    assert not (tmp_path / "ran").exists()
    written(f'{SHARED}\nrequirements = ["lib"]\ntarget-python = "evil"\noutput = "x.pyz"\n')
    answer = bundle("create")
    assert "bundle.toml:target-python: can be said on the command line only" in answer.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_lock_replaces_nothing_but_locks_because_a_file_says_so(bundle, written, tmp_path):
    (tmp_path / "precious.toml").write_text("mine")
    written(f'{SHARED}\nrequirements = ["lib"]\nlock = "precious.toml"\n')
    answer = bundle("lock")
    assert answer.returncode == 2
    fault = "bundle.toml:lock: is replaced by bundle lock, and has not the name of a lock; got precious.toml"
    assert fault in answer.stderr
    assert (tmp_path / "precious.toml").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["../x", "/tmp/x", "~/x", "link/x", "link/../../x"])
def test_a_file_has_nothing_written_outside_of_its_directory(bundle, written, tmp_path, place):
    (tmp_path / "link").symlink_to(tmp_path.parent)
    written(f'{SHARED}\nrequirements = ["lib"]\noutput = "{place}.pyz"\nlock = "{place}/pylock.toml"\n')
    answer = bundle("lock")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: bundle.toml:lock: is not in the directory of the file")
    answer = bundle("create", "--unset", "lock", below="sub")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ../bundle.toml:output: is not in the directory of the file")
    assert answer.stderr.endswith("hint: name it with -o\n")


@pytest.mark.slow
def test_what_a_file_says_no_more_can_be_left_out(bundle, written):
    written(f'{SHARED}\nrequirements = ["lib"]\noffline = true\n')
    answer = bundle("lock", "--unset", "ofline")
    assert answer.returncode == 2
    assert "--unset: is no key that bundle.toml says; got ofline\nhint: did you mean offline?" in answer.stderr
    answer = bundle("lock", "--unset", "offline")
    assert answer.stderr.startswith("bundle.toml: target, no-index, find-links, requirements\n")


# bundle config


def options_in(answer):
    assert answer.returncode == 0, answer.stderr
    return {
        name: [(item["value"], item["from"]) for item in items]
        for name, items in json.loads(answer.stdout)["options"].items()
    }


@pytest.mark.slow
def test_config_shows_each_value_and_where_it_is_from(bundle, written, cache):
    written("""
        target = "azureml-py38"
        extra-index-url = ["https://two.example/simple"]
        level = 3
        [bundles.train]
        requirements = ["app", "lib"]
        level = 9
        [bundles.serve]
        """)
    pip = {"PIP_INDEX_URL": "https://one.example/simple", "PIP_EXTRA_INDEX_URL": "https://more.example/simple"}
    found = options_in(bundle("config", "--bundle", "train", "--json", **pip))
    assert found["target"] == [("azureml-py38", "bundle.toml:target")]
    assert found["level"] == [(9, "bundle.toml:bundles.train.level")]
    at = "bundle.toml:bundles.train.requirements"
    assert found["requirements"] == [("app", at), ("lib", at)]
    assert found["index-url"] == [("https://one.example/simple", "pip's configuration")]
    assert found["extra-index-url"] == [
        ("https://more.example/simple", "pip's configuration"),
        ("https://two.example/simple", "bundle.toml:extra-index-url"),
    ]
    assert found["cache-dir"] == [(str(cache.root), "BUNDLE_CACHE_DIR")]
    assert found["format"] == [("pyz", "default")]
    assert found["build"] == [("auto", "default")]
    assert (found["offline"], found["output"]) == ([(False, "default")], [(None, "default")])
    assert not set(found) & (set(REFUSED) - {"cache-dir"})
    shown = bundle("config", "--bundle", "train").stdout.splitlines()
    assert shown[0] == "bundle.toml, bundle train (others: serve)"
    assert any(line.split() == ["target", "azureml-py38", "bundle.toml:target"] for line in shown)
    assert any(line.split() == ["level", "9", "bundle.toml:bundles.train.level", "(create", "only)"] for line in shown)


@pytest.mark.slow
def test_config_says_what_a_lock_leaves_to_bundle_lock(bundle, written):
    written('requirement = ["serve.txt"]\nlock = "pylock.toml"\nlevel = 3\n')
    items = json.loads(bundle("config", "--json").stdout)["options"]
    assert [item["commands"] for item in items["requirement"]] == [["lock"]]
    assert [item["commands"] for item in items["lock"]] == [["lock", "create"]]
    assert [item["commands"] for item in items["level"]] == [["create"]]


@pytest.mark.slow
def test_config_without_a_file_shows_the_defaults(bundle):
    answer = bundle("config")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("no configuration file\n")
    assert json.loads(bundle("config", "--json").stdout)["file"] is None


@pytest.mark.slow
def test_no_password_is_shown_by_config_or_by_what_create_tells(bundle, written):
    url = f"https://me:{PASSWORD}@mirror.example/simple?token={PASSWORD}"
    written(f"""
        index-url = "{url}"
        extra-index-url = ["{url}"]
        find-links = ["{url}"]
        layer-cache = "{url}"
        requirements = ["app @ {url}/app-1-py3-none-any.whl"]
        output = "x.pyz"
        offline = true
        """)
    pip = {"PIP_EXTRA_INDEX_URL": url}
    for arguments in (["config"], ["config", "--json"], ["create"], ["lock"]):
        answer = bundle(*arguments, **pip)
        assert PASSWORD not in answer.stdout + answer.stderr, arguments
    assert "https://mirror.example/simple" in bundle("config", **pip).stdout


@pytest.mark.slow
def test_a_file_that_is_wrong_is_an_error_as_json_too(bundle, written):
    written("levle = 3")
    answer = bundle("config", "--json")
    assert answer.returncode == 2
    assert json.loads(answer.stdout)["error"].startswith("bundle.toml:levle: is no key")


@pytest.mark.slow
def test_the_document_lists_what_no_file_may_say():
    text = (ROOT / "docs/configuration.md").read_text()
    for name, reason in REFUSED.items():
        assert f"| `{name}` | {reason} |" in text
