"""What cannot be taken of an environment, each with its remedy; and what is taken with a word about it."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from support.environment_factory import VERSION, make_environment, run, uv_install
from support.wheel_factory import make_wheel, record_line

from bundler.cli import main

SITE = f"lib/python{VERSION}/site-packages"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shelf with one wheel, and an environment that has it."""
    root = tmp_path_factory.mktemp("made")
    wheel = make_wheel(root / "shelf", "alpha", "1.0", {"alpha.py": b"a = 1\n"})
    make_environment(root / "myenv")
    uv_install("--python", root / "myenv", "-f", root / "shelf", wheel.stem.partition("-")[0])
    return root


@pytest.fixture
def work(made, tmp_path):
    shutil.copytree(made, tmp_path / "work", symlinks=True)
    return tmp_path / "work"


@pytest.fixture
def site(work):
    return work / "myenv" / SITE


@pytest.fixture
def lock(cache, work, monkeypatch, capsys):
    """Lock what is in a directory; return what was said, after a look at the exit code."""
    monkeypatch.chdir(work)

    def lock(*arguments, code=0, venv="myenv"):
        places = [] if "--as-is" in arguments else ["--no-index", "--find-links", "shelf"]
        found = main(["lock", "--venv", venv, *places, "--cache-dir", str(cache.root), *arguments])
        out, said = capsys.readouterr()
        assert found == code, said
        assert (out == "") == (code != 0)
        return said

    return lock


def install(site, name, version, **files):
    """Put a distribution there as an installer does."""
    contents = {f"{name}.py": b"", f"{name}-{version}.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n"}
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    contents |= {f"{name}-{version}.dist-info/METADATA": metadata, **files}
    record = "".join(record_line(path, data) + "\n" for path, data in contents.items())
    contents[f"{name}-{version}.dist-info/RECORD"] = record.encode()
    for path, data in contents.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
    return site / f"{name}-{version}.dist-info"


# What it is


def test_packages_of_the_host_that_it_sees_are_not_taken(lock, work):
    shutil.rmtree(work / "myenv")
    make_environment(work / "myenv", "--system-site-packages")
    uv_install("--python", work / "myenv", "--no-deps", "-f", work / "shelf", "alpha")
    said = lock()
    assert "warning: myenv: sees the packages of the host's Python too (include-system-site-packages = true)" in said
    assert "virtualenv --clear myenv without --system-site-packages, and install again" in said
    shutil.rmtree(work / "myenv" / SITE / "alpha-1.0.dist-info")
    said = lock(code=2)
    assert "error: myenv: has nothing installed\nhint: virtualenv --clear myenv without --system-site-packages" in said


def test_an_environment_of_conda_is_named_with_what_conda_says_of_it(lock, work):
    (work / "myenv/conda-meta").mkdir()
    said = lock(code=2)
    assert "error: myenv: is an environment of conda's" in said
    assert "hint: conda env export -p myenv > environment.yml, and -r environment.yml" in said


def test_what_conda_installed_is_taken_by_version_and_refused_as_it_is(lock, site):
    (site / "alpha-1.0.dist-info/INSTALLER").write_text("conda\n")
    assert "warning: myenv: installed by conda, PyPI's wheels of the same version are taken: alpha 1.0" in lock()
    said = lock("--as-is", code=3)
    assert "error: myenv: alpha 1.0: was installed by conda, and is no wheel" in said
    assert "or leave --as-is away" in said


def test_one_of_windows_is_named(lock, work):
    (work / "windows/Lib/site-packages").mkdir(parents=True)
    (work / "windows/pyvenv.cfg").write_text("version = 3.11.7\n")
    said = lock(venv="windows", code=2)
    assert "error: windows: was made on Windows; want a virtual environment of Linux" in said
    assert "hint: pip freeze > requirements.txt there" in said


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "other: does not exist"),
        (lambda path: path.write_text(""), "other: is no directory"),
        (lambda path: path.mkdir(), "other: is no virtual environment, and no *.dist-info is in it"),
        (lambda path: (path / SITE).mkdir(parents=True), "other: has nothing installed"),
    ],
)
def test_what_is_no_environment_is_said_so(lock, work, make, words):
    make(work / "other")
    assert f"error: {words}" in lock(venv="other", code=2)


def test_one_with_nothing_but_pip_is_said_so(lock, work):
    install(work / "other" / SITE, "pip", "24.0")
    assert "error: other: has nothing installed but what installs" in lock(venv="other", code=2)


@pytest.mark.slow
def test_one_for_several_pythons_is_asked_for_by_one(lock, work, site):
    shutil.copytree(site, work / "myenv/lib/python3.8/site-packages")
    lock()  # pyvenv.cfg names one
    (work / "myenv/pyvenv.cfg").unlink()
    assert "has packages for several Pythons; got python3.11, python3.8" in lock(code=2)
    assert (
        "→ --target azureml-py38"
        in lock("--as-is", venv="myenv/lib/python3.8/site-packages") + "→ --target azureml-py38"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("version", "typed"), [("3.8.2", "azureml-py38"), ("3.13.1", "azureml-py37 --python 3.13.1")])
def test_its_python_chooses_the_target(lock, work, site, version, typed):
    minor = version.rpartition(".")[0]
    (work / "myenv/pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
    site.parent.rename(site.parents[1] / f"python{minor}")
    assert f"myenv/pyvenv.cfg: Python {version} → --target {typed} (cpython {version[:4].rstrip('.')}" in lock(
        "--as-is"
    )


@pytest.mark.slow
def test_a_python_without_a_preset_and_without_its_complete_version_has_to_be_named(lock, work, site):
    (work / "myenv/pyvenv.cfg").unlink()
    site.parent.rename(site.parents[1] / "python3.13")
    assert "hint: name it: --python X.Y.Z" in lock(code=2)
    lock("--as-is", "--python", "3.13.1")


@pytest.mark.slow
def test_the_tags_of_wheels_choose_the_target_where_nothing_else_tells_it(lock, work):
    info = install(work / "deps", "beta", "1.0")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: cp39-cp39-manylinux_2_17_x86_64\n")
    make_wheel(work / "shelf", "beta", "1.0")
    assert "deps (the tags of its wheels): Python 3.9 → --target azureml-py39" in lock(venv="deps")


# What is in it


@pytest.mark.slow
def test_an_editable_install_is_refused_with_what_to_write_instead(lock, work):
    project = work / "project"
    project.mkdir()
    editable = make_wheel(work / "editable", "gamma", "1.0", {"_gamma.pth": f"{project}\n".encode()})
    uv_install("--python", work / "myenv", editable)
    origin = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (work / "myenv" / SITE / "gamma-1.0.dist-info/direct_url.json").write_text(json.dumps(origin))
    for options in ([], ["--as-is"]):
        said = lock(*options, code=2)
        assert "error: myenv: has editable installs, whose files are somewhere else; got gamma 1.0" in said
        assert f"with -e {project} for the project, and give that: -r FILE" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["__editable__.gamma-1.0.pth", "gamma.egg-link", "easy-install.pth"])
def test_traces_of_setuptools_editable_installs_are_found_too(lock, site, name):
    (site / name).write_text("/home/me/gamma\n.\n")
    said = lock(code=2)
    assert f"got {name}" in said
    assert "with -e /home/me/gamma for the project" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["old-1.0-py3.11.egg-info", "old-1.0.egg-info", "old-1.0-py3.11.egg", "a file"])
def test_what_has_no_record_is_taken_by_version_and_refused_as_it_is(lock, work, site, name):
    make_wheel(work / "shelf", "old", "1.0")
    information = "Metadata-Version: 1.0\nName: old\nVersion: 1.0\n"
    if name == "a file":  # of distutils, which says nothing of its modules
        (site / "old-1.0.egg-info").write_text(information)
    else:
        info = site / name / "EGG-INFO" if name.endswith(".egg") else site / name
        info.mkdir(parents=True)
        (info / "PKG-INFO").write_text(information)
        (info / "top_level.txt").write_text("old\n")
        (site / name / "old.py" if name.endswith(".egg") else site / "old.py").write_text("")
    said = lock()
    assert "warning: myenv: without a RECORD (setup.py install), only name and version are known: old 1.0" in said
    assert "belong" not in said, "its top-level module is its own"
    said = lock("--as-is", code=3)
    assert "error: myenv: old 1.0: has no RECORD to compare its files with" in said
    assert "hint: reinstall it there: pip install --force-reinstall --no-deps old==1.0" in said


@pytest.mark.slow
def test_a_pth_file_that_leaves_the_environment_is_named(lock, work, site):
    (work / "code").mkdir()
    (site / "code.pth").write_text(f"# mine\n{work / 'code'}\nimport os\n../../../../code\n")
    (site / "inside.pth").write_text("alpha\n")
    said = lock()
    assert "code.pth: puts what is not in the environment onto the path, and it is not taken: " in said
    assert f"{work / 'code'}, ../../../../code: install it there, or ship it beside your program" in said
    assert "inside.pth: puts" not in said


@pytest.mark.slow
def test_faults_of_distributions_are_told_all_at_once(lock, site):
    (site / "broken-1.0.dist-info").mkdir()
    install(site, "alpha", "2.0")
    install(site, "gamma", "none at all")
    (site / "~amma-1.0.dist-info").mkdir()  # pip's own leftover
    said = lock(code=3)
    assert "error: myenv: 3 faults found" in said
    assert "myenv/lib/python3.11/site-packages/broken-1.0.dist-info: has no METADATA with a name and a version" in said
    assert "myenv: alpha: is installed twice; got alpha-1.0.dist-info, alpha-2.0.dist-info" in said
    assert "has a name or version that is none; got 'gamma none at all'" in said
    assert "hint: remove the one that is not imported, or both: pip uninstall alpha, twice" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "origin",
    [
        b"nothing",
        b"[]",
        b'{"url": "https://host/a b"}',
        b'{"url": "file:///x\\n-r /etc/passwd"}',
        b'{"url": "https://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "--upload-pack=x"}}',
        b'{"url": "ext::sh -c touch%% ran", "vcs_info": {"vcs": "git", "commit_id": "%s"}}' % (b"a" * 40),
        b'{"url": "https://host/x", "vcs_info": {"vcs": "hg", "commit_id": "1"}}',
        b"[" * 100_000,
    ],
)
def test_an_origin_that_cannot_be_one_is_refused(lock, site, origin):
    (site / "alpha-1.0.dist-info/direct_url.json").write_bytes(origin)
    assert "direct_url.json: names no place that can be used" in lock(code=3)


# What its files may not be


@pytest.mark.slow
@pytest.mark.parametrize("name", ["METADATA", "RECORD", "WHEEL", "direct_url.json", ""])
def test_a_link_in_the_place_of_metadata_is_not_followed(lock, work, site, name):
    place = site / "alpha-1.0.dist-info" / name
    secret = work / "secret"
    if place.exists():
        place.rename(secret)
    else:
        secret.write_text("{}")
    (site / "alpha-1.0.dist-info" / name if name else site / "alpha-1.0.dist-info").symlink_to(secret)
    assert "is a symbolic link, which is not followed" in lock(code=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["link", "link to itself", "link of a directory", "pipe"])
def test_a_file_that_is_none_counts_as_changed(lock, work, site, kind):
    install(site, "beta", "1.0", **{"package/x.py": b"x\n"})
    make_wheel(work / "shelf", "beta", "1.0")
    place = site / "package/x.py"
    (work / "elsewhere").mkdir()
    (work / "elsewhere/x.py").write_bytes(b"x\n")
    place.unlink()
    if kind == "link":
        place.symlink_to(work / "elsewhere/x.py")
    elif kind == "link to itself":
        place.symlink_to(place)
    elif kind == "link of a directory":
        place.parent.rmdir()
        place.parent.symlink_to(work / "elsewhere")
    else:
        os.mkfifo(place)
    assert "beta 1.0: differs from its RECORD: 1 changed (package/x.py)" in lock("--as-is", code=3)
    lock()


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../../../secret", "../../../..", "../../../../../../../etc/passwd"]
)
def test_a_record_that_leads_out_of_the_environment_is_not_followed(lock, site, path):
    record = site / "alpha-1.0.dist-info/RECORD"
    record.write_text(f"{record.read_text()}{path},sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n")
    assert f"differs from its RECORD: 1 outside of the environment ({path}) [A9]" in lock("--as-is", code=3)
    assert f"1 outside of the environment ({path}): not taken" in lock()


@pytest.mark.slow
def test_a_record_that_is_none_is_refused(lock, site):
    (site / "alpha-1.0.dist-info/RECORD").write_bytes(b'"alpha.py\n\xff')
    assert "alpha-1.0.dist-info/RECORD: cannot be read: " in lock("--as-is", code=3)


@pytest.mark.slow
def test_a_file_without_a_hash_cannot_be_vouched_for(lock, site):
    record = site / "alpha-1.0.dist-info/RECORD"
    lines = ["alpha.py,," if line.startswith("alpha.py,") else line for line in record.read_text().splitlines()]
    record.write_text("\n".join(lines))
    assert "1 changed (alpha.py)" in lock("--as-is", code=3)


@pytest.mark.slow
def test_a_site_packages_that_lies_elsewhere_is_refused(lock, work, site):
    site.rename(work / "elsewhere")
    site.symlink_to(work / "elsewhere")
    said = lock(code=3)
    assert "site-packages: lies outside of the environment" in said
    assert f"--venv {work / 'elsewhere'}" in said


@pytest.mark.slow
def test_native_code_that_does_not_load_on_the_target_is_refused(lock, work, site):
    source = work / "native.c"
    source.write_text("int f(void) { return 1; }\n")
    run("cc", "-shared", "-o", work / "native.so", source, "-Wl,--no-as-needed", "-lcrypt")
    info = install(site, "beta", "1.0", **{"native.so": (work / "native.so").read_bytes()})
    wheel = b"Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n"
    record = [
        record_line(f"{info.name}/WHEEL", wheel) if "/WHEEL," in line else line
        for line in (info / "RECORD").read_text().splitlines()
    ]
    (info / "WHEEL").write_bytes(wheel)
    (info / "RECORD").write_text("\n".join(record))
    said = lock("--as-is", code=5)
    assert "myenv: beta 1.0: native.so: needs libraries that the target may lack" in said
    assert "got libcrypt.so" in said


@pytest.mark.slow
def test_names_that_a_terminal_would_obey_are_escaped(lock, site):
    (site / "\x1b[31mred.py").write_text("")
    (site / os.fsdecode(b"\xff.py")).write_text("")
    said = lock()
    assert r"2 files belong to no distribution, not taken: \x1b[31mred.py, \udcff.py" in said


@pytest.mark.slow
def test_no_code_of_the_environment_runs(lock, work, site):
    mark = work / "ran"
    for name in ("sitecustomize.py", "alpha.py", "encodings.py"):
        (site / name).write_text(f"open({str(mark)!r}, 'w')\n")
    (site / "start.pth").write_text(f"import os; open({str(mark)!r}, 'w')\n")
    for program in (work / "myenv/bin").glob("python*"):
        program.unlink()
        program.write_text(f"#!/bin/sh\ntouch {mark}\n")
        program.chmod(0o755)
    lock()
    lock("--as-is", code=3)
    assert not mark.exists()
