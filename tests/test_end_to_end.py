"""The promise, kept with real wheels: created on this host, booted by CPython 3.7 with no network and no privilege."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.commands import REQUIREMENTS, ROOT, bundle, create, without_network
from support.interpreters import VERSIONS, python, target_of

FIT = """
import pandas, sklearn.ensemble, lightgbm, scipy.stats, numpy
frame = pandas.DataFrame(numpy.random.RandomState(0).rand(200, 4), columns=list("abcd"))
target = frame.sum(axis=1)
forest = sklearn.ensemble.RandomForestRegressor(5, random_state=0).fit(frame, target)
trees = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(frame, target)
print(forest.predict(frame[:1]).shape, trees.predict(frame[:1]).shape, scipy.stats.norm.cdf(0), pandas.__version__)
"""

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="session")
def sklearn(tmp_path_factory, builder_cache):
    out = tmp_path_factory.mktemp("sklearn") / "deps.pyz"
    return out, create(out, "-r", REQUIREMENTS / "sklearn.txt", cache=builder_cache)


def test_a_model_is_fitted_and_used_with_no_network(sklearn, tmp_path):
    path, facts = sklearn
    assert facts["bytecode"].startswith("3.7.")
    verified = without_network(python("3.7"), path, "verify", "--expect", facts["digest"])
    assert verified.returncode == 0, verified.stderr
    (tmp_path / "fit.py").write_text(FIT)
    command = [python("3.7"), path, "run", "--expect", facts["digest"], "--report", tmp_path / "report.json"]
    answer = without_network(*command, "--", "python", tmp_path / "fit.py")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "(1,) (1,) 0.5 1.3.5\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["decoder"] == "carried"
    assert report["digest"] == facts["digest"]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "3.7"])
def test_every_other_python_says_that_it_is_not_the_target_and_does_not_crash(version, sklearn):
    path, facts = sklearn
    for command in (["verify"], ["run", "--", "python", "-c", "pass"]):
        answer = without_network(python(version), path, *command)
        assert answer.returncode == 5, answer.stderr
        assert f"got {version}" in answer.stderr
    assert facts["digest"] in without_network(python(version), path, "info").stdout


def test_another_digest_is_refused_and_nothing_is_unpacked(sklearn, tmp_path):
    path, _ = sklearn
    cache = tmp_path / "cache"
    command = [python("3.7"), path, "run", "--expect", "sha256:" + "0" * 64, "--", "python", "-c", "print('ran')"]
    answer = without_network(*command, env={**os.environ, "BUNDLE_CACHE": str(cache)})
    assert (answer.returncode, answer.stdout) == (4, "")
    assert not cache.exists()


def test_one_changed_byte_of_any_blob_is_named(sklearn, tmp_path):
    path, facts = sklearn
    copy = tmp_path / "deps.pyz"
    shutil.copy(path, copy)
    import zipfile

    with zipfile.ZipFile(copy) as archive:
        blobs = [
            (info.filename, info.header_offset + 30 + len(info.filename), info.file_size)
            for info in archive.infolist()
            if info.filename.startswith("blobs/")
        ]
    for name, start, size in blobs:
        with copy.open("r+b") as file:
            file.seek(start + size // 2)
            byte = file.read(1)
            file.seek(start + size // 2)
            file.write(bytes([byte[0] ^ 1]))
        answer = without_network(python("3.7"), copy, "verify", "--expect", facts["digest"])
        assert answer.returncode == 3, name
        assert name in answer.stderr
        with copy.open("r+b") as file:
            file.seek(start + size // 2)
            file.write(byte)


def test_boots_in_a_root_with_cpython_37_and_its_libraries_only(sklearn, tmp_path):
    """No shell, no libzstd, read-only, uid 1000, no capabilities, no network: only /tmp can be written to."""
    path, facts = sklearn
    (tmp_path / "fit.py").write_text(FIT)
    home = Path(python("3.7")).resolve().parent.parent
    libraries = libraries_of(home)
    command = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--die-with-parent"]
    command += ["--ro-bind", home, home, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for library in libraries:
        command += ["--ro-bind", os.path.realpath(library), library]
    command += [
        "--ro-bind",
        path,
        "/deps.pyz",
        "--ro-bind",
        tmp_path / "fit.py",
        "/fit.py",
        "--remount-ro",
        "/",
        "--clearenv",
    ]
    program = [home / "bin" / "python3.7", "/deps.pyz", "run", "--expect", facts["digest"], "--", "python", "/fit.py"]
    answer = subprocess.run(
        list(map(str, [*command, *program])), capture_output=True, text=True, check=False, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "(1,) (1,) 0.5 1.3.5\n"


def libraries_of(home):
    """Return the shared libraries that the interpreter and its modules need from the system, and no libzstd."""
    found = set()
    modules = [home / "bin" / "python3.7", *home.glob("lib/python3.7/lib-dynload/*.so")]
    for module in modules:
        for line in subprocess.run(["ldd", module], capture_output=True, text=True, check=False).stdout.splitlines():
            path = next((word for word in line.split() if word.startswith("/")), None)
            if path and not path.startswith(str(home)):
                found.add(path)
    # What wheels may expect of any glibc system (the manylinux policies).
    for name in (
        "libdl.so.2",
        "libpthread.so.0",
        "librt.so.1",
        "libutil.so.1",
        "libstdc++.so.6",
        "libgcc_s.so.1",
        "libgomp.so.1",
    ):
        found |= {str(path) for path in Path("/lib/x86_64-linux-gnu").glob(name)}
        found |= {str(path) for path in Path("/usr/lib/x86_64-linux-gnu").glob(name)}
    return {path for path in found if "zstd" not in path}


@pytest.fixture(scope="session")
def web(tmp_path_factory, builder_cache):
    """The same requirements for 3.7 and for 3.12."""
    names = ["pytest==7.4.4", "jsonschema==4.17.3", "flask==2.2.5"]
    directory = tmp_path_factory.mktemp("web")
    old = create(directory / "37.pyz", *names, cache=builder_cache)
    new = create(directory / "312.pyz", *names, "--target", "azureml-py312", cache=builder_cache)
    return directory, old, new


def test_backports_are_there_for_37_and_not_for_312(web):
    directory, old, new = web
    backports = {
        "exceptiongroup",
        "importlib-metadata",
        "importlib-resources",
        "pkgutil-resolve-name",
        "tomli",
        "typing-extensions",
        "zipp",
    }
    assert backports <= {package["name"] for package in old["packages"]}
    assert not backports & {package["name"] for package in new["packages"]}
    code = "import pytest, jsonschema, flask; print(pytest.__version__, flask.Flask('x').name)"
    for version, name in (("3.7", "37.pyz"), ("3.12", "312.pyz")):
        answer = without_network(python(version), directory / name, "run", "--", "python", "-c", code)
        assert answer.stdout == "7.4.4 x\n", answer.stderr
        command = [python(version), directory / name, "run", "--", "pytest", "--version"]
        script = without_network(*command, cwd=directory)
        assert script.stdout + script.stderr == "pytest 7.4.4\n"


def test_entry_points_and_metadata_are_found(web):
    directory, _, _ = web
    code = "from importlib_metadata import version, entry_points as found"
    code += "; print(version('flask'), len(found(group='console_scripts')) > 3)"
    answer = without_network(python("3.7"), directory / "37.pyz", "run", "--", "python", "-c", code)
    assert answer.stdout == "2.2.5 True\n", answer.stderr


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_another_host_python_gives_the_same_tree_digest(version, sklearn, builder_cache, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([python(version), "-m", "venv", venv], check=True)
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "scripts" / "locks" / "project.txt"], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", ROOT], check=True)
    facts = create(
        tmp_path / "deps.pyz",
        "-r",
        REQUIREMENTS / "sklearn.txt",
        cache=tmp_path / "cache",
        builder=str(venv / "bin" / "python"),
        cwd=tmp_path,
    )
    assert facts["tree_digest"] == sklearn[1]["tree_digest"]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(["--python", "3.7.16", "--platform", "manylinux_2_27_aarch64"], id="3.7 aarch64"),
        pytest.param(["--python", "3.8.18", "--platform", "musllinux_1_2_x86_64"], id="3.8 musl"),
        pytest.param(["--python", "3.9.18", "--platform", "manylinux_2_28_x86_64"], id="3.9"),
        pytest.param(["--python", "3.10.13", "--platform", "musllinux_1_1_aarch64"], id="3.10 musl aarch64"),
        pytest.param(["--python", "3.11.7", "--platform", "manylinux_2_31_aarch64"], id="3.11 aarch64"),
        pytest.param(["--python", "3.13.0", "--platform", "manylinux_2_28_x86_64"], id="3.13"),
        pytest.param(["--python", "3.14.0", "--platform", "musllinux_1_2_aarch64"], id="3.14 musl aarch64"),
    ],
)
def test_bundles_for_other_targets_are_created_and_verified(target, builder_cache, tmp_path):
    facts = create(tmp_path / "deps.pyz", "click==8.1.7", "markupsafe", *target, cache=builder_cache)
    assert facts["target"]["python"] == target[1]
    answer = bundle("verify", tmp_path / "deps.pyz", "--expect", facts["digest"])
    assert answer.returncode == 0, answer.stderr
    wheel = next(package["wheel"] for package in facts["packages"] if package["name"] == "markupsafe")
    assert target[3].rpartition("_")[2] in wheel


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_at_hand_boots_with_the_decoder_in_the_bundle(version, builder_cache, tmp_path):
    (tmp_path / "target.json").write_text(json.dumps(target_of(version).to_json()))
    path = tmp_path / "deps.pyz"
    facts = create(path, "markupsafe", "--target", tmp_path / "target.json", cache=builder_cache)
    code = "import markupsafe._speedups as native; print(native.__name__)"
    command = [python(version), path, "run", "--expect", facts["digest"], "--report", tmp_path / "report.json"]
    answer = without_network(*command, "--", "python", "-c", code)
    assert answer.stdout == "markupsafe._speedups\n", answer.stderr
    assert json.loads((tmp_path / "report.json").read_text())["decoder"] == "carried"


def test_a_target_without_a_decoder_is_refused_with_the_ways_out(builder_cache, tmp_path):
    target = ["--python", "3.7.16", "--platform", "musllinux_1_1_x86_64"]
    answer = bundle("create", "six==1.16.0", *target, "-o", tmp_path / "deps.pyz", "--cache-dir", builder_cache)
    assert answer.returncode == 5
    assert "choose a newer Python" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["no-such-project-4711"], 1, ["no-such-project-4711", "spelling"]),
        (["numpy==9.9"], 1, ["numpy==9.9"]),
        (["pandas==1.3.5", "numpy==1.16.0"], 1, ["pandas", "numpy"]),
        (["wrapt==1.12.1", "--build", "never"], 1, ["wrapt==1.12.1", "nearest", "1.13"]),
        (["six==1.16.0", "--frobnicate"], 2, ["--frobnicate"]),
        ([], 2, ["nothing was asked for"]),
        (["six", "--python", "3.7"], 2, ["complete version"]),
        (["six", "--target", "azureml-py36"], 2, ["azureml-py37"]),
    ],
)
def test_bad_input_has_a_clear_error_and_leaves_nothing(arguments, code, words, builder_cache, tmp_path):
    answer = bundle("create", *arguments, "-o", "deps.pyz", "--cache-dir", builder_cache, cwd=tmp_path)
    assert answer.returncode == code, answer.stderr
    for word in words:
        assert word in answer.stderr
    assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []
