"""The tree that a container engine makes of our image: it verifies where it lies, with nothing installed, and imports.

Engines put the layers on top of each other; ``tar`` and ``zstd`` do the same here, and podman itself where it is marked
slow. Such a tree cannot hold the manifest that it came from: what names it is the tree digest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.commands import bundle
from support.interpreters import python, target_of
from support.wheel_factory import make_wheel, pin_of

from bundler.create import create
from bundler.fetching.index_options import IndexOptions
from bundler.images.standalone_verifier import write_verifier
from bundler.locks import Lock
from bundler.options import Options
from bundler.runtime.demands import Demands
from bundler.runtime.errors import ContentError, TrustError
from bundler.runtime.verifying import verify
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import copy
from bundler.stores.oci_layouts import LayoutStore


@pytest.fixture
def made(tmp_path, cache):
    """Make a bundle, and push it to the store ``store`` as ``v1``."""
    files = {"pkg/__init__.py": b"value = 42\n", "pkg/data.txt": b"text" * 99_999}
    wheels = [
        make_wheel(tmp_path / "w", "pkg", "1.0", files, entry_points="[console_scripts]\npkg = pkg:main\n"),
        make_wheel(tmp_path / "w", "other", "1.0"),
    ]
    locked = Lock(target=target_of("3.7"), pins=tuple(map(pin_of, wheels)))
    options = Options(target=locked.target, indexes=lambda: IndexOptions(no_index=True), cache=cache)
    made = create(locked, tmp_path / "deps.pyz", options=options)
    with BundleStore(made.path) as source:
        copy(source, "latest", LayoutStore(tmp_path / "store"), "v1")
    return made


@pytest.fixture
def mounted(made, tmp_path):
    """Apply the layers, as an engine does, and make the result read-only."""
    root = tmp_path / "mounted"
    root.mkdir()
    store = LayoutStore(tmp_path / "store")
    manifest = json.loads(store.document(store.find("v1")))
    for layer in manifest["layers"]:
        program = "gzip" if layer["mediaType"].endswith("gzip") else "zstd"
        blob = store.path(layer["digest"])
        subprocess.run(
            f"{program} -dc < {blob} | tar -x --no-same-owner -C {root}", shell=True, check=True, executable="/bin/bash"
        )
    return root


def run_python(version, *arguments, **environ):
    command = [python(version), *map(str, arguments)]
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean)


def test_it_verifies_where_it_lies_with_the_verifier_alone(made, mounted, tmp_path):
    write_verifier(tmp_path / "verifier.pyz")
    answer = run_python("3.7", "-I", tmp_path / "verifier.pyz", "verify", mounted, "--expect", made.tree_digest)
    assert answer.returncode == 0, answer.stderr
    assert f"verified: {made.files} files, {made.tree_digest}" in answer.stdout
    answer = run_python("3.7", "-I", tmp_path / "verifier.pyz", "verify", mounted)
    assert "self-consistent" in answer.stdout


def test_programs_import_from_it_and_it_verifies_itself_before(made, mounted, tmp_path):
    code = "import pkg, other; print(pkg.value, pkg.__file__)"
    environ = {"PYTHONPATH": str(mounted / "site-packages"), "BUNDLE_EXPECT": made.tree_digest}
    cache = tmp_path / "cache"
    answer = run_python("3.7", "-c", code, **environ, BUNDLE_CACHE=str(cache))
    assert answer.stdout == f"42 {mounted}/site-packages/pkg/__init__.py\n", answer.stderr
    (mounted / "site-packages/pkg/__init__.py").write_bytes(b"value = 43\n")
    answer = run_python("3.7", "-c", code, **environ, BUNDLE_CACHE=str(cache), BUNDLE_VERIFY="always")
    assert (answer.returncode, answer.stdout) == (3, "")
    assert "pkg/__init__.py: has changed" in answer.stderr


def test_the_digest_of_the_image_is_not_that_of_the_tree_and_the_error_says_which_to_use(made, mounted):
    with pytest.raises(TrustError, match="expect the tree digest that bundle create has printed") as caught:
        verify(str(mounted), Demands(made.digest))
    assert caught.value.exit_code == 4


def test_another_index_is_not_the_one_expected(made, mounted):
    path = mounted / ".bundle/tree.json"
    path.write_bytes(path.read_bytes().replace(b'"pkg"', b'"gkp"'))
    with pytest.raises(TrustError):
        verify(str(mounted), Demands(made.tree_digest))


def change(root):
    with (root / "site-packages/pkg/data.txt").open("r+b") as file:
        file.write(b"T")


def add(root):
    (root / "site-packages/evil.pth").write_text("import evil\n")


def add_a_manifest_only(root):
    """A claim to be another kind of tree: the chain from a manifest has to hold then."""
    (root / ".bundle/manifest.json").write_text("{}")


def remove(root):
    (root / "site-packages/pkg/data.txt").unlink()


def link(root):
    remove(root)
    (root / "site-packages/pkg/data.txt").symlink_to("/etc/passwd")


@pytest.mark.parametrize("damage", [change, add, remove, link])
def test_a_tree_that_differs_in_one_file_is_refused(damage, made, mounted):
    damage(mounted)
    with pytest.raises(ContentError) as caught:
        verify(str(mounted), Demands(made.tree_digest))
    assert caught.value.exit_code == 3


def test_a_tree_with_a_manifest_is_judged_by_that(made, mounted):
    add_a_manifest_only(mounted)
    with pytest.raises(TrustError):
        verify(str(mounted), Demands(made.tree_digest))


def test_a_tree_that_has_lost_its_manifest_is_not_the_bundle_that_was_expected(made, tmp_path):
    bundle("unpack", made.path, "tree", cwd=tmp_path)
    os.chmod(tmp_path / "tree/.bundle", 0o755)
    (tmp_path / "tree/.bundle/manifest.json").unlink()
    with pytest.raises(TrustError):
        verify(str(tmp_path / "tree"), Demands(made.digest))
    with pytest.raises(ContentError, match="is extra"):  # its config is left over
        verify(str(tmp_path / "tree"), Demands(made.tree_digest))


def podman(*arguments):
    assert shutil.which("podman"), "podman is missing: apt-get install podman"
    answer = subprocess.run(["podman", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.slow
def test_podman_makes_of_the_image_what_verifies(made, tmp_path):
    """The image as podman itself stores and mounts it, from the layout that was pushed to."""
    write_verifier(tmp_path / "verifier.pyz")
    short = Path(tempfile.mkdtemp(prefix="pod-"))  # podman wants a path of at most 50 characters
    storage = ("--root", tmp_path / "podman", "--runroot", short, "--storage-driver", "vfs")
    image = podman(*storage, "pull", "--quiet", f"oci:{tmp_path / 'store'}:v1").strip()
    try:
        root = podman(*storage, "image", "mount", image).strip()
        answer = run_python("3.7", "-I", tmp_path / "verifier.pyz", "verify", root, "--expect", made.tree_digest)
        assert answer.returncode == 0, answer.stderr
        code = "import pkg; print(pkg.value)"
        environ = {"PYTHONPATH": f"{root}/site-packages", "BUNDLE_EXPECT": made.tree_digest}
        assert run_python("3.7", "-c", code, **environ, BUNDLE_CACHE=str(tmp_path / "cache")).stdout == "42\n"
    finally:
        podman(*storage, "image", "umount", "--all")
        podman(*storage, "rmi", "--all", "--force")
        shutil.rmtree(short, ignore_errors=True)


@pytest.mark.slow
def test_skopeo_copies_the_image_and_it_is_the_same_bundle(made, tmp_path):
    assert shutil.which("skopeo"), "skopeo is missing: apt-get install skopeo"
    for source, sink in (("oci:store:v1", "oci-archive:v1.tar:v1"), ("oci-archive:v1.tar:v1", "oci:third:v1")):
        subprocess.run(["skopeo", "copy", "--quiet", source, sink], check=True, cwd=tmp_path)
    for url in ("oci-archive:v1.tar", "third:v1"):
        answer = bundle("pull", url, "out.pyz", "--force", "--expect", made.digest, cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert (tmp_path / "out.pyz").read_bytes() == made.path.read_bytes()
