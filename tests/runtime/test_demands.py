"""What is demanded of a bundle counts at every start: signatures, serial numbers, on every carrier, cold and warm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.bundles_to_sign import FORMS, MINE, copy, write_forms
from support.commands import bundle
from support.image_factory import make_image
from support.interpreters import python, target_of
from support.signature_factory import OTHER, PRIVATE, key_of, pem_of

from bundler.images.carriers import write_carrier
from bundler.layers.packing import decode
from bundler.runtime.demands import Demands, demands_of, with_options
from bundler.runtime.errors import UsageError
from bundler.runtime.verifying import verify
from bundler.signing.signatures import sign

FILES = {"site-packages/mod.py": b"open('canary', 'w').close()\nvalue = 42\n"}
REFUSED = 4


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    directory = tmp_path_factory.mktemp("originals")
    image = make_image(directory / "layers", FILES, target=target_of("3.7"), serial=7)
    write_forms(directory, image)
    for name in FORMS.values():
        sign(directory / name, MINE)
    (directory / "mine.pub").write_bytes(pem_of(PRIVATE))
    (directory / "other.pub").write_bytes(pem_of(OTHER))
    return directory


@pytest.fixture(params=FORMS)
def artifact(request, originals, tmp_path):
    return copy(originals / FORMS[request.param], tmp_path)


@pytest.fixture
def packed(originals, tmp_path):
    return copy(originals / "packed", tmp_path)


def start(path, tmp_path, code="import mod; print(mod.value)", **environ):
    """Start Python 3.7 with the bundle at *path* on its path; return the exit code, and what it printed."""
    inner = path / "site-packages"
    env = {**os.environ, "PYTHONPATH": str(inner if inner.is_dir() else path), "BUNDLE_CACHE": str(tmp_path / "cache")}
    env["BUNDLE_REPORT"] = str(tmp_path / "report.json")
    env.update({key: str(value) for key, value in environ.items()})
    answer = subprocess.run(
        [python("3.7"), "-c", code], capture_output=True, text=True, check=False, timeout=100, env=env, cwd=tmp_path
    )
    return answer.returncode, answer.stdout.strip() or answer.stderr.strip()


def report(tmp_path):
    return json.loads((tmp_path / "report.json").read_text())


def unsigned(path):
    """Take the signature out of *path*."""
    if path.name == "tree":
        shutil.rmtree(path / ".bundle/signatures")
    else:
        image = make_image(path.parent / "again", FILES, target=target_of("3.7"), serial=7)
        form = "pyz" if path.is_file() else "packed"
        write_carrier(image, path, form=form, force=True, decode=decode, jobs=1)


@pytest.mark.parametrize("how", ["path", "PEM", "both keys"])
def test_a_signed_bundle_starts_cold_and_warm(artifact, originals, tmp_path, how):
    mine, other = originals / "mine.pub", originals / "other.pub"
    keys = {"path": mine, "PEM": mine.read_text(), "both keys": f"{other}{os.pathsep}{mine}"}[how]
    assert start(artifact, tmp_path, BUNDLE_PUBLIC_KEY=keys) == (0, "42")
    assert report(tmp_path)["signed_by"] == MINE.public.fingerprint
    assert report(tmp_path)["trust"] == "verified"
    (tmp_path / "report.json").unlink()
    assert start(artifact, tmp_path, BUNDLE_PUBLIC_KEY=keys) == (0, "42")
    assert report(tmp_path)["decision"] == "found finished"


@pytest.mark.parametrize("policy", ["boot", "always", "never"])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_b18_without_a_signature_by_that_key_nothing_starts(artifact, originals, tmp_path, policy, warm):
    if warm:  # a tree that was verified, for somebody who demanded nothing
        assert start(artifact, tmp_path) == (0, "42")
        (tmp_path / "canary").unlink()
    code, said = start(artifact, tmp_path, BUNDLE_PUBLIC_KEY=originals / "other.pub", BUNDLE_VERIFY=policy)
    assert (code, "has no valid signature" in said) == (REFUSED, True), said
    unsigned(artifact)
    code, said = start(artifact, tmp_path, BUNDLE_PUBLIC_KEY=originals / "mine.pub", BUNDLE_VERIFY=policy)
    assert (code, "is not signed" in said) == (REFUSED, True), said
    assert not (tmp_path / "canary").exists()
    assert "is not signed" in report(tmp_path)["error"]


@pytest.mark.parametrize("policy", ["boot", "always", "never"])
def test_b18_an_older_bundle_than_wanted_does_not_start(artifact, tmp_path, policy):
    for least in ("7", "8"):
        code, said = start(artifact, tmp_path, BUNDLE_MIN_SERIAL=least, BUNDLE_VERIFY=policy)
        assert code == (0 if least == "7" else REFUSED)
        assert said == "42" or "got serial 7, want at least 8" in said


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"BUNDLE_PUBLIC_KEY": ""}, "names no public key"),
        ({"BUNDLE_PUBLIC_KEY": "no-such.pub"}, "no-such.pub: cannot be read"),
        ({"BUNDLE_REQUIRE_SIGNATURE": "1"}, "needs a public key"),
        ({"BUNDLE_REQUIRE_SIGNATURE": "yes"}, "is neither 0 nor 1"),
        ({"BUNDLE_MIN_SERIAL": "seven"}, "is not a number"),
        ({"BUNDLE_MIN_SERIAL": "-1"}, "is not a number"),
    ],
    ids=lambda value: "=".join(next(iter(value.items()))) if isinstance(value, dict) else None,
)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_demand_that_cannot_be_understood_is_an_error_and_never_none(packed, tmp_path, environ, message, warm):
    if warm:
        assert start(packed, tmp_path) == (0, "42")
    code, said = start(packed, tmp_path, **environ)
    assert (code, message in said) == (2, True), said


def test_another_key_in_the_same_file_is_another_demand(packed, originals, tmp_path):
    key = tmp_path / "key.pub"
    key.symlink_to(originals / "mine.pub")  # as a mounted secret is
    assert start(packed, tmp_path, BUNDLE_PUBLIC_KEY=key) == (0, "42")
    key.unlink()
    key.symlink_to(originals / "other.pub")
    assert start(packed, tmp_path, BUNDLE_PUBLIC_KEY=key)[0] == REFUSED


def test_who_demands_nothing_and_who_does_share_one_tree(packed, originals, tmp_path):
    assert start(packed, tmp_path) == (0, "42")
    tree = report(tmp_path)["tree"]
    for _ in range(2):
        for environ in ({}, {"BUNDLE_PUBLIC_KEY": originals / "mine.pub"}):
            assert start(packed, tmp_path, **environ) == (0, "42")
            assert report(tmp_path)["tree"] == tree
            assert report(tmp_path)["decision"] in ("found finished", "unpacked")


@pytest.mark.parametrize("policy", ["boot", "always", "never"])
def test_what_run_was_asked_for_holds_for_the_children(packed, originals, tmp_path, policy):
    environ = {**os.environ, "BUNDLE_CACHE": str(tmp_path / "cache"), "BUNDLE_VERIFY": policy}
    code = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', 'import mod; print(mod.value)']))"
    for key, expected in (("mine.pub", 0), ("other.pub", REFUSED)):
        options = ["--key", originals / key, "--min-serial", "7"]
        command = [python("3.7"), packed, "run", *options, "--", "python", "-c", code]
        answer = subprocess.run(command, env=environ, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert answer.returncode == expected, answer.stderr
        assert answer.stdout.strip() == ("42" if expected == 0 else "")


def test_mount_takes_keys_and_a_serial(packed, originals, tmp_path):
    for key, least, expected in (("mine.pub", 7, "42"), ("other.pub", 7, "no valid"), ("mine.pub", 8, "is older")):
        demand = f"keys=[{str(originals / key)!r}], min_serial={least}"
        code = f"import sys; sys.path.insert(0, 'packed'); import bundle_runtime as b; b.mount('packed', {demand})"
        answer = subprocess.run(
            [python("3.7"), "-S", "-c", f"{code}; import mod; print(mod.value)"],
            env={**os.environ, "BUNDLE_CACHE": str(tmp_path / "cache")},
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert expected in answer.stdout + answer.stderr


def test_the_command_takes_them_too(artifact, originals, tmp_path):
    good = ["--key", originals / "mine.pub", "--require-signature", "--min-serial", "7"]
    assert MINE.public.fingerprint in bundle("verify", artifact, *good).stdout
    assert bundle("verify", artifact, "--min-serial", "8").returncode == REFUSED
    assert bundle("verify", artifact, "--require-signature").returncode == 2
    if artifact.name != "tree":
        bad = ["--key", originals / "other.pub"]
        assert bundle("unpack", artifact, tmp_path / "new", *bad).returncode == REFUSED
        assert not (tmp_path / "new").exists()
        assert bundle("unpack", artifact, tmp_path / "new", *good).returncode == 0
        assert verify(str(tmp_path / "new"), Demands(keys=(MINE.public,), min_serial=7)).trust == "verified"


@pytest.mark.parametrize("serial", ["01", "1.0", "1e3", " 1", "9007199254740992", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_serial_has_one_spelling(serial):
    with pytest.raises(UsageError, match="is not a number"):
        demands_of({"BUNDLE_MIN_SERIAL": serial})


@pytest.mark.parametrize("value", ["", ":", "first.pub:", "missing.pub", "{PEM}first.pub"])
def test_b18_a_variable_that_names_no_usable_key_is_an_error_and_never_means_unsigned(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("first.pub").write_bytes(pem_of(PRIVATE))
    with pytest.raises(UsageError):
        demands_of({"BUNDLE_PUBLIC_KEY": value.replace("{PEM}", pem_of(PRIVATE).decode())})


def test_keys_of_the_command_line_take_the_place_of_the_variable(tmp_path):
    (tmp_path / "k.pub").write_bytes(pem_of(PRIVATE))
    environ = {"BUNDLE_PUBLIC_KEY": pem_of(OTHER).decode()}
    chosen = with_options(environ, keys=[str(tmp_path / "k.pub")])
    assert [key.fingerprint for key in demands_of(chosen).keys] == [MINE.public.fingerprint]
    assert [key.fingerprint for key in demands_of(environ).keys] == [key_of(OTHER).fingerprint]
    assert demands_of({}).keys == ()


def test_b18_a_required_signature_needs_a_key():
    with pytest.raises(UsageError, match="BUNDLE_REQUIRE_SIGNATURE: needs a public key"):
        demands_of({"BUNDLE_REQUIRE_SIGNATURE": "1"})
