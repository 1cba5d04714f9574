"""D25: ``unpack --force`` is killed at any call; the directory is the old tree or the new one, and never none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest
from support.image_factory import make_image
from support.injection import CHANGING, READING, REMOVING, calls, numbers_of, remove, straced
from support.interpreters import python, target_of

from bundler.images.carriers import write_carrier
from bundler.layers.packing import decode
from bundler.runtime.demands import Demands
from bundler.runtime.verifying import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Return the paths of two bundles of different files, and their digests."""
    made = {}
    for n in range(2):
        directory = tmp_path_factory.mktemp(f"bundle{n}")
        files = {"site-packages/mod.py": b"value = %d\n" % n, f"site-packages/only{n}.py": b""}
        image = make_image(directory / "layers", files, target=target_of("3.7"))
        write_carrier(image, directory / "deps.pyz", form="pyz", force=False, decode=decode, jobs=1)
        made[directory / "deps.pyz"] = image.digest
    return made


def unpack(bundle, out, *wrap):
    command = [*wrap, python("3.7"), bundle, "unpack", out, "--force"]
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("syscall", ["chmod", "mkdir", "openat", "renameat2", "rmdir", "unlinkat"])
def test_d25_unpack_with_force_killed_at_any_call_leaves_the_old_tree_or_the_new(
    bundles, syscall, tmp_path, record_property
):
    (old, old_digest), (new, new_digest) = bundles.items()
    log, kept, place = tmp_path / "log", tmp_path / "kept", tmp_path / "place"
    out = place / "tree"
    kept.mkdir()
    assert unpack(old, kept / "tree").returncode == 0
    shutil.copytree(kept, place)
    assert unpack(new, out, *straced(log)).returncode == 0
    seen = calls(log, place)
    assert {call.syscall for call in seen} - READING <= {*CHANGING, *REMOVING, "renameat2"}
    numbers = numbers_of(seen, syscall)
    assert numbers
    found = []
    for number in numbers:
        remove(place)
        shutil.copytree(kept, place)
        inject = f"inject={syscall}:signal=SIGKILL:when={number}"
        killed = unpack(new, out, *straced(log, f"--trace={syscall}", "-e", inject))
        assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (number, killed)
        found.append(verify(str(out), decode=decode).image.digest)
        assert unpack(new, out).returncode == 0
        assert verify(str(out), Demands(new_digest), decode=decode).trust == "verified"
        assert os.listdir(place) == ["tree"], number
    assert set(found) <= {old_digest, new_digest}
    record_property("injections", len(numbers))
    record_property("new", found.count(new_digest))
