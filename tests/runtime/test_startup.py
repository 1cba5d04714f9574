"""A start of Python with a bundle on its path: mounted before user code, or no start at all. On a real CPython 3.7."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard
from support.image_factory import make_image
from support.interpreters import VERSIONS, python, target_of

from bundler.images.carriers import write_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.verifying import verify

FILES = {
    "site-packages/mod.py": b"value = 42\n",
    "site-packages/sub/lib/inner.py": b"value = 43\n",
    "site-packages/a.pth": b"sub/lib\n/etc\n../../..\n",
    "site-packages/b.pth": b"import sys; sys.startup_line = sys._getframe(1).f_locals['sitedir']\n",
    "site-packages/c.pth": b"import no_such_module\nimport sys; sys.never = 1\n",
    "site-packages/split/ours.py": b"name = 'bundle'\n",
    "site-packages/legacy/ours.py": b"name = 'bundle'\n",
}
SHOW = "import sys, mod, inner; print(mod.value, inner.value, mod.__file__)"


def make(directory, form, version="3.7", files=FILES, others=()):
    image = make_image(directory / "layers", files, *others, target=target_of(version))
    out = directory / ("deps.pyz" if form == "pyz" else "deps")
    decode = lambda data, raw: zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)  # noqa: E731
    write_carrier(image, out, form=form, force=False, decode=decode, jobs=1)
    return out, image.digest


def entry(path):
    """Return what of the bundle at *path* belongs on PYTHONPATH."""
    return path / "site-packages" if (path / "site-packages").is_dir() else path


@pytest.fixture(params=["pyz", "packed", "tree"])
def bundle(request, tmp_path):
    return make(tmp_path, request.param)


@pytest.fixture
def packed(tmp_path):
    return make(tmp_path, "packed")


def start(path, code, *, version="3.7", program=None, cwd=None, **environ):
    """Run *code* with the bundle at *path* on PYTHONPATH."""
    env = {**os.environ, "PYTHONPATH": str(entry(path)), **environ}
    command = program or [python(version), "-c", code]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=100, env=env, cwd=cwd
    )


def report_of(path, tmp_path, code=SHOW, **environ):
    file = tmp_path / "report.json"
    file.unlink(missing_ok=True)
    answer = start(path, code, BUNDLE_REPORT=str(file), **environ)
    assert answer.returncode == 0, answer.stderr
    return json.loads(file.read_text())


def test_user_code_finds_the_bundle_without_a_line_of_its_own(bundle, tmp_path):
    path, digest = bundle
    for decision in ("unpacked", "found finished"):
        answer = start(path, SHOW, BUNDLE_EXPECT=digest)
        assert answer.stdout.startswith("42 43 "), answer.stderr
        assert answer.stdout.strip().endswith("site-packages/mod.py")
        if path.name != "deps" or entry(path) == path:
            assert report_of(path, tmp_path)["decision"] == "found finished", decision


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", ["pyz", "packed", "tree"])
def test_starts_on_every_python(version, form, tmp_path):
    path, digest = make(tmp_path, form, version)
    for _ in range(2):
        answer = start(path, SHOW, version=version, BUNDLE_EXPECT=digest)
        assert answer.stdout.startswith("42 43 "), answer.stderr


def test_the_bundle_takes_the_place_of_its_entry_on_the_path(bundle, tmp_path):
    path, _ = bundle
    (tmp_path / "first").mkdir()
    (tmp_path / "last").mkdir()
    code = "import sys; print([p for p in sys.path if 'pytest-of' in p])"
    pythonpath = os.pathsep.join(map(str, [tmp_path / "first", entry(path), tmp_path / "last"]))
    found = eval(start(path, code, PYTHONPATH=pythonpath).stdout)
    assert found[0] == str(tmp_path / "first")
    assert found[-1] == str(tmp_path / "last")
    assert [os.path.basename(each) for each in found[1:-1]] == ["site-packages", "lib"]


def test_lines_of_pth_files_work_as_in_an_installed_environment(bundle):
    path, _ = bundle
    code = "import sys; print(sys.startup_line); print(hasattr(sys, 'never')); print('/etc' in sys.path)"
    answer = start(path, code)
    line, never, outside = answer.stdout.splitlines()
    assert line.endswith("/site-packages")
    assert (never, outside) == ("False", "False")
    assert "Error processing line 1 of" in answer.stderr
    assert "no_such_module" in answer.stderr


def test_the_sitecustomize_of_the_image_runs_afterwards(bundle, tmp_path):
    path, _ = bundle
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "sitecustomize.py").write_text("import mod, sys\nsys.from_image = mod.value\n")
    pythonpath = os.pathsep.join([str(entry(path)), str(tmp_path / "image")])
    code = "import sys, sitecustomize; print(sys.from_image, sitecustomize.__file__)"
    answer = start(path, code, PYTHONPATH=pythonpath)
    assert answer.stdout == f"42 {tmp_path}/image/sitecustomize.py\n", answer.stderr


def test_a_sitecustomize_of_the_image_that_fails_is_reported_as_python_does(bundle, tmp_path):
    path, _ = bundle
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "sitecustomize.py").write_text("1 / 0\n")
    pythonpath = os.pathsep.join([str(entry(path)), str(tmp_path / "image")])
    answer = start(path, SHOW, PYTHONPATH=pythonpath)
    assert answer.stdout.startswith("42 43 ")
    assert "ZeroDivisionError" in answer.stderr


def test_two_bundles_on_the_path_are_both_mounted_the_first_in_front(tmp_path):
    one, _ = make(tmp_path / "one", "packed")
    files = {**FILES, "site-packages/mod.py": b"value = 1\n", "site-packages/other.py": b""}
    two, _ = make(tmp_path / "two", "tree", files=files)
    pythonpath = os.pathsep.join([str(one), str(entry(two))])
    answer = start(one, "import other; " + SHOW, PYTHONPATH=pythonpath)
    assert answer.stdout.startswith("42 43 "), answer.stderr


def test_subprocesses_and_multiprocessing_see_the_same_tree(bundle, tmp_path):
    path, _ = bundle
    (tmp_path / "work.py").write_text(
        "import multiprocessing, subprocess, sys\n"
        "def where(_):\n"
        "    import mod\n"
        "    return mod.__file__\n"
        "if __name__ == '__main__':\n"
        "    found = {where(0)}\n"
        "    for method in ('fork', 'spawn', 'forkserver'):\n"
        "        with multiprocessing.get_context(method).Pool(2) as pool:\n"
        "            found.update(pool.map(where, range(4)))\n"
        "    child = [sys.executable, '-c', 'import mod; print(mod.__file__)']\n"
        "    found.add(subprocess.check_output(child).decode().strip())\n"
        "    print(found)\n"
    )
    answer = start(path, "", program=[python("3.7"), tmp_path / "work.py"])
    assert len(eval(answer.stdout)) == 1, answer.stderr


def test_a_namespace_package_split_between_bundle_and_image_merges(bundle, tmp_path):
    path, _ = bundle
    image = tmp_path / "image"
    for name in ("split", "legacy"):
        (image / name).mkdir(parents=True)
        (image / name / "theirs.py").write_text("name = 'image'\n")
    # What a -nspkg.pth of the image leaves behind before the bundle is there.
    code = "import split.ours, split.theirs, legacy.ours, legacy.theirs\n"
    code += "print(split.ours.name, legacy.ours.name, legacy.theirs.name)"
    prepare = "import sys, types; m = types.ModuleType('legacy'); m.__path__ = [%r]; sys.modules['legacy'] = m"
    venv = tmp_path / "venv"
    subprocess.run([python("3.7"), "-m", "venv", "--without-pip", venv], check=True)
    site = venv / "lib/python3.7/site-packages"
    (site / "legacy-nspkg.pth").write_text(prepare % str(image / "legacy") + "\n" + str(image) + "\n")
    answer = start(path, "", program=[venv / "bin/python", "-c", code])
    assert answer.stdout == "bundle bundle image\n", answer.stderr


def test_a_namespace_package_of_several_wheels_is_whole(tmp_path):
    others = [{f"site-packages/shared/{name}.py": b"value = 1\n"} for name in ("one", "two")]
    path, _ = make(tmp_path, "packed", others=others)
    answer = start(path, "import shared.two, shared.one; print(shared.one.value + shared.two.value)")
    assert answer.stdout == "2\n", answer.stderr


INSTALLED = {
    "site-packages/thing/__init__.py": b"",
    "site-packages/thing/data.txt": b"text",
    "site-packages/thing-1.5.dist-info/METADATA": b"Metadata-Version: 2.1\nName: thing\nVersion: 1.5\n",
    "site-packages/thing-1.5.dist-info/entry_points.txt": b"[plugins]\nplug = thing:main\n",
}
ASKED = {
    "3.7": (
        "import pkg_resources as p\n"
        "print(p.get_distribution('thing').version, p.resource_string('thing', 'data.txt').decode(),"
        " [entry.name for entry in p.iter_entry_points('plugins')])"
    ),
    "3.12": (
        "import importlib.metadata as m, pkgutil\n"
        "print(m.version('thing'), pkgutil.get_data('thing', 'data.txt').decode(),"
        " [entry.name for entry in m.entry_points(group='plugins')])"
    ),
}


@pytest.mark.parametrize("version", ASKED)
def test_metadata_data_and_entry_points_of_a_distribution_are_found(tmp_path, version):
    path, _ = make(tmp_path, "packed", version, files=INSTALLED)
    answer = start(path, ASKED[version], version=version)
    assert answer.stdout == "1.5 text ['plug']\n", answer.stderr


# --- failing closed -------------------------------------------------------------------------------------------------

CANARY = "open('ran', 'w')"


def refused(path, tmp_path, code, *words, version="3.7", cwd=None, **environ):
    """Assert that Python does not start: the exit code, one line that has *words*, the report, no user code."""
    report = tmp_path / "refusal.json"
    answer = start(path, CANARY, version=version, cwd=cwd or tmp_path, BUNDLE_REPORT=str(report), **environ)
    assert answer.returncode == code, answer.stderr
    assert not (tmp_path / "ran").exists()
    (line,) = answer.stderr.splitlines()
    for word in ("bundle: python will not start: ", *words):
        assert word in line
    facts = json.loads(report.read_text())
    assert facts["exit_code"] == code
    assert facts["error"] in line


def test_another_digest_than_expected(bundle, tmp_path):
    start(bundle[0], SHOW)  # also when the tree is there already
    refused(bundle[0], tmp_path, 4, "is another bundle than expected", "[B17]", BUNDLE_EXPECT="sha256:" + "0" * 64)


def test_a_changed_byte(bundle, tmp_path):
    path, _ = bundle
    if path.is_file():
        data = bytearray(path.read_bytes())
        data[data.rindex(b"\x28\xb5\x2f\xfd") + 40] ^= 1  # in the last frame
        path.write_bytes(data)
    elif entry(path) == path:
        zstd = b"\x28\xb5\x2f\xfd"
        blob = next(each for each in (path / "blobs/sha256").iterdir() if each.read_bytes().startswith(zstd))
        blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    else:
        module = path / "site-packages/mod.py"
        module.chmod(0o644)
        module.write_text("value = 43\n")
    refused(path, tmp_path, 3, "got", "want")


def test_an_extra_file_in_a_tree(tmp_path):
    path, _ = make(tmp_path, "tree")
    (path / "site-packages/extra.py").write_text("open('ran', 'w')\n")
    refused(path, tmp_path, 3, "site-packages/extra.py: is extra")


@pytest.mark.parametrize("form", ["packed", "tree"])
def test_what_python_compiles_of_a_bundle_without_pyc_does_not_stay(tmp_path, form, decode):
    path, digest = make(tmp_path, form)
    before = sorted(path.rglob("*"))
    for policy in ("always", "boot"):
        assert start(path, SHOW, BUNDLE_VERIFY=policy).returncode == 0
        assert sorted(path.rglob("*")) == before
    assert verify(str(path), Demands(digest), decode=decode).trust == "verified"


def test_what_another_python_compiles_at_the_same_time_is_let_pass_and_nothing_else(tmp_path):
    tree, _ = make(tmp_path, "tree")
    written = tree / "site-packages/__pycache__/sitecustomize.cpython-38.pyc"
    written.parent.mkdir()
    for name in (written.name, f"{written.name}.140234"):
        written.with_name(name).write_bytes(b"")
    assert start(tree, SHOW, BUNDLE_VERIFY="always").returncode == 0
    for name in ("mod.cpython-37.pyc", f"{written.name}.so"):
        other = written.with_name(name)
        other.write_bytes(b"")
        refused(tree, tmp_path, 3, f"{other.relative_to(tree)}: is extra", BUNDLE_VERIFY="always")
        other.unlink()


def test_another_python(bundle, tmp_path):
    refused(bundle[0], tmp_path, 5, "was built for another Python", "got 3.8", "want 3.7", version="3.8")
    start(bundle[0], SHOW)
    refused(bundle[0], tmp_path, 5, "was built for another Python", version="3.8")


@pytest.mark.parametrize("old", ["3.6.15", "2.7.18"])
def test_a_python_that_is_too_old_for_the_runtime(old, bundle, tmp_path):
    program = Path(python("3.7")).resolve().parents[2] / old / "bin" / "python"
    assert program.exists(), f"install CPython {old} with pyenv"
    before = sorted(bundle[0].rglob("*.py*"))
    answer = start(bundle[0], "", program=[program, "-c", CANARY], cwd=tmp_path)
    assert answer.returncode == 5
    assert "needs Python 3.7 or newer" in answer.stderr
    assert not (tmp_path / "ran").exists()
    assert sorted(bundle[0].rglob("*.py*")) == before, "it stays the bundle that it was"


def test_a_policy_that_is_none(bundle, tmp_path):
    words = ("BUNDLE_VERIFY", "got allways", "want always, boot, never")
    refused(bundle[0], tmp_path, 2, *words, BUNDLE_VERIFY="allways")


def test_no_place_to_unpack(packed, tmp_path):
    (tmp_path / "file").write_text("")
    refused(packed[0], tmp_path, 6, "there is no usable place", BUNDLE_CACHE=str(tmp_path / "file" / "cache"))


def test_a_missing_module_of_the_runtime(packed, tmp_path):
    (packed[0] / "bundle_runtime/boot.py").unlink()
    answer = start(packed[0], CANARY, cwd=tmp_path)
    assert answer.returncode == 1
    assert "boot" in answer.stderr
    assert not (tmp_path / "ran").exists()
    shutil.rmtree(packed[0] / "bundle_runtime")
    assert start(packed[0], CANARY, cwd=tmp_path).returncode == 3
    assert not (tmp_path / "ran").exists()


def test_nothing_but_the_runtime_can_be_imported_from_the_artifact_itself(packed, tmp_path):
    for name in ("json", "hashlib", "typing", "__future__", "extra"):
        (packed[0] / f"{name}.py").write_text("open('ran', 'w')\n")
    code = "import json\ntry:\n    import extra\nexcept ImportError:\n    print('none')"
    answer = start(packed[0], code, cwd=tmp_path)
    assert answer.stdout == "none\n", answer.stderr
    assert not (tmp_path / "ran").exists()


# --- policies -------------------------------------------------------------------------------------------------------


def damage(root):
    module = Path(root) / "site-packages/mod.py"
    module.chmod(0o644)
    module.write_text("value = 41\n")


def test_policy_boot_looks_once_and_always_looks_each_time(packed, tmp_path):
    path, _ = packed
    root = report_of(path, tmp_path)["tree"]
    damage(root)
    assert start(path, "import mod; print(mod.value)").stdout == "41\n"
    facts = report_of(path, tmp_path, BUNDLE_VERIFY="always")
    assert (facts["decision"], facts["replaced"]) == ("unpacked", "a tree that had changed")
    assert report_of(path, tmp_path, BUNDLE_VERIFY="always")["decision"] == "verified again"


def test_policy_always_refuses_a_tree_in_place_that_has_changed(tmp_path):
    path, _ = make(tmp_path, "tree")
    assert report_of(path, tmp_path)["decision"] == "verified in place"
    damage(path)
    assert start(path, "import mod; print(mod.value)").stdout == "41\n"
    refused(path, tmp_path, 3, "mod.py: has changed", BUNDLE_VERIFY="always")


def test_policy_never_says_so_loudly(bundle, tmp_path):
    path, _ = bundle
    facts = report_of(path, tmp_path, BUNDLE_VERIFY="never")
    assert facts["trust"].startswith("NOT VERIFIED")


def test_a_tree_needs_no_place_to_write_to_and_its_children_know(tmp_path):
    path, digest = make(tmp_path, "tree")
    nowhere = {"BUNDLE_CACHE": "/proc/nowhere", "BUNDLE_EXPECT": digest}
    code = (
        "import os, subprocess, sys, mod\n"
        "os.chmod(mod.__file__, 0o644); open(mod.__file__, 'w').write('value = 41\\n')\n"
        "print(subprocess.check_output([sys.executable, '-c', 'import mod; print(mod.value)']))"
    )
    answer = start(path, code, **nowhere)
    assert "41" in answer.stdout, answer.stderr  # policy boot: the child did not hash it again
    assert start(path, SHOW, **nowhere).returncode == 3  # a process that is no child does


def test_a_report_is_not_overwritten_by_the_starts_that_follow(packed, tmp_path):
    report = tmp_path / "report.json"
    start(packed[0], SHOW, BUNDLE_REPORT=str(report))
    start(packed[0], SHOW, BUNDLE_REPORT=str(report))
    assert json.loads(report.read_text())["decision"] == "unpacked"


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("form", ["packed", "tree"])
def test_c22_a_locale_that_cannot_spell_a_file_is_refused_by_name(tmp_path, form):
    path, _ = make(tmp_path, form, files={**FILES, "site-packages/data/\u00e4.txt": b"x"})
    hint = "set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
    refused(path, tmp_path, 5, "that this Python cannot spell; got ascii, want utf-8", **ASCII)
    assert hint in start(path, SHOW, **ASCII).stderr
    assert start(path, SHOW, **{**ASCII, "PYTHONUTF8": "1"}).returncode == 0


def test_a_tree_is_found_again_whatever_the_locale_makes_of_its_path(packed, tmp_path):
    (tmp_path / "\u00e4").mkdir(mode=0o700)
    report = tmp_path / "report.json"
    seen = []
    for locale in (ASCII, ASCII, {"LC_ALL": "C.UTF-8"}):
        answer = start(packed[0], SHOW, BUNDLE_CACHE=str(tmp_path / "\u00e4"), BUNDLE_REPORT=str(report), **locale)
        assert answer.returncode == 0, answer.stderr
        seen.append(json.loads(report.read_text())["decision"])
        report.unlink()
    assert seen == ["unpacked", "found finished", "found finished"]


def test_a_start_with_the_tree_at_hand_imports_nothing_from_the_standard_library(packed):
    code = "import sys; print(sorted(sys.modules))"
    bare = set(eval(subprocess.check_output([python("3.7"), "-c", code])))
    path, _ = make(packed[0].parent / "quiet", "packed", files={"site-packages/mod.py": b""})
    start(path, "pass")
    extra = set(eval(start(path, code).stdout)) - bare
    own = {"sitecustomize", "__future__", "bundle_runtime", "fcntl", "time"}
    assert {name for name in extra if not name.startswith("bundle_runtime.")} <= own


# --- one line in a program ------------------------------------------------------------------------------------------

SCORE = """
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "deps")); import bundle_runtime; bundle_runtime.mount("deps")
import mod, inner
print(mod.value, mod.__file__)
"""


def test_one_line_mounts_relative_to_the_calling_file(packed, tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    command = [python("3.7"), "-W", "error", tmp_path / "score.py"]
    before = sorted(packed[0].rglob("*"))
    answer = start(packed[0], "", program=command, cwd="/", PYTHONPATH="")
    assert answer.stdout.startswith("42 "), answer.stderr
    assert sorted(packed[0].rglob("*")) == before, "it stays the bundle that it was"
    assert start(packed[0], "", program=command, cwd="/").stdout == answer.stdout, "twice is once"


def test_one_line_says_which_modules_were_imported_before_and_stay(packed, tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "image/mod.py").write_text("value = 1\n")
    (tmp_path / "score.py").write_text("import mod\n" + SCORE)
    program = [python("3.7"), tmp_path / "score.py"]
    answer = start(packed[0], "", program=program, PYTHONPATH=str(tmp_path / "image"))
    assert answer.stdout.startswith("1 ")
    assert f"were imported before and stay: mod ({tmp_path}/image/mod.py)" in answer.stderr
