"""A lazy mount next to an eager one: the same answers, sooner; and what it survives. On a real CPython 3.7 and 3.12."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.image_factory import make_image, make_layer
from support.interpreters import python, target_of

from bundler.images.carriers import write_carrier
from bundler.images.launch import launch_files
from bundler.images.oci_image import assemble
from bundler.layers.packing import decode

RANDOM = random.Random(7)
MANY = {
    f"site-packages/many/m{n:03}.py": b"value = %d\n" % n + RANDOM.randbytes(1000).hex().encode().join([b"#", b"\n"])
    for n in range(200)
}


def metadata(name, *more):
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + "".join(more)
    return {
        f"site-packages/{name}-1.0.dist-info/METADATA": text.encode(),
        f"site-packages/{name}-1.0.dist-info/RECORD": f"{name}/__init__.py,,\n".encode(),
    }


LAYERS = (
    {**MANY, "site-packages/many/__init__.py": b"", **metadata("many")},
    {
        "site-packages/alpha/__init__.py": b"import beta\nvalue = beta.value + 1\n",
        "site-packages/alpha/data.bin": RANDOM.randbytes(200_000),
        "site-packages/space/one.py": b"value = 1\n",
        **metadata("alpha"),
    },
    {
        "site-packages/beta/__init__.py": b"value = 41\n",
        "site-packages/single.py": b"value = 5\n",
        "site-packages/space/two.py": b"value = 2\n",
        "site-packages/a.pth": b"beta/vendored\nimport sys, single; sys.startup = single.value\n",
        "site-packages/beta/vendored/inner.py": b"value = 6\n",
        **metadata("beta"),
    },
    {
        "site-packages/gamma/__init__.py": b"def main():\n    print('gamma runs')\n",
        "site-packages/gamma/data/nested.txt": b"nested\n",
        "site-packages/gamma-1.0.dist-info/entry_points.txt": b"[console_scripts]\ngamma = gamma:main\n",
        "bin/gamma": b"#!/usr/bin/env python\nimport gamma\ngamma.main()\n",
        "share/gamma/x.txt": b"shared\n",
        **metadata("gamma"),
    },
    {"site-packages/bulk/__init__.py": b"", "site-packages/bulk/data.bin": RANDOM.randbytes(3_000_000)},
)
VERSIONS = ("3.7", "3.12")


def make(directory, version, form="packed", layers=LAYERS):
    image = make_image(directory / "layers", *layers, target=target_of(version))
    out = directory / ("deps.pyz" if form == "pyz" else "deps")
    write_carrier(image, out, form=form, force=True, decode=decode, jobs=1)
    return out, image.digest


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    return {version: make(tmp_path_factory.mktemp("bundle"), version) for version in VERSIONS}


@pytest.fixture(params=["3.7", pytest.param("3.12", marks=pytest.mark.slow)])
def version(request):
    return request.param


@pytest.fixture
def bundle(bundles, version):
    return bundles[version]


@pytest.fixture
def cache(tmp_path):
    path = tmp_path / "cache"
    path.mkdir(mode=0o700)
    return path


def environment(path, cache, *, lazy=True, **more):
    return {
        **os.environ, "PYTHONPATH": str(path), "BUNDLE_CACHE": str(cache), "BUNDLE_LAZY": str(int(lazy)),
        "BUNDLE_REPORT": str(cache.parent / "report.json"), **more,
    }  # fmt: skip


def start(path, code, cache, *, version, lazy=True, command=None, cwd=None, **more):
    command = command or [python(version), "-W", "error", "-c", code]
    env = environment(path, cache, lazy=lazy, **more)
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=env, timeout=30, cwd=cwd
    )


def report_of(cache):
    return json.loads((cache.parent / "report.json").read_text())


def fresh(cache):
    for path in [cache, *cache.rglob("*")]:
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(cache)
    cache.mkdir(mode=0o700)


SITE = (
    "import os, sys; site = next(p for p in sys.path if p.endswith('/site-packages') and len(p.split('/')[-2]) == 64)\n"
)
PROGRAMS = {
    "imports": (
        "import alpha, many.m007, inner, sys\n"
        "print(alpha.value, many.m007.value, inner.value, sys.startup)\n"
        "print(alpha.__file__, type(alpha.__loader__), alpha.__spec__)"
    ),
    "find_spec": (
        "import importlib.util as u\n"
        "print([u.find_spec(n) for n in ('alpha', 'single', 'gamma.data', 'absent', 'space')])"
    ),
    "namespace packages": (
        "import space.two, space.one\nprint(space.one.value, space.two.value, list(space.__path__))"
    ),
    "data of an imported package": (
        "import pkgutil, alpha, os, hashlib\nprint(hashlib.sha256(pkgutil.get_data('alpha', 'data.bin')).hexdigest(),"
        " hashlib.sha256(open(os.path.join(os.path.dirname(alpha.__file__), 'data.bin'), 'rb').read()).hexdigest(),"
        " sorted(os.listdir(os.path.dirname(alpha.__file__))))"
    ),
    "a missing module": "try:\n    import absent\nexcept ImportError as error:\n    print(repr(error))",
    "threads": (
        "import threading\nprint(threading.active_count(), [t.name for t in threading.enumerate()])\n"
        "def work(n): __import__('many.m%03d' % n); __import__('alpha')\n"
        "all = [threading.Thread(target=work, args=(n,)) for n in range(20)]\n"
        "[t.start() for t in all]; [t.join() for t in all]\n"
        "import sys; print(sum(n.startswith('many.') for n in sys.modules))"
    ),
    "fork": (
        "import os, sys\npid = os.fork()\nimport alpha\nprint(alpha.value, flush=True) if pid == 0 else None\n"
        "if pid: os.waitpid(pid, 0); import gamma; print(gamma.__file__)"
    ),
    "subprocess": (
        "import subprocess, sys\n"
        "child = [sys.executable, '-c', 'import gamma, sys; print(gamma.__file__, sys.path[0:2])']\n"
        "print(subprocess.check_output(child), subprocess.check_output(child))"
    ),
    "module as a program": "import runpy; runpy.run_module('many.m003', run_name='__main__'); print(sorted(globals()))",
}
SINCE_38 = {
    "metadata": (
        "import importlib.metadata as m\nprint(m.version('gamma'), m.version('many'),"
        " sorted({d.metadata['Name'] for d in m.distributions()}.intersection('many alpha beta gamma'.split())),"
        " [str(f) for f in m.files('alpha')], m.entry_points(group='console_scripts', name='gamma'))"
    ),
    "files by path": (
        SITE + "print(sorted(os.listdir(site)), [n for n in sorted(os.listdir(site + '/gamma'))])\n"
        "print(open(site + '/gamma/data/nested.txt').read(), open(site + '/../share/gamma/x.txt').read())\n"
        "import pathlib; print(sorted(p.name for p in pathlib.Path(site, 'bulk').iterdir()),"
        " len(pathlib.Path(site, 'bulk', 'data.bin').read_bytes()))"
    ),
    "walking": SITE
    + "found = (os.path.join(d, f)[len(site):] for d, _, names in os.walk(site) for f in names)\nprint(sorted(found))",
    "pkgutil": (
        "import pkgutil\nours = 'many alpha beta gamma single bulk inner'.split()\n"
        "print(sorted(m.name for m in pkgutil.iter_modules() if m.name in ours))"
    ),
}
IN_37 = {
    "pkg_resources": (
        "import pkg_resources as p\nours = 'many alpha beta gamma'.split()\n"
        "print(sorted(str(d) for d in p.working_set if d.key in ours),"
        " p.get_distribution('gamma').get_entry_map(), p.resource_string('alpha', 'data.bin')[:20],"
        " [str(e) for e in p.iter_entry_points('console_scripts') if e.name == 'gamma'])"
    ),
}
QUICK = {("3.7", "imports"), ("3.7", "fork"), ("3.7", "pkg_resources"), ("3.12", "metadata"), ("3.12", "files by path")}
CASES = [
    pytest.param(
        version, name, code, id=f"{version} {name}", marks=() if (version, name) in QUICK else pytest.mark.slow
    )
    for version, more in (("3.7", IN_37), ("3.12", SINCE_38))
    for name, code in {**PROGRAMS, **more}.items()
]


@pytest.mark.parametrize(("version", "name", "code"), CASES)
def test_the_answer_is_that_of_an_eager_mount(bundles, cache, version, name, code):
    path, digest = bundles[version]
    command = [python(version), *([] if name == "pkg_resources" else ["-W", "error"]), "-c", code]
    answers = []
    for lazy in (True, False):
        answer = start(path, code, cache, version=version, lazy=lazy, command=command, BUNDLE_EXPECT=digest)
        assert answer.returncode == 0, answer.stderr
        answers.append((re.sub("0x[0-9a-f]+", "0x…", answer.stdout), answer.stderr))
        assert report_of(cache)["decision"] == ("lazy" if lazy else "unpacked")
        fresh(cache)
        (cache.parent / "report.json").unlink()
    assert answers[0] == answers[1]


def state_of(cache):
    """Return how many parts are ready, and whether the tree is complete."""
    (root,) = (path for path in cache.iterdir() if len(path.name) == 64)
    ready = list(root.glob(".bundle/lazy/*.ready"))
    return len(ready), Path(f"{root}.verified").exists() and not (root / ".bundle/lazy").exists()


def complete(path, digest, cache, version):
    """Run a program that ends when its tree is complete."""
    code = f"import os, time\nwhile not os.path.exists({str(cache / digest[7:])!r} + '.verified'): time.sleep(0.01)"
    answer = start(path, code, cache, version=version)
    assert answer.returncode == 0, answer.stderr


def assert_whole(path, digest, cache, version):
    """Assert that the tree has every byte of the bundle, and nothing else."""
    command = [python(version), str(path), "verify", str(cache / digest[7:])]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert (cache / digest[7:] / "site-packages").stat().st_mode & 0o777 == 0o555
    assert not list(cache.glob(".*partial*"))


def test_what_is_not_asked_for_is_not_waited_for(bundle, cache, version):
    code = SITE + "import alpha; print([os.path.exists(site + p) for p in ('/bulk/data.bin', '/alpha/data.bin')])"
    answer = start(bundle[0], code, cache, version=version)
    assert answer.stdout == "[False, True]\n", answer.stderr
    assert state_of(cache)[0] > 0
    assert not state_of(cache)[1]
    assert "alpha" in [wait["what"] for wait in report_of(cache)["lazy"]["waits"]]


def test_the_rest_follows_and_the_next_boot_finds_a_finished_tree(bundle, cache, version):
    path, digest = bundle
    complete(path, digest, cache, version)
    assert_whole(path, digest, cache, version)
    for lazy in (True, False):
        (cache.parent / "report.json").unlink()
        answer = start(path, "import alpha, sys; print(sys.meta_path)", cache, version=version, lazy=lazy)
        assert "bundle_runtime" not in answer.stdout
        assert report_of(cache)["decision"] == "found finished"


@pytest.mark.slow
def test_short_programs_complete_the_tree_between_them(bundle, cache, version):
    for name in ("alpha", "beta", "gamma", "many", "bulk"):
        assert start(bundle[0], f"import {name}", cache, version=version).returncode == 0
    complete(*bundle, cache, version)
    assert_whole(*bundle, cache, version)


def test_an_eager_boot_completes_what_a_lazy_one_has_begun(bundle, cache, version):
    start(bundle[0], "import alpha", cache, version=version)
    assert not state_of(cache)[1]
    (cache.parent / "report.json").unlink()
    answer = start(bundle[0], "import bulk; print(bulk.__file__)", cache, version=version, lazy=False)
    assert answer.returncode == 0, answer.stderr
    assert report_of(cache)["decision"] == "completed"
    assert state_of(cache)[1]
    assert_whole(*bundle, cache, version)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["always", "never"])
def test_no_policy_takes_an_incomplete_tree_for_a_complete_one(bundle, cache, version, policy):
    start(bundle[0], "import alpha", cache, version=version)
    answer = start(bundle[0], "import bulk, gamma", cache, version=version, lazy=False, BUNDLE_VERIFY=policy)
    assert answer.returncode == 0, answer.stderr
    assert_whole(*bundle, cache, version)


@pytest.mark.slow
def test_always_means_an_eager_mount(bundle, cache, version):
    assert start(bundle[0], "import alpha", cache, version=version, BUNDLE_VERIFY="always").returncode == 0
    assert report_of(cache)["decision"] == "unpacked"


@pytest.mark.slow
@pytest.mark.parametrize("lazy_after", [True, False])
def test_a_killed_process_leaves_what_the_next_one_completes(bundle, cache, version, lazy_after):
    path, digest = bundle
    code = "import many.m001; print(1, flush=True); import time; time.sleep(60)"
    for delay in (0.0, 0.03, 0.11):
        with subprocess.Popen(
            [python(version), "-c", code], env=environment(path, cache), stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    if lazy_after:
        complete(path, digest, cache, version)
    else:
        assert start(path, "import bulk", cache, version=version, lazy=False).returncode == 0
    assert state_of(cache)[1]
    assert_whole(path, digest, cache, version)


@pytest.mark.slow
def test_many_processes_at_once_share_the_work(bundle, cache, version):
    path, digest = bundle
    code = "import alpha, many.m199, gamma, bulk; print(alpha.value, many.m199.value)"
    command = [python(version), "-c", code]
    processes = [
        subprocess.Popen(command, env=environment(path, cache, lazy=n % 4 > 0), stdout=subprocess.PIPE, text=True)
        for n in range(8)
    ]
    assert {process.communicate(timeout=60)[0] for process in processes} == {"42 199\n"}
    complete(path, digest, cache, version)
    assert_whole(path, digest, cache, version)


@pytest.mark.slow
def test_pools_of_processes_see_the_same_tree(bundle, cache, version, tmp_path):
    (tmp_path / "work.py").write_text(
        "import multiprocessing\n"
        "def where(n):\n"
        "    import alpha, importlib\n"
        "    return importlib.import_module('many.m%03d' % n).__file__[:-7], alpha.__file__\n"
        "if __name__ == '__main__':\n"
        "    for method in ('fork', 'spawn', 'forkserver'):\n"
        "        with multiprocessing.get_context(method).Pool(3) as pool:\n"
        "            print(set(pool.map(where, range(40))))\n"
    )
    command = [python(version), "-W", "error", tmp_path / "work.py"]
    answers = []
    for lazy in (True, False):
        answers.append(start(bundle[0], "", cache, version=version, command=command, lazy=lazy))
        fresh(cache)
    assert answers[0].stderr == answers[1].stderr == ""
    assert answers[0].stdout == answers[1].stdout
    assert answers[0].returncode == 0


def damaged(bundle, tmp_path, name):
    """Return a copy of *bundle* in which a byte of the layer that holds *name* is another."""
    path = tmp_path / "damaged"
    shutil.copytree(bundle[0], path)
    layers = json.loads((path / "blobs/sha256" / bundle[1][7:]).read_text())["layers"]
    number = next(n for n, files in enumerate(LAYERS, 1) if name in files)
    blob = path / "blobs/sha256" / layers[number]["digest"][7:]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    return path


def test_a_damaged_distribution_ends_the_program_before_a_line_of_it_runs(bundle, cache, version, tmp_path):
    path = damaged(bundle, tmp_path, "site-packages/gamma/__init__.py")
    code = "import alpha; print(alpha.value, flush=True)\n"
    code += "try:\n    import gamma\nexcept BaseException: print('caught')\nprint('on')"
    answer = start(path, code, cache, version=version)
    assert answer.returncode == 3
    assert answer.stdout == "42\n"
    (line,) = answer.stderr.splitlines()
    assert line.startswith("bundle: python cannot go on: ")
    assert "is damaged at byte" in line
    assert report_of(cache)["exit_code"] == 3
    assert not list(cache.glob("*/site-packages/gamma/*.py"))
    assert not state_of(cache)[1]


def test_damage_that_nobody_asks_for_ends_the_program_as_well(bundle, cache, version, tmp_path):
    path = damaged(bundle, tmp_path, "site-packages/bulk/data.bin")
    answer = start(path, "import alpha, time; time.sleep(30)", cache, version=version)
    assert answer.returncode == 3
    assert "is damaged at byte" in answer.stderr
    eager = start(path, "print('on')", cache, version=version, lazy=False)
    assert (eager.returncode, eager.stdout) == (3, "")


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [True, False])
def test_places_are_refused_as_an_eager_mount_does(bundle, tmp_path, version, lazy):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    answer = start(bundle[0], "print('on')", tmp_path / "open", version=version, lazy=lazy)
    assert (answer.returncode, answer.stdout) == (6, "")
    assert "others may write to it" in answer.stderr


@pytest.mark.slow
def test_another_digest_than_expected_is_refused(bundle, cache, version):
    answer = start(bundle[0], "print('on')", cache, version=version, BUNDLE_EXPECT="sha256:" + "0" * 64)
    assert (answer.returncode, answer.stdout) == (4, "")


@pytest.mark.slow
def test_a_setting_that_is_neither_yes_nor_no_is_refused(bundle, cache, version):
    answer = start(bundle[0], "print('on')", cache, version=version, BUNDLE_LAZY="perhaps")
    assert (answer.returncode, answer.stdout) == (2, "")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pyz", "packed"])
def test_run_has_the_scripts_at_once_and_its_children_join(version, cache, tmp_path, form):
    path, digest = make(tmp_path, version, form)
    commands = [
        ["gamma"],
        ["python", "-c", "import gamma, shutil; print(gamma.__file__, shutil.which('gamma'))"],
        ["sh", "-c", "gamma && python -c 'import alpha; print(alpha.__file__)'"],
    ]
    env = {"PYTHONPATH": "", "BUNDLE_LAZY": "0", "PATH": f"{Path(python(version)).parent}:{os.environ['PATH']}"}
    for command in commands:
        answers = []
        for option in (["--lazy"], []):
            run = [python(version), path, "run", *option, "--expect", digest, "--", *command]
            answer = start(path, "", cache, version=version, command=run, **env)
            assert answer.returncode == 0, answer.stderr
            answers.append(answer.stdout)
            fresh(cache)
        assert answers[0] == answers[1]


def test_mount_takes_it_as_an_argument(bundle, cache, version, tmp_path):
    path, digest = bundle
    (tmp_path / "score.py").write_text(
        f"import sys; sys.path.insert(0, {str(path)!r})\nfrom bundle_runtime import mount\n"
        f"root = mount({str(path)!r}, {digest!r}, lazy=True)\n"
        "import alpha; print(alpha.value, alpha.__file__.startswith(root))\n"
    )
    command = [python(version), tmp_path / "score.py"]
    answer = start(path, "", cache, version=version, command=command, PYTHONPATH="", BUNDLE_LAZY="")
    assert answer.stdout == "42 True\n", answer.stderr
    assert report_of(cache)["decision"] == "lazy"


@pytest.mark.slow
def test_state_of_another_boot_of_the_system_is_not_believed(bundle, cache, version):
    path, digest = bundle
    start(path, "import gamma", cache, version=version)
    state = cache / digest[7:] / ".bundle/lazy/state"
    old = state.read_bytes()
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    state.chmod(0o600)
    file = cache / digest[7:] / "site-packages/gamma/__init__.py"
    file.chmod(0o600)
    for lazy in (True, False):
        if file.parent.exists():
            state.write_bytes(old.replace(boot, b"0" * len(boot)))
            file.write_text("def main(): print('damaged by a power cut')")
        answer = start(path, "import gamma; gamma.main()", cache, version=version, lazy=lazy)
        assert answer.stdout == "gamma runs\n", answer.stderr
        fresh(cache)
        start(path, "import gamma", cache, version=version)
        state.chmod(0o600)
        file.chmod(0o600)


@pytest.mark.slow
def test_pruning_takes_an_incomplete_tree_but_not_from_who_uses_it(bundle, cache, version):
    path, _ = bundle
    clear = f"[{python(version)!r}, {str(path)!r}, 'cache', 'clear'], env={{**os.environ, 'PYTHONPATH': ''}}"
    code = f"import alpha, os, subprocess\nprint(subprocess.check_output({clear}))\nimport gamma; gamma.main()"
    used = start(path, code, cache, version=version)
    assert used.stdout == "b'freed 0.0 MB\\n'\ngamma runs\n", used.stderr
    command = [python(version), path, "cache", "clear"]
    start(path, "", cache, version=version, command=command, PYTHONPATH="", BUNDLE_LAZY="0")
    assert list(cache.iterdir()) == []


def make_of_wheels(directory, version, layers, requires):
    """Make a bundle of *layers*, each of which holds wheels by name."""
    target = target_of(version)
    built = []
    for n, wheels in enumerate(layers):
        layer = make_layer(directory, f"layer{n}", {k: v for files in wheels.values() for k, v in files.items()})
        alone = (make_layer(directory, name, files).distributions[0] for name, files in wheels.items())
        distributions = (item._replace(requires=requires.get(item.name, ())) for item in alone)
        built.append(dataclasses.replace(layer, distributions=tuple(distributions)))
    documents = {".bundle/pylock.toml": b"# a lock\n"}
    documents.update(launch_files(None))
    image = assemble(tuple(built), target=target, libc_version=target.libc_version, bytecode=None, documents=documents)
    write_carrier(image, directory / "deps", form="packed", force=True, decode=decode, jobs=1)
    return directory / "deps"


def test_native_libraries_wait_for_those_of_what_they_require(tmp_path, version, cache):
    native = {"native": {"site-packages/native/__init__.py": b"", "site-packages/native/core.so": b"x"}}
    pure = {"pure": {"site-packages/pure/__init__.py": b""}}
    driver = {"driver": {"site-packages/driver/libdriver.so.1": b"y"}}
    apart = {"apart": {"site-packages/apart/other.so": b"z" * 100}}
    requires = {"native": ("pure (>=1)", "absent; extra == 'x'"), "pure": ("Driver>=2 ; python_version > '3'",)}
    path = make_of_wheels(tmp_path, version, [native, pure, driver, apart], requires)
    code = SITE + "import %s; print([os.path.exists(site + p) for p in ('/driver/libdriver.so.1', '/apart/other.so')])"
    assert start(path, code % "pure", cache, version=version).stdout == "[False, False]\n"
    fresh(cache)
    assert start(path, code % "native", cache, version=version).stdout == "[True, False]\n"


def test_a_pure_neighbour_of_a_native_library_does_not_wait_for_what_that_requires(tmp_path, version, cache):
    shared = {
        "native": {"site-packages/native/__init__.py": b"", "site-packages/native/core.so": b"x"},
        "pure": {"site-packages/pure.py": b""},
    }
    driver = {"driver": {"site-packages/driver/libdriver.so.1": b"y"}}
    path = make_of_wheels(tmp_path, version, [shared, driver], {"native": ("driver",), "pure": ("driver",)})
    code = SITE + "import %s; print(os.path.exists(site + '/driver/libdriver.so.1'))"
    assert start(path, code % "pure", cache, version=version).stdout == "False\n"
    fresh(cache)
    assert start(path, code % "native", cache, version=version).stdout == "True\n"
