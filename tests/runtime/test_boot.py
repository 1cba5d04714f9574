"""Booting for real: the runtime in the artifact, on CPython 3.7, with nothing installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.image_factory import make_image
from support.interpreters import VERSIONS, python, target_of

from bundler.images.carriers import write_carrier
from bundler.runtime.markers import boot_id

FILES = {
    "site-packages/mod.py": b"value = 42\n",
    "site-packages/package/__init__.py": b"value = 44\n",
    "site-packages/sub/lib/inner.py": b"value = 43\n",
    "site-packages/paths.pth": b"sub/lib\nimport os; os.makedirs('canary', exist_ok=True)\n../../..\n/etc\n",
    "site-packages/data.bin": bytes(range(256)) * 2000,
    "bin/tool": b"#!/usr/bin/env python3\nimport mod, sys\nprint(mod.value, sys.argv[1:])\n",
}


@pytest.fixture(scope="module", params=["pyz", "packed", "tree"])
def bundle(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), request.param)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), "packed")


def make(directory, form, version="3.7"):
    import zstandard

    image = make_image(directory / "layers", FILES, target=target_of(version))
    out = directory / ("deps.pyz" if form == "pyz" else "deps")
    decode = lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)  # noqa: E731
    write_carrier(image, out, form=form, force=False, decode=decode, jobs=1)
    return out, image.digest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work where nothing stays: the startup line writes a file."""
    monkeypatch.chdir(tmp_path)


def boot(*arguments, version="3.7", program=None, **options):
    """Run ``python PROGRAM …`` (default: the runtime of the builder) and return the completed process."""
    if program is None:
        code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from runtime.cli import main; sys.exit(main(None))"
        import bundler.runtime

        program = ["-c", code, os.path.dirname(os.path.dirname(bundler.runtime.__file__))]
    else:
        program = [program]
    return subprocess.run(
        [python(version), *program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        **options,
    )


PRINT = "import mod, inner, sys; print(mod.value + inner.value, mod.__file__)"


def test_runs_code_from_every_carrier(bundle, tmp_path):
    path, digest = bundle
    report = tmp_path / "report.json"
    answer = boot("run", f"--expect={digest}", f"--report={report}", path, "--", "python", "-c", PRINT, cwd=tmp_path)
    assert answer.stderr == ""
    value, file = answer.stdout.split()
    assert value == "85"
    facts = json.loads(report.read_text())
    assert file == os.path.join(facts["tree"], "site-packages/mod.py")
    assert facts["digest"] == digest
    assert facts["trust"] == "verified"
    assert facts["milliseconds"] > 0
    assert (tmp_path / "canary").exists(), "the startup line of the .pth was not executed"


def test_console_scripts_run_by_name(bundle):
    answer = boot(
        "run", bundle[0], "--", "tool", "a", "b", env={"PATH": "", "BUNDLE_CACHE": os.environ["BUNDLE_CACHE"]}
    )
    assert answer.stdout == "42 ['a', 'b']\n"


def test_a_shell_finds_the_console_scripts_and_its_pythons_the_bundle(bundle):
    path = os.pathsep.join([os.path.dirname(python("3.7")), os.environ["PATH"]])
    script = "tool && python3 -c 'import mod; print(mod.value)'"
    answer = boot("run", bundle[0], "--", "sh", "-c", script, env={**os.environ, "PATH": path})
    assert answer.stdout == "42 []\n42\n", answer.stderr


def test_a_pth_file_of_the_image_may_import_a_package_of_the_bundle(bundle, tmp_path):
    """Python reads it before ``sitecustomize``, so what ``run`` has put on its path must be complete by then."""
    venv = tmp_path / "venv"
    subprocess.run([python("3.7"), "-m", "venv", "--without-pip", venv], check=True)
    line = "import package, sys; sys.seen = package.value, package.__file__\n"
    (venv / "lib/python3.7/site-packages/image.pth").write_text(line)
    code = "import package, sys; print(sys.seen == (44, package.__file__), package.__file__)"
    answer = boot("run", bundle[0], "--", venv / "bin/python", "-c", code)
    assert answer.stderr == ""
    assert answer.stdout.startswith("True ")
    assert answer.stdout.endswith("/site-packages/package/__init__.py\n")


def test_the_artifact_is_its_own_program(bundle, tmp_path):
    path, digest = bundle
    if not (path.is_file() or (path / "__main__.py").exists()):
        assert path.name == "deps"  # a tree has no program of its own
        return
    for version in ("3.11", "3.7", "3.7"):  # what any Python compiles of it does not stay: it would be extra
        boot("info", program=path, version=version)
        assert ": verified: " in boot("verify", "--expect", digest, program=path).stdout
    assert boot("info", program=path).stdout.startswith("target       cpython 3.7")
    assert boot("unpack", tmp_path / "tree", program=path).returncode == 0
    assert (tmp_path / "tree/site-packages/mod.py").read_text() == "value = 42\n"
    assert boot("run", "--", "tool", program=path).stdout == "42 []\n"
    assert boot("verify", tmp_path / "tree", program=path).returncode == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_boots_on_every_python(version, tmp_path):
    path, digest = make(tmp_path, "pyz", version)
    answer = boot("run", "--expect", digest, "--", "python", "-c", PRINT, program=path, version=version)
    assert answer.stderr == ""
    assert answer.stdout.startswith("85 ")


def test_c22_another_python_is_refused_with_got_and_want(packed):
    answer = boot("run", packed[0], "--", "python", "-c", "pass", version="3.8")
    assert answer.returncode == 5
    assert "got 3.8" in answer.stderr
    assert "want 3.7" in answer.stderr


def test_c22_another_python_is_refused_after_a_boot_of_the_right_one(packed):
    assert boot("run", packed[0], "--", "python", "-c", "pass").returncode == 0
    assert boot("run", packed[0], "--", "python", "-c", "pass", version="3.8").returncode == 5


def test_c22_an_older_libc_is_refused(tmp_path):
    import zstandard

    decode = lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)  # noqa: E731
    image = make_image(tmp_path / "layers", FILES, target=target_of("3.7"), libc_version="2.99")
    write_carrier(image, tmp_path / "deps.pyz", form="pyz", force=False, decode=decode, jobs=1)
    answer = boot("run", "--", "python", "-c", "pass", program=tmp_path / "deps.pyz")
    assert answer.returncode == 5
    assert "want 2.99 or newer" in answer.stderr


def decision(bundle, tmp_path, **options):
    report = tmp_path / "report.json"
    answer = boot("run", f"--report={report}", bundle, "--", "python", "-c", PRINT, **options)
    assert answer.returncode == 0, answer.stderr
    return json.loads(report.read_text())


def test_a_second_boot_finds_the_tree_and_reads_no_blob(packed, tmp_path):
    assert decision(packed[0], tmp_path)["decision"] == "unpacked"
    for blob in (packed[0] / "blobs" / "sha256").iterdir():
        blob.rename(blob.with_suffix(".away"))
    try:
        assert decision(packed[0], tmp_path)["decision"] == "found finished"
    finally:
        for blob in (packed[0] / "blobs" / "sha256").iterdir():
            blob.rename(blob.with_suffix(""))


def restart(cache):
    """Make the marker of the tree in *cache* one of an earlier start of the system."""
    (marker,) = cache.glob("*.verified")
    marker.write_text(marker.read_text().replace(boot_id(), "an-earlier-boot"))


def test_after_a_restart_the_tree_is_hashed_again(packed, tmp_path):
    cache = tmp_path / "cache"
    env = {**os.environ, "BUNDLE_CACHE": str(cache)}
    decision(packed[0], tmp_path, env=env)
    restart(cache)
    assert decision(packed[0], tmp_path, env=env)["decision"] == "verified again"
    assert decision(packed[0], tmp_path, env=env)["decision"] == "found finished"


def test_after_a_restart_a_damaged_tree_is_unpacked_anew(packed, tmp_path):
    cache = tmp_path / "cache"
    env = {**os.environ, "BUNDLE_CACHE": str(cache)}
    tree = decision(packed[0], tmp_path, env=env)["tree"]
    restart(cache)
    module = os.path.join(tree, "site-packages/mod.py")
    os.chmod(module, 0o644)
    with open(module, "w") as file:
        file.write("value = 0 \n")
    facts = decision(packed[0], tmp_path, env=env)
    assert facts["decision"] == "unpacked"
    assert facts["replaced"] == "a tree that had changed"


def test_d25_a_tree_whose_marker_was_never_written_is_taken_after_hashing(packed, tmp_path):
    cache = tmp_path / "cache"
    env = {**os.environ, "BUNDLE_CACHE": str(cache)}
    decision(packed[0], tmp_path, env=env)
    next(cache.glob("*.verified")).unlink()
    assert decision(packed[0], tmp_path, env=env)["decision"] == "verified again"


def test_d28_a_read_only_cache_serves_after_a_restart(packed, tmp_path):
    cache = tmp_path / "cache"
    env = {**os.environ, "BUNDLE_CACHE": str(cache)}
    decision(packed[0], tmp_path, env=env)
    restart(cache)
    report = tmp_path / "report.json"
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from runtime.cli import main; sys.exit(main(None))"
    import bundler.runtime

    package = os.path.dirname(os.path.dirname(bundler.runtime.__file__))
    command = [python("3.7"), "-c", code, package, "run", f"--report={report}", packed[0], "--", "python", "-c", PRINT]
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    wrapped = ["unshare", "-rm", "bash", "-c", script, "bash", cache, *command]
    answer = subprocess.run(list(map(str, wrapped)), env=env, capture_output=True, text=True, check=False)
    assert answer.stdout.startswith("85 "), answer.stderr
    assert json.loads(report.read_text())["decision"] == "verified again, and not noted down"


def test_d27_processes_that_boot_together_unpack_once(packed, tmp_path):
    cache = tmp_path / "cache"
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from runtime.cli import main; sys.exit(main(None))"
    import bundler.runtime

    package = os.path.dirname(os.path.dirname(bundler.runtime.__file__))
    processes = [
        subprocess.Popen(
            [
                python("3.7"),
                "-c",
                code,
                package,
                "run",
                f"--report={tmp_path}/{n}",
                packed[0],
                "--",
                "python",
                "-c",
                PRINT,
            ],
            env={**os.environ, "BUNDLE_CACHE": str(cache)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(16)
    ]
    outputs = {process.communicate(timeout=100)[0] for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert len(outputs) == 1
    decisions = [json.loads((tmp_path / str(n)).read_text())["decision"] for n in range(16)]
    assert decisions.count("unpacked") == 1
    assert [path.name for path in cache.iterdir() if "partial" in path.name] == []


def test_d28_the_leftover_of_a_killed_boot_is_removed_but_not_one_in_use(packed, tmp_path):
    import fcntl

    cache = tmp_path / "cache"
    name = packed[1][7:]
    for kind in ("dead", "live"):
        (cache / f".{name}.partial-{kind}" / "site-packages").mkdir(parents=True)
    cache.chmod(0o700)
    fd = os.open(cache / f".{name}.partial-live", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    decision(packed[0], tmp_path, env={**os.environ, "BUNDLE_CACHE": str(cache)})
    os.close(fd)
    assert [path.name for path in cache.glob(".*")] == [f".{name}.partial-live"]


def test_c23_a_cache_that_others_may_write_to_is_refused(packed, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    answer = boot("run", packed[0], "--", "python", "-c", "pass", env={**os.environ, "BUNDLE_CACHE": str(cache)})
    assert answer.returncode == 6
    assert "others may write to it" in answer.stderr
    assert list(cache.iterdir()) == []


def test_c23_a_symlink_for_a_cache_is_refused(packed, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to(tmp_path / "real")
    answer = boot(
        "run", packed[0], "--", "python", "-c", "pass", env={**os.environ, "BUNDLE_CACHE": str(tmp_path / "cache")}
    )
    assert answer.returncode == 6
    assert "symlink" in answer.stderr


def test_d28_without_home_the_tree_goes_to_a_private_directory_below_tmpdir(packed, tmp_path):
    facts = decision(packed[0], tmp_path, env={"TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]})
    assert facts["cache"] == str(tmp_path / f"bundler-{os.geteuid()}")
    assert (tmp_path / f"bundler-{os.geteuid()}").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_d28_any_umask_gives_a_tree_that_only_its_owner_can_change(packed, tmp_path, umask):
    cache = tmp_path / "cache"
    tree = decision(packed[0], tmp_path, env={**os.environ, "BUNDLE_CACHE": str(cache)}, umask=umask)["tree"]
    modes = {os.stat(os.path.join(root, name)).st_mode & 0o022 for root, dirs, files in os.walk(tree) for name in files}
    assert modes == {0}
    assert boot("verify", tree).returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_an_error_in_one_line(packed, unbuffered):
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        builder = "import sys; from bundler.cli import main; sys.exit(main())"
        for command in ([python("3.7"), packed[0], "info"], [sys.executable, "-c", builder, "verify", packed[0]]):
            answer = subprocess.run(command, env=env, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            assert (answer.returncode, answer.stderr) == (1, "error: output: No space left on device\n")


def test_mount_in_code_is_relative_to_the_calling_file(packed, tmp_path):
    os.symlink(packed[0], tmp_path / "deps")
    program = tmp_path / "score.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import bundle_runtime\n"
        f"root = bundle_runtime.mount('deps', expect={packed[1]!r})\n"
        "import mod, inner\n"
        "print(mod.__file__.startswith(root), inner.value)\n"
    )
    answer = boot(packed[0], program=program, cwd="/")
    assert answer.stderr == ""
    assert answer.stdout == "True 43\n"


def test_mount_refuses_another_digest_and_changes_nothing(packed, monkeypatch):
    from bundler.runtime import BundleError, mount

    before = list(sys.path)
    with pytest.raises(BundleError) as caught:
        mount(str(packed[0]), expect="sha256:" + "0" * 64)
    assert caught.value.exit_code == 4
    assert sys.path == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["frobnicate"], 2),
        (["verify"], 2),
        (["run", "PATH"], 2),
        (["verify", "PATH", "--expect", "sha256:xyz"], 2),
        (["verify", "/does/not/exist"], 1),
        (["verify", "/"], 3),
        (["unpack", "PATH", "/does/not/exist/tree"], 1),
        (["unpack", "PATH", "/"], 1),
        (["run", "PATH", "--", "no-such-program"], 1),
    ],
)
def test_wrong_use_has_its_exit_code_and_no_traceback(packed, arguments, code):
    arguments = [str(packed[0]) if item == "PATH" else item for item in arguments]
    answer = boot(*arguments)
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr


def test_unpack_keeps_what_is_there_unless_forced(packed, tmp_path):
    tree = tmp_path / "tree"
    assert boot("unpack", packed[0], tree).returncode == 0
    (tree / "extra").write_text("")
    answer = boot("unpack", packed[0], tree)
    assert answer.returncode == 1
    assert "--force" in answer.stderr
    assert boot("unpack", packed[0], tree, "--force").returncode == 0
    assert boot("verify", tree).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_unpack_does_not_replace_what_is_no_bundle(packed, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "thesis.txt").write_text("years of work")
    assert boot("unpack", packed[0], tree, "--force").returncode == 3
    assert (tree / "thesis.txt").read_text() == "years of work"
