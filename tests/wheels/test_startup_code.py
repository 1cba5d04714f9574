"""Rule A12: what would run, or replace the standard library, without being asked for."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from support.interpreters import VERSIONS, python, target_of
from support.wheel_factory import make_wheel, pin_of

from bundler.runtime.errors import ContentError, UsageError
from bundler.wheels.allowances import Allowances, parse_allowed
from bundler.wheels.install import chunks_of, files_of
from bundler.wheels.standard_library import is_standard
from bundler.wheels.startup_code import added_directories, check_startup_code
from bundler.wheels.wheel_reader import Wheel

SHIM = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim(); \n"
)
NSPKG = (
    "import sys, types, os;has_mfs = sys.version_info > (3, 5);"
    "p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('google', 'cloud'));"
    "importlib = has_mfs and __import__('importlib.util');has_mfs and __import__('importlib.machinery');"
    "m = has_mfs and sys.modules.setdefault('google.cloud', importlib.util.module_from_spec("
    "importlib.machinery.PathFinder.find_spec('google.cloud', [os.path.dirname(p)])));"
    "m = m or sys.modules.setdefault('google.cloud', types.ModuleType('google.cloud'));"
    "mp = (m or []) and m.__dict__.setdefault('__path__',[]);(p not in mp) and mp.append(p);"
    "m and setattr(sys.modules['google'], 'cloud', m)\n"
)


def check(tmp_path, files, *, allow=(), version="3.7"):
    path = make_wheel(tmp_path, files=files)
    allowances = Allowances(parse_allowed(allow))
    with Wheel.open(path, pin_of(path), warn=pytest.fail) as wheel:
        added = set()
        for file in files_of(wheel):
            added |= added_directories(file, chunks_of(wheel, file))
        for file in files_of(wheel):
            chunks = chunks_of(wheel, file)
            target = target_of(version)
            check_startup_code(wheel.filename, file, chunks, target=target, allowances=allowances, added=added)
    return allowances.used


REFUSED = {
    "an import line": ({"x.pth": b"import evil\n"}, "would run code at every start of Python; got import evil"),
    "a tab": ({"x.pth": b"import\tevil\n"}, "would run code"),
    "behind paths": ({"x.pth": b"lib\n# no\nimport evil"}, "would run code"),
    "behind a carriage return": ({"x.pth": b"lib\rimport evil"}, "would run code"),
    "behind what is known": ({"x.pth": SHIM.encode() + b"import evil\n"}, "got import evil"),
    "nearly known": ({"x.pth": NSPKG.replace("importlib.util'", "evil'").encode()}, "would run code"),
    "known, and more": ({"x.pth": NSPKG.strip().encode() + b";evil()\n"}, "would run code"),
    "known, with another name": ({"x.pth": NSPKG.replace("'google'],", "'sys'],").encode()}, "would run code"),
    "usercustomize": ({"usercustomize.py": b""}, "would run at every start of Python"),
    "usercustomize, a package": ({"usercustomize/__init__.py": b""}, "would run at every start of Python"),
    "egg-link": ({"x.egg-link": b"/tmp\n."}, "would lead out of the tree"),
    "a module of the standard library": ({"argparse.py": b""}, "standard library; got argparse"),
    "a package of it": ({"json/__init__.py": b""}, "standard library; got json"),
    "an extension of it": ({"math.cpython-37m-x86_64-linux-gnu.so": b""}, "standard library; got math"),
    "a module of it, in a directory that a .pth adds": (
        {"lib/json.py": b"", "x.pth": b"# no\nlib\n"},
        "standard library; got json",
    ),
    "a module of it, in a directory that a .pth adds by a detour": (
        {"a/lib/os/__init__.py": b"", "x.pth": b"./a/../a//lib \r\n"},
        "standard library; got os",
    ),
    "a private module of it": ({"_socket.abi3.so": b""}, "standard library; got _socket"),
    "gone in a later Python": ({"distutils/__init__.py": b""}, "standard library; got distutils"),
}


@pytest.mark.parametrize(("files", "words"), REFUSED.values(), ids=REFUSED)
def test_a12_is_refused_with_a_remedy_that_works(files, words, tmp_path):
    with pytest.raises(ContentError) as caught:
        check(tmp_path, files)
    assert words in str(caught.value)
    assert caught.value.rule == "A12"
    (name, data), *_ = files.items()
    sha256 = hashlib.sha256(data).hexdigest()
    assert f"--exclude 'site-packages/{name}'" in caught.value.hint
    assert f"--allow sha256:{sha256}" in caught.value.hint
    (used,) = check(tmp_path, files, allow=[f"sha256:{sha256}"])
    assert (used.rule, used.name, used.sha256, used.why) == ("A12", f"site-packages/{name}", sha256, "allowed")


OWN = ["sitecustomize.py", "sitecustomize/__init__.py", "bundle_runtime/boot.py", "sitecustomize.cpython-37m.so"]


@pytest.mark.parametrize("name", OWN)
def test_a12_names_of_the_bundle_itself_cannot_be_allowed(name, tmp_path):
    with pytest.raises(ContentError, match="that the bundle itself needs") as caught:
        check(tmp_path, {name: b""}, allow=[hashlib.sha256(b"").hexdigest()])
    assert "--allow" not in caught.value.hint


COLOREDLOGS = (
    'import os; exec(\'try: __import__("coloredlogs").auto_install() if os.environ.get("COLOREDLOGS_AUTO_INSTALL")'
    " else None\\nexcept ImportError: pass')\n"
)
KNOWN = {
    "the shim of setuptools": SHIM,
    "what comes with onnxruntime": COLOREDLOGS,
    "a namespace package": NSPKG,
    "two of them": NSPKG + NSPKG.replace("cloud", "api"),
    "without the test of the version": NSPKG.replace("has_mfs = sys.version_info > (3, 5);", "").replace(
        "has_mfs and ", ""
    ),
    "of one name": NSPKG.replace("'google', 'cloud'", "'google',")
    .replace("google.cloud", "google")
    .replace(";m and setattr(sys.modules['google'], 'cloud', m)", ""),
    "from before": "import sys, types, os;p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('zope',));"
    "ie = os.path.exists(os.path.join(p,'__init__.py'));"
    "m = not ie and sys.modules.setdefault('zope', types.ModuleType('zope'));"
    "mp = (m or []) and m.__dict__.setdefault('__path__',[]);(p not in mp) and mp.append(p)\n",
    "from long before": "import sys,types,os; p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('paste',)); "
    "ie = os.path.exists(os.path.join(p,'__init__.py')); "
    "m = not ie and sys.modules.setdefault('paste',types.ModuleType('paste')); "
    "mp = (m or []) and m.__dict__.setdefault('__path__',[]); (p not in mp) and mp.append(p)\n",
}


@pytest.mark.parametrize("text", KNOWN.values(), ids=KNOWN)
def test_a12_what_is_harmless_is_known_by_its_contents_and_listed(text, tmp_path):
    (used,) = check(tmp_path, {"x.pth": text.encode()})
    assert used.why == "known by its contents"


def test_a12_paths_and_comments_need_no_allowance(tmp_path):
    pth = b"lib\n# import os\n  import os\nimportlib_stuff\n"
    assert check(tmp_path, {"x.pth": b"lib\n../json\n/etc\n.\n", "lib/mine.py": b"", "other/json.py": b""}) == ()
    assert check(tmp_path, {"x.pth": pth, "sub/y.pth": b"import os\n", "json/x.txt": b""}) == ()


def test_a12_a_backport_of_a_newer_module_is_no_shadow(tmp_path):
    assert check(tmp_path, {"tomllib/__init__.py": b"", "zoneinfo.py": b""}) == ()
    assert check(tmp_path, {"distutils/__init__.py": b"", "imp.py": b""}, version="3.12") == ()
    with pytest.raises(ContentError):
        check(tmp_path, {"tomllib/__init__.py": b""}, version="3.12")


@pytest.mark.parametrize("version", [each for each in VERSIONS if int(each.partition(".")[2]) >= 10])
def test_the_names_of_the_standard_library_are_those_of_the_interpreter(version):
    code = "import sys; print(sorted(sys.stdlib_module_names))"
    names = eval(subprocess.check_output([python(version), "-I", "-c", code]))
    minor = int(version.split(".")[1])
    # Not on Linux, or left out on purpose.
    elsewhere = {"msilib", "msvcrt", "nt", "winreg", "winsound", "test"}
    elsewhere |= {"_msi", "_overlapped", "_scproxy", "_winapi", "_wmi"}
    assert {name for name in names if not is_standard(name, (3, minor))} - elsewhere == set()


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "0" * 63, "md5:" + "0" * 64, "A" * 64])
def test_what_is_no_sha256_cannot_be_allowed(text):
    with pytest.raises(UsageError, match="--allow"):
        parse_allowed([text])


def test_names_do_not_depend_on_the_host():
    assert "tomllib" in sys.stdlib_module_names
    assert not is_standard("tomllib", (3, 7))
