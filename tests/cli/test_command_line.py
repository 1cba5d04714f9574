"""The console script, as a user types it; without the package index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import pytest
from support import commands
from support.interpreters import python, target_of
from support.wheel_factory import make_wheel

from bundler.cli import COMMANDS, main


@pytest.fixture
def shelf(tmp_path):
    directory = tmp_path / "shelf"
    directory.mkdir()
    make_wheel(directory, "alpha", "1.0", {"alpha.py": b"value = 41\n"}, requires=["beta"])
    make_wheel(
        directory,
        "beta",
        "2.0",
        {"beta.py": b"def main():\n    print('beta runs')\n"},
        entry_points="[console_scripts]\nbeta = beta:main\n",
    )
    return directory


@pytest.fixture
def bundle(cache, shelf, tmp_path):
    """Run ``bundle`` in tmp_path with the test's own cache and wheels."""
    (tmp_path / "target.json").write_text(json.dumps(target_of("3.7").to_json()))

    def run(command, *arguments, **options):
        extra = []
        if command in ("create", "lock"):
            extra = ["--no-index", "--find-links", shelf, "--target", "target.json"]
        if command in ("create", "lock", "cache"):
            extra += ["--cache-dir", cache.root]
        return commands.bundle(command, *extra, *arguments, cwd=tmp_path, **options)

    return run


@pytest.fixture(scope="module")
def made():
    """What ``deps`` has made once: the same for all tests, which get a copy."""
    return {}


@pytest.fixture
def deps(bundle, tmp_path, made):
    if not made:
        answer = bundle("create", "alpha", "-o", "deps.pyz", "--json")
        assert answer.returncode == 0, answer.stderr
        made.update(json=answer.stdout, bundle=(tmp_path / "deps.pyz").read_bytes())
    (tmp_path / "deps.pyz").write_bytes(made["bundle"])
    return tmp_path / "deps.pyz", json.loads(made["json"])


def test_create_says_what_it_made_and_what_to_type_next(bundle):
    answer = bundle("create", "alpha", "-o", "deps.pyz")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("deps.pyz: ")
    assert "2 packages" in answer.stdout
    assert "resolved 2 packages" in answer.stderr
    digest = next(line.split()[1] for line in answer.stdout.splitlines() if line.startswith("  digest"))
    assert f"python3.7 deps.pyz verify --expect {digest}" in answer.stdout


def test_quiet_is_quiet(bundle):
    assert bundle("create", "alpha", "-o", "deps.pyz", "-q").stderr == ""


@pytest.mark.parametrize("place", ["nowhere/deps.pyz", "shelf"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_resolved(bundle, place):
    answer = bundle("create", "no-such-project", "-o", place)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"error: {place}: ")


def test_a_lock_is_written_and_used(bundle, tmp_path):
    assert bundle("lock", "alpha", "-o", "pylock.toml").returncode == 0
    lock = tomllib.loads((tmp_path / "pylock.toml").read_text())
    assert [package["name"] for package in lock["packages"]] == ["alpha", "beta"]
    assert lock["packages"][0]["wheels"][0]["path"] == "shelf/alpha-1.0-py3-none-any.whl"
    assert bundle("lock", "alpha").stdout.startswith('lock-version = "1.0"')
    first = json.loads(bundle("create", "--lock", "pylock.toml", "-o", "one.pyz", "--json").stdout)
    second = json.loads(bundle("create", "alpha", "-o", "two.pyz", "--json").stdout)
    assert first["digest"] == second["digest"]
    assert all(layer["cached"] for layer in second["layers"])


@pytest.mark.slow
def test_a_bundle_has_the_serial_that_was_asked_for_and_says_who_claims_to_have_signed_it(bundle, tmp_path):
    assert bundle("create", "alpha", "-o", "deps.pyz", "--serial", "7").returncode == 0
    assert bundle("keygen", "-o", "release").returncode == 0
    signed = bundle("sign", "deps.pyz", "--key", "release.key")
    fingerprint = signed.stdout.split()[-1]
    shown = bundle("inspect", "deps.pyz").stdout
    assert "serial       7\n" in shown
    assert f"signature    says it is by {fingerprint};" in shown
    inspected = json.loads(bundle("inspect", "deps.pyz", "--json").stdout)
    assert (inspected["serial"], inspected["signatures"]) == (7, [{"claimed_key": fingerprint}])
    assert bundle("verify", "deps.pyz", "--key", "release.pub", "--min-serial", "7").returncode == 0
    assert bundle("verify", "deps.pyz", "--min-serial", "8").returncode == 4
    for wrong in ("0", "-1", "x", "9007199254740992"):
        assert bundle("create", "alpha", "-o", "no.pyz", "--serial", wrong).returncode == 2


def test_inspect_shows_the_packages(bundle, deps):
    path, facts = deps
    shown = bundle("inspect", path)
    assert "alpha  1.0" in shown.stdout
    assert facts["digest"] in shown.stdout
    inspected = json.loads(bundle("inspect", path, "--json").stdout)
    assert inspected["digest"] == facts["digest"]
    assert [item["wheel"] for item in inspected["distributions"]] == [
        "alpha-1.0-py3-none-any.whl",
        "beta-2.0-py3-none-any.whl",
    ]
    assert inspected["console_scripts"] == {"beta": "beta:main"}


def test_verify_says_how_far_its_word_goes(bundle, deps):
    path, facts = deps
    assert ": verified: " in bundle("verify", path, "--expect", facts["digest"]).stdout
    assert ": self-consistent: " in bundle("verify", path).stdout
    assert json.loads(bundle("verify", path, "--json").stdout)["trust"] == "self-consistent"
    assert bundle("verify", path, "--expect", "sha256:" + "0" * 64).returncode == 4


def test_unpack_works_for_a_target_that_this_host_is_not(bundle, deps, tmp_path):
    assert bundle("unpack", deps[0], "tree").returncode == 0
    assert bundle("verify", "tree", "--expect", deps[1]["digest"]).returncode == 0
    assert (tmp_path / "tree/site-packages/alpha.py").read_text() == "value = 41\n"


def test_run_finds_an_interpreter_of_the_target(bundle, deps):
    answer = bundle(
        "run", deps[0], "--", "python", "-c", "import alpha, sys; print(alpha.value, *sys.version_info[:2])"
    )
    assert answer.stdout == "41 3 7\n", answer.stderr
    assert bundle("run", deps[0], "--", "beta").stdout == "beta runs\n"
    assert bundle("run", deps[0], "--", "python", "-c", "raise SystemExit(9)").returncode == 9
    other = bundle("run", "--target-python", python("3.8"), deps[0], "--", "beta")
    assert other.returncode == 5


def test_cache_is_shown_pruned_and_cleared(bundle, cache):
    assert bundle("create", "alpha", "-o", "deps.pyz").returncode == 0
    facts = json.loads(bundle("cache", "info", "--json").stdout)
    assert facts["wheels"]["count"] == 2
    assert facts["layers"]["count"] >= 1
    assert "wheels" in bundle("cache", "info").stdout
    assert json.loads(bundle("cache", "prune", "--max-age", "1", "--json").stdout)["freed"] == 0
    assert json.loads(bundle("cache", "prune", "--max-age", "0", "--json").stdout)["freed"] > 0
    assert json.loads(bundle("cache", "info", "--json").stdout)["wheels"]["count"] == 0
    assert bundle("cache", "clear").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["create", "alpha"], 2, "-o"),
        (["create", "alpha", "-o", "x.pyz", "--format", "tree"], 2, "another format"),
        (["create", "alpha", "-o", "x.pyz", "--level", "99"], 2, "--level"),
        (["create", "alpha", "-o", "x.pyz", "--jobs", "0"], 2, "--jobs"),
        (["create", "-o", "x.pyz"], 2, "nothing was asked for"),
        (["create", "alpha", "--lock", "pylock.toml", "-o", "x.pyz"], 2, "either"),
        (["create", "--lock", "missing.toml", "-o", "x.pyz"], 1, "missing.toml"),
        (["create", "gamma", "-o", "x.pyz"], 1, "gamma"),
        (["create", "-r", "missing.txt", "-o", "x.pyz"], 1, "missing.txt"),
        (["create", "-r", "shelf", "-o", "x.pyz"], 1, "shelf"),
        (["create", "alpha", "-o", "no/such/x.pyz"], 1, "mkdir -p"),
        (["lock", "alpha", "-o", "no/such/pylock.toml"], 1, "no/such/pylock.toml"),
        (["verify", "shelf"], 3, "is not a bundle"),
        (["verify", "missing.pyz"], 1, "missing.pyz"),
        (["inspect", "target.json"], 3, "not a complete bundle"),
        (["run", "missing.pyz"], 1, "missing.pyz"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_wrong_use_has_a_clear_error_the_right_code_and_leaves_nothing(bundle, tmp_path, arguments, code, words):
    before = sorted(tmp_path.iterdir())
    answer = bundle(*arguments)
    assert answer.returncode == code, answer.stderr
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_target_that_nobody_has_named_is_said_where_there_is_no_solution(bundle, shelf, tmp_path):
    make_wheel(shelf, "modern", "1.0", {"modern.py": b""}, tag="cp312-cp312-manylinux2014_x86_64")
    program = [sys.executable, "-m", "bundler", "lock", "modern", "--no-index", "-f", str(shelf), "--cache-dir", "c"]
    answer = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "hint: --target azureml-py312 can have everything" in answer.stderr
    assert answer.stderr.endswith("; nobody has named the target, so it is azureml-py37\n")
    answer = subprocess.run([*program, "--python", "3.8.1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "nobody has named" not in answer.stderr


def test_an_error_is_json_too_where_that_was_asked_for(bundle):
    answer = bundle("create", "gamma", "-o", "x.pyz", "--json")
    assert json.loads(answer.stdout)["exit_code"] == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys, command):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: bundle {command}")


def test_a_command_loads_nothing_that_only_others_need():
    """What verifies at every boot of an image must not wait for what resolves and fetches."""
    code = "import sys; from bundler.cli import main; main(['verify', 'no-such-bundle']); print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert {"urllib3", "packaging", "rich", "bundler.create"}.isdisjoint(answer.stdout.split())


def test_the_help_names_every_command_and_what_is_none_is_refused(bundle):
    answer = bundle("--help")
    assert set(COMMANDS) <= set(answer.stdout.split())
    answer = bundle("no-such-command")
    assert answer.returncode == 2
    assert "no-such-command" in answer.stderr


def test_python_m_bundler_is_the_same_program():
    answer = subprocess.run([sys.executable, "-m", "bundler", "--version"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout.split()[0]) == (0, "bundle")


@pytest.mark.parametrize(
    "arguments",
    [
        ("push", "deps.pyz", "az://models/deps:v1"),
        ("push", "deps.pyz", "s3://models/deps.pyz", "--as-file"),
        ("pull", "gs://models/deps:v1", "out.pyz"),
        ("create", "alpha", "-o", "other.pyz", "--layer-cache", "s3://models/layers"),
    ],
)
def test_without_an_extra_the_error_says_what_to_install(bundle, deps, tmp_path, arguments):
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / "obstore.py").write_text("raise ImportError")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "missing")}
    answer = bundle(*arguments, env=environ, builder=sys.executable)
    assert answer.returncode == 1
    assert "needs the package obstore" in answer.stderr
    assert "hint: pip install 'obstore" in answer.stderr
    assert "Traceback" not in answer.stderr
