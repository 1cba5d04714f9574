"""Sources become wheels of the bundle: the right ones, the same bytes, and only where they may."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import zipfile
from dataclasses import replace

import pytest
from support.commands import without_network
from support.index_servers import IndexHandler, add_index
from support.interpreters import python
from support.package_servers import Site, serving
from support.reporters import Heard
from support.sdist_factory import make_sdist
from support.wheel_factory import make_wheel

from bundler.building.backends import BuildError
from bundler.building.builder import Builder, BuildPolicy
from bundler.caching.build_cache import Cache
from bundler.create import create, lock
from bundler.fetching.index_options import IndexOptions
from bundler.locks import Lock
from bundler.runtime.errors import BundleError, ContentError, TargetError, UsageError
from bundler.stores.memory import MemoryStore

APP = {"app.py": "import helper\nvalue = helper.value + 1\n"}


@pytest.fixture
def app(shelf):
    make_wheel(shelf, "helper", "1.0", {"helper.py": b"value = 41\n"})
    return make_sdist(shelf, "app", "1.0", APP, requires=["helper"])


def boots(bundle, code, tmp_path):
    environ = {**os.environ, "BUNDLE_CACHE": str(tmp_path / "trees")}
    answer = without_network(python("3.7"), bundle, "run", "--", "python", "-c", code, env=environ)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_a_source_and_what_it_requires_are_imported_on_the_target(app, locked, created, tmp_path):
    made = locked("app")
    assert [f"{pin.name} {pin.version}" for pin in made.pins] == ["app 1.0", "helper 1.0"]
    assert boots(created(made), "import app; print(app.value)", tmp_path) == "42\n"


def test_an_older_version_is_not_taken_because_it_has_a_wheel(shelf, locked):
    make_wheel(shelf, "app", "1.0", {"app.py": b""})
    make_sdist(shelf, "app", "2.0", {"app.py": ""})
    assert [str(pin.version) for pin in locked("app").pins] == ["2.0"]
    assert [str(pin.version) for pin in locked("app", build=None).pins] == ["1.0"]


def test_a_wheel_of_the_same_version_is_preferred_and_nothing_runs(shelf, locked):
    wheel = make_wheel(shelf, "app", "2.0", {"app.py": b""})
    make_sdist(shelf, "app", "2.0", {"app.py": ""}, before="raise SystemExit(1)")
    (pin,) = locked("app").pins
    assert (pin.filename, pin.build) == (wheel.name, None)


def test_a_version_whose_wheels_do_not_fit_is_built(shelf, locked):
    make_wheel(shelf, "app", "1.0", {"app.py": b""}, tag="cp312-cp312-manylinux_2_28_x86_64")
    make_sdist(shelf, "app", "1.0", {"app.py": ""})
    (pin,) = locked("app").pins
    assert pin.filename == "app-1.0-py3-none-any.whl"


@pytest.mark.parametrize("policy", [BuildPolicy(names=frozenset({"other"})), None])
def test_what_may_not_be_built_is_refused_by_name(app, locked, policy):
    with pytest.raises(BundleError, match="app") as caught:
        locked("app", build=policy)
    assert caught.value.exit_code in (1, 2)


def test_only_names_that_are_given_are_built(app, locked):
    assert len(locked("app", build=BuildPolicy(names=frozenset({"app"}))).pins) == 2
    with pytest.raises(UsageError, match="exists as source only") as caught:
        locked("app", build=BuildPolicy(names=frozenset({"helper"})))
    assert "--build app" in caught.value.hint


def test_the_same_source_gives_the_same_bytes_on_clean_caches(app, locked, tmp_path):
    """The time, the hash seed and the umask of the host are none of the wheel's."""
    first = locked("app").pins[0]
    os.utime(app, (1, 1))
    old = os.umask(0o077)
    try:
        second = locked("app", cache=Cache(tmp_path / "other")).pins[0]
    finally:
        os.umask(old)
    assert first.sha256 == second.sha256


def test_a_second_lock_builds_nothing(app, options, locked, monkeypatch):
    locked("app")
    monkeypatch.setattr("bundler.building.backends.Backend.build", lambda _: pytest.fail("it was built again"))
    locked("app")


def test_a_lock_says_what_was_built_from_what(app, locked, options, tmp_path):
    made = locked("app")
    again = Lock.from_toml(made.to_toml(), tmp_path / "pylock.toml", None)
    assert again == made
    build = again.pins[0].build
    assert (build.source.filename, build.python) == ("app-1.0.tar.gz", "3.7.16")
    assert "sdist" in made.to_toml()
    assert str(tmp_path) not in made.to_embedded_toml()


def another(cache, tmp_path):
    """Return the cache of another machine: it has the decoder of these tests, and nothing else."""
    other = Cache(tmp_path / "other")
    for decoder in cache.root.glob("layers/*/*/decoder.so"):
        with other.new_layer(decoder.parent.name) as new:
            (new.path / decoder.name).write_bytes(decoder.read_bytes())
            new.publish()
    return other


def test_another_machine_builds_the_wheel_of_the_lock_again(app, locked, created, cache, tmp_path):
    bundle = created(locked("app"), cache=another(cache, tmp_path))
    assert boots(bundle, "import app; print(app.value)", tmp_path) == "42\n"


def test_a_machine_that_shares_the_layer_builds_nothing(app, locked, created, cache, tmp_path):
    made = locked("app")
    store = MemoryStore()
    first = created(made, layer_cache=store)
    app.unlink()
    second = created(made, "second.pyz", cache=another(cache, tmp_path), layer_cache=store)
    assert second.read_bytes() == first.read_bytes()


def test_a1_a_wheel_that_comes_out_with_other_bytes_than_the_lock_says_is_refused(app, locked, created, tmp_path):
    made = locked("app")
    pins = (replace(made.pins[0], sha256="0" * 64), *made.pins[1:])
    with pytest.raises(ContentError, match="other bytes than its lock says") as caught:
        created(replace(made, pins=pins))
    assert caught.value.rule == "A1"


def test_a1_a_source_that_is_not_the_locked_one_is_not_even_opened(app, locked, created, tmp_path, shelf, cache):
    made = locked("app")
    make_sdist(shelf, "app", "1.0", APP, requires=["helper"], before="raise SystemExit('it ran')")
    pins = (replace(made.pins[0], sha256="0" * 64), *made.pins[1:])
    with pytest.raises(ContentError, match="has other contents than its lock says"):
        created(replace(made, pins=pins), cache=another(cache, tmp_path))


def test_a_build_that_fails_shows_the_end_of_its_log(shelf, locked):
    make_sdist(shelf, "app", "1.0", {}, before="for n in range(99): print('line', n)\nraise ValueError('no such luck')")
    with pytest.raises(BundleError, match="no such luck") as caught:
        locked("app")
    text = str(caught.value)
    assert "app 1.0: its build fails with exit code 1" in text
    assert "app-1.0.log" in text
    assert "line 1\n" not in text


def test_a_module_that_the_build_misses_is_named_with_what_to_type(shelf, locked):
    make_sdist(shelf, "app", "1.0", {}, before="import numpy_of_nobody")
    with pytest.raises(BundleError) as caught:
        locked("app")
    assert caught.value.hint == "--build-requires app:numpy-of-nobody installs it for the build"


def test_build_requirements_are_installed_and_those_of_the_user_too(shelf, locked):
    make_wheel(shelf, "helper", "1.0", {"helper.py": b"value = 41\n"})
    make_wheel(shelf, "tool", "1.0", {"tool.py": b"value = 1\n"})
    make_sdist(shelf, "app", "1.0", {}, before="import helper, tool", build_requires=["helper"])
    policy = BuildPolicy(extra_requires={"app": ("tool",)})
    (pin,) = locked("app", build=policy).pins
    assert [str(item.name) for item in pin.build.requires] == ["helper", "tool"]


RECORDED = """
import csv, glob, os, sys
(record,) = glob.glob(sys.prefix + "/lib/*/site-packages/tool-1.0.dist-info/RECORD")
paths = [row[0] for row in csv.reader(open(record))]
assert "tool.py" in paths and "../../../bin/tool" in paths, paths
site = os.path.dirname(os.path.dirname(record))
assert all(os.path.exists(os.path.join(site, path)) for path in paths), paths
"""


def test_a_build_requirement_finds_its_own_files_by_its_record(shelf, locked):
    """cmake does, and lightgbm is built by it."""
    make_wheel(shelf, "tool", "1.0", {"tool.py": b"", "tool-1.0.data/scripts/tool": b"#!python\n"})
    make_sdist(shelf, "app", "1.0", {}, before=RECORDED, build_requires=["tool"])
    assert len(locked("app").pins) == 1


def test_a_build_requirement_may_be_a_source_itself(shelf, locked):
    make_sdist(shelf, "tool", "1.0", {"tool.py": "value = 1\n"})
    make_sdist(shelf, "app", "1.0", {}, before="import tool", build_requires=["tool"])
    (pin,) = locked("app").pins
    assert pin.build.requires[0].build is not None


@pytest.mark.slow
def test_builds_that_need_each_other_end(shelf, locked):
    make_sdist(shelf, "one", "1.0", {}, build_requires=["two"])
    make_sdist(shelf, "two", "1.0", {}, build_requires=["one"])
    with pytest.raises(UsageError, match="without end"):
        locked("one")


def without_the_target(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_pure_project_is_built_without_the_targets_python(app, locked, tmp_path, monkeypatch, options):
    without_the_target(monkeypatch, tmp_path)
    made = locked("app")
    assert made.pins[0].filename == "app-1.0-py3-none-any.whl"


@pytest.mark.slow
def test_a_native_project_without_the_targets_python_names_the_ways_out(shelf, locked, tmp_path, monkeypatch):
    without_the_target(monkeypatch, tmp_path)
    make_sdist(shelf, "app", "1.0", {}, tag="cp311-cp311-linux_x86_64")
    with pytest.raises(TargetError, match="has native code") as caught:
        locked("app")
    for way in ("--target-python", "container", "--find-links"):
        assert way in caught.value.hint


@pytest.mark.slow
def test_a_version_that_can_neither_be_built_nor_has_a_fitting_wheel_is_passed_over_and_named(
    shelf, options, tmp_path, monkeypatch
):
    without_the_target(monkeypatch, tmp_path)
    make_wheel(shelf, "app", "1.0", {"app.py": b""})
    make_wheel(shelf, "app", "2.0", {"app.py": b""}, tag="cp37-cp37m-manylinux_2_28_x86_64")
    make_sdist(shelf, "app", "2.0", {}, tag="cp311-cp311-linux_x86_64")
    reporter = Heard()
    (pin,) = lock(["app"], options=replace(options, target=replace_libc(options.target)), reporter=reporter).pins
    assert str(pin.version) == "1.0"
    assert [text for text in reporter.warnings if "app 2.0 is passed over" in text]
    with pytest.raises(BundleError, match=r"app"):
        lock(["app==2.0"], options=replace(options, target=replace_libc(options.target)))


@pytest.fixture
def newer(shelf):
    """A build requirement that exists for newer Pythons only, and a source that needs it: so are maturin's for 3.7."""
    headers = b"Metadata-Version: 2.1\nName: newer\nVersion: 1.0\nRequires-Python: >=3.9\n"
    make_wheel(shelf, "newer", "1.0", {"newer.py": b"", "newer-1.0.dist-info/METADATA": headers})
    return make_sdist(shelf, "app", "2.0", {"app.py": ""}, build_requires=["newer"])


@pytest.fixture
def failing(shelf):
    return make_sdist(shelf, "app", "2.0", {"app.py": ""}, before="raise ValueError('no such luck')")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("newer", r"is built with what CPython 3\.7\.16 cannot have \(newer\)"),
        ("failing", r"its build fails .*2\.0\.log"),
    ],
)
def test_a_version_whose_build_fails_is_passed_over_for_one_with_a_wheel(source, reason, shelf, options, request):
    """transformers and catboost for 3.7: their newest sources are for newer Pythons, though they do not say so."""
    request.getfixturevalue(source)
    make_wheel(shelf, "app", "1.0", {"app.py": b""})
    make_sdist(shelf, "app", "1.5", {"app.py": ""}, before="raise ValueError('one attempt is enough')")
    reporter = Heard()
    (pin,) = lock(["app"], options=options, reporter=reporter).pins
    assert str(pin.version) == "1.0"
    (warning,) = reporter.warnings
    assert re.fullmatch(rf"app 2\.0 is passed over for 1\.0: it has no wheel that fits, and {reason}\)?", warning)
    with pytest.raises(BuildError, match=r"app 2\.0") as caught:
        lock(["app==2.0"], options=options)
    assert caught.value.hint.startswith("the nearest versions with a wheel: app 1.0; or offer a wheel of app")
    with pytest.raises(BuildError, match=r"app 2\.0"):
        lock(["app"], options=replace(options, build=BuildPolicy(names=frozenset({"app"}))))


@pytest.fixture
def for_newer_glibc(shelf):
    make_wheel(shelf, "app", "2.0", {"app.py": b""}, tag="py3-none-manylinux_2_28_x86_64")
    make_sdist(shelf, "app", "2.0", {"app.py": ""})


@pytest.mark.slow
def test_a_build_that_would_need_a_newer_glibc_as_its_wheels_do_is_not_tried(shelf, options, for_newer_glibc):
    """lightgbm 4.6.0 for glibc 2.27: ten minutes in vain."""
    assert os.confstr("CS_GNU_LIBC_VERSION") > "glibc 2.27", "this host is as old as the target: use a newer one"
    make_wheel(shelf, "app", "1.0", {"app.py": b""})
    reporter = Heard()
    options = replace(options, target=replace_libc(options.target))
    (pin,) = lock(["app"], options=options, reporter=reporter).pins
    assert (str(pin.version), reporter.built) == ("1.0", [])
    reason = "its wheels need a newer glibc than 2.27, and so would one that is built on this host"
    assert reporter.warnings == [f"app 2.0 is passed over for 1.0: it has no wheel that fits, and {reason}"]
    named = replace(options, build=BuildPolicy(names=frozenset({"app"})))
    (pin,) = lock(["app"], options=named, reporter=reporter).pins
    assert (str(pin.version), reporter.built) == ("2.0", ["app 2.0"])


@pytest.mark.slow
@pytest.mark.parametrize("requirement", ["app", "app==2.0"])
def test_it_is_tried_where_there_is_no_other_way(requirement, options, for_newer_glibc):
    (pin,) = lock([requirement], options=replace(options, target=replace_libc(options.target))).pins
    assert (str(pin.version), pin.filename) == ("2.0", "app-2.0-py3-none-any.whl")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("src/_mssql.c:1275:10: fatal error: sqlfront.h: No such file or directory", "install what has sqlfront.h"),
        ("error: command '/usr/bin/gcc' failed with exit code 1", "a C compiler is missing, or a header file"),
        ("what nobody knows", "offer a wheel of app with --find-links"),
    ],
)
def test_what_a_failed_build_says_becomes_what_to_type(said, hint, shelf, locked):
    make_sdist(shelf, "app", "1.0", {}, before=f"print({said!r}, flush=True)\nraise SystemExit(1)")
    with pytest.raises(BuildError) as caught:
        locked("app")
    assert caught.value.hint.startswith(hint)


def replace_libc(target):
    return target._replace(libc_version="2.27")


EXTENSION = """
import subprocess, sysconfig
code = '#include <Python.h>\\nstatic struct PyModuleDef m = {PyModuleDef_HEAD_INIT, "native", 0, -1, 0};'
code += 'PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&m); }'
open("native.c", "w").write(code)
include = sysconfig.get_paths()["include"]
subprocess.check_call(["gcc", "-shared", "-fPIC", "-I", include, "native.c", "-o", "package/native.so", *FLAGS])
"""


@pytest.mark.slow
def test_a_project_with_a_c_extension_is_built_for_the_target_and_imported(shelf, locked, created, tmp_path):
    before = EXTENSION.replace("FLAGS", "[]")
    make_sdist(shelf, "native", "1.0", {"a.py": ""}, before=before, tag="cp37-cp37m-linux_x86_64")
    bundle = created(locked("native"))
    assert boots(bundle, "import native; print(native.__name__)", tmp_path) == "native\n"


@pytest.mark.slow
def test_a_library_that_does_not_load_on_the_target_is_refused_by_name(shelf, options):
    before = EXTENSION.replace("FLAGS", '["-Wl,--no-as-needed", "-lcrypt"]')
    make_sdist(shelf, "native", "1.0", {"a.py": ""}, before=before, tag="cp37-cp37m-linux_x86_64")
    with pytest.raises(TargetError, match=r"libcrypt\.so\.1"):
        lock(["native"], options=replace(options, target=replace_libc(options.target)))


@pytest.mark.slow
def test_what_does_not_fit_the_target_is_not_built_again(shelf, options):
    before = EXTENSION.replace("FLAGS", '["-Wl,--no-as-needed", "-lcrypt"]')
    make_sdist(shelf, "native", "1.0", {"a.py": ""}, before=before, tag="cp37-cp37m-linux_x86_64")
    said = []
    reporter = Heard()
    for _ in range(2):
        with pytest.raises(TargetError) as caught:
            lock(["native"], options=replace(options, target=replace_libc(options.target)), reporter=reporter)
        said.append(str(caught.value))
    assert reporter.built == ["native 1.0"]
    assert said[0] == said[1]


@pytest.mark.slow
def test_a_library_of_the_host_is_taken_along_where_it_loads_on_the_target(shelf, locked, created, tmp_path, options):
    lines = [
        "import os, subprocess",
        "open('extra.c', 'w').write('int extra(void) { return 42; }')",
        "command = 'gcc -shared -fPIC -Wl,-soname,libextra.so.1 extra.c -o libextra.so.1'",
        "subprocess.check_call(command.split())",
        "FLAGS = ['-Wl,--no-as-needed', '-Wl,-rpath,' + os.getcwd(), os.getcwd() + '/libextra.so.1']",
    ]
    before = "\n".join(lines) + EXTENSION
    make_sdist(shelf, "native", "1.0", {"a.py": ""}, before=before, tag="cp37-cp37m-linux_x86_64")
    made = locked("native")
    with zipfile.ZipFile(options.cache.wheel(made.pins[0].sha256)) as wheel:
        assert [name for name in wheel.namelist() if name.startswith("native.libs/libextra")]
    assert boots(created(made), "import native; print(native.__name__)", tmp_path) == "native\n"


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("requirement", "code"),
    [
        ("json-logging-py==0.2", "import jsonlogging"),
        ("imutils==0.5.4 numpy opencv-python-headless==4.5.5.64", "import imutils"),
        ("sklearn==0.0.post1", "import pkgutil"),
        ("wrapt==1.12.1", "from wrapt import _wrappers"),
        ("fusepy==3.0.1 docopt==0.6.2", "import docopt"),
        ("simplejson==3.16.0", "import simplejson"),
    ],
)
def test_what_people_have_is_built_and_imported(builder_cache, requirement, code, tmp_path):
    command = ["-m", "bundler", "create", *requirement.split(), "-o", str(tmp_path / "deps.pyz")]
    command += ["--cache-dir", str(builder_cache), "-q"]
    answer = subprocess.run([os.sys.executable, *command], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    boots(tmp_path / "deps.pyz", code, tmp_path)


@pytest.mark.slow
def test_rebuilding_what_was_not_built_is_a_mistake_of_the_caller(shelf, locked):
    make_wheel(shelf, "helper", "1.0", {"helper.py": b""})
    (pin,) = locked("helper").pins
    with pytest.raises(ValueError, match="was not built"):
        Builder.rebuild(None, pin)


@pytest.mark.slow
def test_a_source_of_an_index_with_md5_only_is_built_and_locked_by_its_sha256(locked, tmp_path):
    source = make_sdist(tmp_path, "app", "2.0", {"app.py": ""})
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with serving(Site(), handler=IndexHandler) as site:
        index = add_index(site, "/simple", source, algorithm="md5")
        (pin,) = locked("app", indexes=lambda: IndexOptions(index_url=index)).pins
        assert pin.build.source.sha256 == digest
        wrong = add_index(site, "/wrong", source, algorithm="md5", digest="0" * 32)
        with pytest.raises(ContentError, match="another md5"):
            locked("app", indexes=lambda: IndexOptions(index_url=wrong))


@pytest.mark.slow
def test_a_source_comes_from_the_index_that_its_project_has_of_its_own(locked, tmp_path):
    wheel = make_wheel(tmp_path / "main", "top", "1.0", requires=["app"])
    other = make_sdist(tmp_path / "main", "app", "9.0", {"app.py": ""})
    own = make_sdist(tmp_path, "app", "2.0", {"app.py": ""}, requires=["helper"])
    with serving(Site(), handler=IndexHandler) as site:
        main = add_index(site, "/main", wheel, other, make_wheel(tmp_path, "helper", "1.0"))
        mine = add_index(site, "/mine", own)
        indexes = IndexOptions(index_url=main, index_for=(("app", mine),))
        lock = locked("top", indexes=lambda: indexes)
    assert [(pin.name, str(pin.version)) for pin in lock.pins] == [("app", "2.0"), ("helper", "1.0"), ("top", "1.0")]
    assert f"/mine/files/{own.name}" in lock.pins[0].build.source.url
    assert f"/main/files/{other.name}" not in [request.path for request in site.requests]


@pytest.mark.slow
def test_a_library_that_the_source_brought_ready_made_is_its_authors_business(shelf, locked, tmp_path):
    library = tmp_path / "ready.so"
    command = ["gcc", "-shared", "-xc", "/dev/null", "-Wl,--no-as-needed", "-lcrypt", "-o", library]
    subprocess.run(command, check=True)
    make_sdist(shelf, "ready", "1.0", {"ready/ready.so": library.read_bytes(), "ready/__init__.py": ""})
    (pin,) = locked("ready").pins
    assert pin.build is not None


@pytest.mark.slow
def test_what_an_old_wheel_requires_is_read_as_pip_read_it_and_said(shelf, options, created):
    make_wheel(shelf, "pandas", "0.24.2", {"pandas.py": b""}, requires=["pytz (>=2011k)", "six<2"])
    make_wheel(shelf, "pytz", "2020.1", {"pytz.py": b""})
    make_wheel(shelf, "six", "1.0", {"six.py": b""})
    reporter = Heard()
    locked = lock(["pandas==0.24.2"], options=options, reporter=reporter)
    assert [str(pin.name) for pin in locked.pins] == ["pandas", "pytz", "six"]
    what = "pandas 0.24.2 requires what has no valid version; read, as pip once did: pytz (>=2011k) as pytz"
    assert reporter.warnings == [what]
    created(locked)


@pytest.mark.slow
def test_a_name_that_was_given_up_is_said_to_bring_nothing(shelf, options, tmp_path):
    make_sdist(shelf, "sklearn", "0.0", {})
    reporter = Heard()
    create(lock(["sklearn"], options=options), tmp_path / "deps.pyz", options=options, reporter=reporter)
    assert reporter.warnings == [
        "sklearn is an empty project, and nothing here brings its modules: require scikit-learn instead"
    ]


@pytest.mark.slow
def test_what_an_old_wheel_requires_and_nobody_can_read_is_an_error(shelf, locked):
    make_wheel(shelf, "app", "1.0", {"app.py": b""}, requires=["two names"])
    with pytest.raises(BundleError, match=r"app==1\.0 has an invalid package format"):
        locked("app==1.0")
