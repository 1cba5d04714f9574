"""Every kind of file × every change × every carrier × cold and warm starts: no start ever sees what was changed.

Whatever was changed tells by a file ``canary`` that it was executed or loaded. A start is refused with an exit code
and a line that say why, or it does what it did before the change. What starts a bundle is its own row: a start runs it
before it can look at it, so it is ``bundle verify``, from elsewhere, that refuses it.

docs/security.md shows what is seen here, as a table.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import zstandard
from support.image_factory import make_image
from support.interpreters import python, target_of
from support.signature_factory import PRIVATE, key_of, pem_of

from bundler.caching.build_cache import Cache
from bundler.fetching.index_options import IndexOptions
from bundler.images.carriers import write_carrier
from bundler.images.verification import verify
from bundler.images.zstd_decoders import decoder_for
from bundler.layers.packing import decode
from bundler.runtime.demands import Demands
from bundler.runtime.errors import ContentError, Faults, TrustError
from bundler.signing.private_keys import PrivateKey
from bundler.signing.signatures import sign

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network]  # the decoder comes from a wheel

CANARY = b"open('canary', 'w').close()\n"
C_SOURCE = "int answer(void) { return %d; }\n"
C_CANARY = C_SOURCE + (
    '#include <fcntl.h>\n__attribute__((constructor)) static void tell(void) { creat("canary", 0600); }\n'
)
SITE = "site-packages/"
INNER = {  # kinds of files in the tree
    "py": "pkg/mod.py",
    "pyc": "pkg/__pycache__/fast.cpython-37.pyc",
    "so": "pkg/native.so",
    "pth": "paths.pth",
    "data": "pkg/data.txt",
    "dist-info": "pkg-1.0.dist-info/entry_points.txt",
}
DOCUMENTS = ("index", "config", "manifest", "signature", "decoder")
LAUNCH = ("sitecustomize", "runtime", "program")
KINDS = (*INNER, *DOCUMENTS, *LAUNCH)
CARRIERS = ("pyz", "packed", "tree")
PLACES = (*CARRIERS, "cache")
# The first start; one after a start that was right; the same with BUNDLE_VERIFY=always, as after a restart.
STARTS = {"pyz": ("cold", "warm", "always"), "tree": ("cold", "always"), "cache": ("always",)}
STARTS["packed"] = STARTS["pyz"]
USE = """\
import ctypes, os, pkg, pkg.mod, pkg.fast, beside
here = os.path.dirname(pkg.__file__)
four = ctypes.CDLL(here + '/native.so').answer()
print(pkg.mod.value, pkg.fast.value, beside.value, four, open(here + '/data.txt').read())
"""
RIGHT = "1 2 3 4 five"
MINE = PrivateKey(public=key_of(PRIVATE), private=PRIVATE)


def compiled(source, directory, version="3.7"):
    """Return the ``.pyc`` of *source*, which does not depend on a source file."""
    (directory / "fast.py").write_bytes(source)
    code = "import py_compile, sys; py_compile.compile('fast.py', cfile='fast.pyc', invalidation_mode="
    code += "py_compile.PycInvalidationMode.UNCHECKED_HASH)"
    subprocess.run([python(version), "-c", code], cwd=directory, check=True)
    return (directory / "fast.pyc").read_bytes()


def shared_object(source, directory):
    assert shutil.which("gcc"), "gcc is missing: apt-get install gcc"
    (directory / "native.c").write_text(source)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "native.so", "native.c"], cwd=directory, check=True)
    return (directory / "native.so").read_bytes()


@dataclass
class Originals:
    """What artifacts are made of: *files* and their *hostile* counterparts by kind, and the artifacts by carrier."""

    directory: Path
    files: dict[str, bytes]
    hostile: dict[str, bytes]
    image: object

    def path(self, carrier):
        return self.directory / {"pyz": "deps.pyz"}.get(carrier, carrier)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    files = {
        "pkg/__init__.py": b"",
        "pkg/mod.py": b"value = 1\n",
        "pkg/fast.py": b"value = 2\n",
        "more/beside.py": b"value = 3\n",
        INNER["pyc"]: compiled(b"value = 2\n", work),
        INNER["so"]: shared_object(C_SOURCE % 4, work),
        INNER["pth"]: b"more\n",
        INNER["data"]: b"five",
        INNER["dist-info"]: b"[console_scripts]\ntool = pkg.mod:main\n",
        "pkg-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
    }
    hostile = {
        "py": CANARY + b"value = 1\n",
        "pyc": compiled(CANARY + b"value = 2\n", work),
        "so": shared_object(C_CANARY % 4, work),
        "pth": b"import os; os.close(os.open('canary', os.O_CREAT))\nmore\n",
        "data": b"evil",
        "dist-info": b"[console_scripts]\ntool = os:system\n",
        "sitecustomize": CANARY,
        "runtime": CANARY,
        "program": CANARY,
        "decoder": shared_object(C_CANARY % 5, work),
    }
    indexes = IndexOptions()
    decoder = decoder_for(target_of("3.7"), cache=Cache(work / "cache"), indexes=lambda: indexes, offline=False)
    tree = {SITE + path: data for path, data in files.items()}
    image = make_image(work / "layers", tree, target=target_of("3.7"), decoder=decoder)
    directory = tmp_path_factory.mktemp("originals")
    found = Originals(directory, files, hostile, image)
    for carrier in CARRIERS:
        write_carrier(image, found.path(carrier), form=carrier, force=False, decode=decode, jobs=1)
        sign(found.path(carrier), MINE)
    (directory / "key.pub").write_bytes(pem_of(PRIVATE))
    return found


# Where the bytes of each kind lie in each carrier, and what a change makes of them


def place_of(kind, carrier, originals):
    """Return the name, in an artifact of *carrier*, of the file that holds what is of *kind*."""
    image = originals.image
    if kind in LAUNCH:
        names = {"sitecustomize": "sitecustomize.py", "runtime": "bundle_runtime/markers.py", "program": "__main__.py"}
        inside = (".bundle/" if kind == "program" else SITE) if carrier in ("tree", "cache") else ""
        return inside + names[kind]
    if carrier in ("tree", "cache"):
        documents = {"index": "tree", "config": "config", "manifest": "manifest"}
        if kind == "signature":
            (name,) = os.listdir(originals.path("tree") / ".bundle/signatures")
            return f".bundle/signatures/{name}"
        if kind == "decoder":
            return ".bundle/decoder.so"
        return f".bundle/{documents[kind]}.json" if kind in documents else SITE + INNER[kind]
    if kind == "signature":
        blobs = (originals.path("packed") / "blobs/sha256").iterdir()
        (name,) = (path.name for path in blobs if b"dsseEnvelope" in path.read_bytes())
        return f"blobs/sha256/{name}"
    layers = image.manifest.layers
    digest = {"config": image.manifest.config.digest, "manifest": image.digest}.get(kind)
    digest = digest or layers[{"index": 0, "decoder": -1}.get(kind, 1)].digest
    return f"blobs/sha256/{digest[7:]}"


def changed(kind, carrier, originals, data):
    """Return *data*, the bytes of the file at ``place_of``, with something hostile in what is of *kind*."""
    if carrier in ("pyz", "packed") and kind in INNER:  # a layer with one other file of the same size, compressed again
        old, new = originals.files[INNER[kind]], originals.hostile[kind]
        raw = every_frame(data)
        assert old in raw
        return zstandard.compress(raw.replace(old, new[: len(old)].ljust(len(old), b"\n")))
    if kind in originals.hostile and (carrier in ("tree", "cache") or kind in LAUNCH):
        return originals.hostile[kind]
    return data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]


def every_frame(data):
    """Return what the zstd frames in *data* hold."""
    raw = b""
    while data:
        decoder = zstandard.ZstdDecompressor().decompressobj()
        raw += decoder.decompress(data)
        data = decoder.unused_data
    return raw


CHANGES = ("changed", "added", "removed", "renamed", "symlink", "mode")


def tamper(artifact, carrier, kind, change, originals):
    name = place_of(kind, carrier, originals)
    if carrier == "pyz":
        return tamper_with_zip(artifact, name, kind, change, originals)
    path = artifact / name
    data = path.read_bytes()
    if not os.access(path.parent, os.W_OK) or carrier == "cache":
        path.parent.chmod(0o755)
    path.chmod(0o644)
    hostile = changed(kind, carrier, originals, data)
    if change == "changed":
        path.write_bytes(hostile)
    elif change == "added":
        path.with_name("evil" + path.suffix).write_bytes(hostile)
    elif change == "removed":
        path.unlink()
    elif change == "renamed":
        path.rename(path.with_name("evil" + path.suffix))
    elif change == "symlink":
        target = artifact.parent / "elsewhere"
        target.write_bytes(hostile)
        path.unlink()
        path.symlink_to(target)
    else:
        path.chmod(0o4777)
    return None


def tamper_with_zip(artifact, name, kind, change, originals):
    """Write the ``.pyz`` anew, as a careful attacker would: with the right CRCs, stored, without gaps."""
    with zipfile.ZipFile(artifact) as file:
        members = {info.filename: (info, file.read(info)) for info in file.infolist()}
    info, data = members[name]
    hostile = changed(kind, "pyz", originals, data)
    other = re.sub(r"[^/]+?(\.\w+)?$", r"evil\1", name)
    with zipfile.ZipFile(artifact, "w") as file:
        for each, (header, content) in members.items():
            out = zipfile.ZipInfo(each, header.date_time)
            out.external_attr, out.create_system = header.external_attr, header.create_system
            if each != name:
                file.writestr(out, content)
            elif change == "changed":
                file.writestr(out, hostile)
            elif change == "renamed":
                file.writestr(zipfile.ZipInfo(other, header.date_time), content)
            elif change == "symlink":
                out.external_attr = 0o120777 << 16
                file.writestr(out, "../elsewhere")
            elif change != "removed":
                out.external_attr = 0o104777 << 16 if change == "mode" else out.external_attr
                file.writestr(out, content)
        if change == "added":
            file.writestr(zipfile.ZipInfo(other, info.date_time), hostile)


# Starts


def start(artifact, carrier, tmp_path, originals, **environ):
    path = artifact / "site-packages" if carrier == "tree" else artifact
    env = {
        **os.environ,
        "PYTHONPATH": str(path),
        "BUNDLE_CACHE": str(tmp_path / "cache"),
        "BUNDLE_PUBLIC_KEY": str(originals.directory / "key.pub"),
        **environ,
    }
    (tmp_path / "cwd").mkdir(exist_ok=True)
    answer = subprocess.run(
        [python("3.7"), "-c", USE], env=env, cwd=tmp_path / "cwd", capture_output=True, text=True, check=False
    )
    return answer.returncode, answer.stdout.strip(), answer.stderr.strip()


def runs_first(kind, carrier):
    """Tell whether a start may run what is of *kind* before it can look at it. No tree has a program that runs."""
    return kind in LAUNCH and (kind, carrier) != ("program", "tree")


def outcome_of(artifact, carrier, tmp_path, originals, kind, **environ):
    """Start; return ``refused`` or ``as before``, or fail the test if it is neither."""
    code, said, why = start(artifact, carrier, tmp_path, originals, **environ)
    canary = (tmp_path / "cwd" / "canary").exists()
    if runs_first(kind, carrier):  # it ran before anything could look at it: nothing is promised
        return "not seen"
    assert not canary, "what was changed has run"
    if code == 0:
        assert said == RIGHT
        return "as before"
    assert (code, said) in ((3, ""), (4, "")), why
    assert why.startswith("bundle: python will not start: "), why
    assert "Traceback" not in why
    return "refused"


def judged(artifact, originals):
    try:
        verify(str(artifact), Demands(originals.image.digest, (MINE.public,)), decode=decode)
    except (ContentError, TrustError, Faults):
        return "refused"
    return "as before"


def copy(originals, carrier, directory):
    source = originals.path(carrier)
    target = directory / source.name
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
    return target


def expected(carrier, kind, change, when):
    """Return what a start or ``bundle verify`` is to make of it."""
    if carrier == "cache":
        return "as before"  # it is unpacked anew
    if change == "mode" and carrier != "tree":
        return "not seen" if runs_first(kind, carrier) and when != "verify" else "as before"  # nothing looks at modes
    if when == "verify":
        return "refused"
    if runs_first(kind, carrier):
        return "not seen"
    if when == "warm" or (change == "added" and carrier != "tree"):
        return "as before"  # the tree that was verified is used, and nothing but what the manifest names is opened
    if when == "always" and carrier != "tree" and kind in INNER:
        return "as before"  # the tree is hashed, and good; its layer is not needed
    return "refused"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carrier", PLACES)
def test_nothing_that_was_changed_ever_runs(carrier, kind, originals, tmp_path):
    if (carrier, kind) == ("cache", "signature"):
        return  # a tree in a cache has none
    seen = {}
    for change in CHANGES:
        for when in STARTS[carrier]:
            work = tmp_path / f"{change}-{when}"
            work.mkdir()
            given = "packed" if carrier == "cache" else carrier
            artifact = victim = copy(originals, given, work)
            if when != "cold":
                code, said, why = start(artifact, given, work, originals)
                assert (code, said) == (0, RIGHT), why
            if carrier == "cache":
                victim = work / "cache" / originals.image.digest[7:]
            tamper(victim, carrier, kind, change, originals)
            policy = "always" if when == "always" else "boot"
            launched = kind if carrier != "cache" else ""  # the packed directory starts it, not the tree in the cache
            seen[change, when] = outcome_of(artifact, given, work, originals, launched, BUNDLE_VERIFY=policy)
        if carrier != "cache":
            seen[change, "verify"] = judged(artifact, originals)
    wanted = {key: expected(carrier, kind, *key) for key in seen}
    assert seen == wanted, {key: (seen[key], wanted[key]) for key in seen if seen[key] != wanted[key]}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_whoever_rewrites_the_whole_chain_has_made_another_bundle(carrier, originals, tmp_path):
    """Every digest fits again; the digest from outside or the key is what tells (exit 4)."""
    files = {SITE + path: data for path, data in originals.files.items()}
    files[SITE + "pkg/mod.py"] = originals.hostile["py"]
    image = make_image(tmp_path / "layers", files, target=target_of("3.7"))
    artifact = tmp_path / {"pyz": "deps.pyz"}.get(carrier, carrier)
    write_carrier(image, artifact, form=carrier, force=False, decode=decode, jobs=1)
    demands = [{"BUNDLE_EXPECT": originals.image.digest, "BUNDLE_PUBLIC_KEY": pem_of(PRIVATE).decode()}, {}]
    for environ in demands:
        code, said, why = start(artifact, carrier, tmp_path, originals, **environ)
        assert (code, said) == (4, ""), why
    assert not (tmp_path / "cwd" / "canary").exists()
