"""``bundle push``, ``pull`` and ``copy`` as a user types them."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.bundle_factory import contents_of, make_bundle
from support.commands import bundle

from bundler.layers.packing import decode
from bundler.runtime.demands import Demands
from bundler.runtime.verifying import verify
from bundler.stores.bundle_documents import read_image
from bundler.stores.oci_layouts import LayoutStore


@pytest.fixture
def digest(tmp_path):
    return make_bundle(tmp_path / "deps.pyz", 300_000, 1000)


def told(*arguments, **options):
    """Return what the command says with ``--json``."""
    answer = bundle(*arguments, "--json", **options)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_push_copy_and_pull_give_the_same_bytes_by_way_of_every_local_medium(digest, tmp_path):
    pushed = told("push", "deps.pyz", "store:v1", "--expect", digest, cwd=tmp_path)
    assert (pushed["digest"], pushed["url"], pushed["sent"]) == (digest, "store:v1", pushed["size"])
    told("copy", "store:v1", "oci-archive:v1.tar", cwd=tmp_path)
    told("copy", "oci-archive:v1.tar:v1", f"file://{tmp_path}/other:v9", cwd=tmp_path)
    told("copy", f"other@{digest}", "third:v1", cwd=tmp_path)
    pulled = told("pull", "third:v1", "out.pyz", "--expect", digest, cwd=tmp_path)
    assert (pulled["trust"], pulled["format"], pulled["digest"]) == ("verified", "pyz", digest)
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "deps.pyz")
    told("pull", "other:v9", "packed", cwd=tmp_path)
    told("push", "packed", "fourth", cwd=tmp_path)
    assert told("pull", "fourth", "tree", "--format", "tree", cwd=tmp_path)["format"] == "tree"
    assert verify(str(tmp_path / "tree"), Demands(digest)).trust == "verified"


def test_a_second_push_sends_nothing_and_says_so(digest, tmp_path):
    first = bundle("push", "deps.pyz", "store:v1", cwd=tmp_path)
    assert "travelled" in first.stdout
    assert f"bundle pull store:v1 deps.pyz --expect {digest}" in first.stdout
    second = bundle("push", "deps.pyz", "store:v2", cwd=tmp_path)
    assert "all of it there already" in second.stdout
    assert re.search(r"blobs, (\S+ MB), \1 of it there already", second.stderr)
    assert told("push", "deps.pyz", "store:v3", cwd=tmp_path)["sent"] == 0
    assert bundle("push", "deps.pyz", "store:v4", "--quiet", cwd=tmp_path).stderr == ""


def test_pull_says_when_nobody_has_said_what_to_expect(digest, tmp_path):
    bundle("push", "deps.pyz", "store", cwd=tmp_path)
    answer = bundle("pull", "store", "out.pyz", cwd=tmp_path)
    assert "out.pyz: self-consistent:" in answer.stdout
    assert "not who made it" in answer.stdout
    assert "out.pyz: verified:" in bundle("pull", f"store@{digest}", "out.pyz", "--force", cwd=tmp_path).stdout


OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["push", "deps.pyz", "store", "--expect", OTHER], 4, "is another bundle than expected"),
        (["push", "deps.pyz", "other.pyz"], 2, "is the name of a .pyz, not of a store"),
        (["push", "nothing.pyz", "store"], 1, "does not exist"),
        (["push", "deps.pyz", "store:a/b:c d"], 2, "is not a name"),
        (["push", "deps.pyz", "ftp://host/x"], 2, "has an unknown scheme"),
        (["push", "full", "store"], 2, "is an unpacked tree"),
        (["pull", "empty", "out.pyz"], 1, "does not exist"),
        (["pull", "filled", "out.pyz", "--expect", OTHER], 4, "is another bundle than expected"),
        (["pull", "filled", "out.pyz", "--expect", "12"], 2, "is not a digest"),
        (["pull", "filled:v2", "out.pyz"], 1, "there are: latest"),
        (["pull", "filled", "out.pyz", "--format", "tree"], 2, "is the name of a .pyz"),
        (["pull", "filled", "nowhere/out.pyz"], 1, "its directory does not exist"),
        (["pull", "filled", "deps.pyz"], 1, "exists already"),
        (["copy", "filled", "store", "--expect", OTHER], 4, "is another bundle than expected"),
        (["copy", "filled", "deps.pyz"], 2, "is a bundle, not a store"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(arguments, code, message, digest, tmp_path):
    make_bundle(tmp_path / "full", 1000, form="tree")
    told("push", "deps.pyz", "filled", cwd=tmp_path)
    before = contents_of(tmp_path)
    answer = bundle(*arguments, cwd=tmp_path)
    assert (answer.returncode, message in answer.stderr) == (code, True), answer.stderr
    assert contents_of(tmp_path) == before


def started(*arguments, cwd):
    command = [sys.executable, "-c", "import sys; from bundler.cli import main; sys.exit(main())", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_an_interrupted_pull_says_where_it_will_go_on(tmp_path):
    import signal

    make_bundle(tmp_path / "deps.pyz", 60 << 20)
    told("push", "deps.pyz", "store", cwd=tmp_path)
    process = started("pull", "store", "out.pyz", cwd=tmp_path)
    staging = tmp_path / ".out.pyz.pull"
    while not any(staging.glob(".partial/*")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: what has arrived is kept in .out.pyz.pull" in errors
    assert not (tmp_path / "out.pyz").exists()
    told("pull", "store", "out.pyz", cwd=tmp_path)
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "deps.pyz")
    assert not staging.exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["push", "pull"])
def test_killed_at_random_points_the_next_one_completes_and_no_reader_saw_a_broken_reference(command, tmp_path):
    """Twenty rounds; between them, and while they run, whoever follows a name finds everything."""
    generator = random.Random(command)
    digests = {make_bundle(tmp_path / f"deps-{n}.pyz", 20 << 20, 5000, seed=n) for n in range(2)}
    for n in range(2):
        told("push", f"deps-{n}.pyz", f"full:v{n}", cwd=tmp_path)
    ended = False

    def read():
        seen = 0
        while not ended:
            store = LayoutStore(tmp_path / "store")
            for name in store.names():
                manifest = store.find(name)
                assert manifest.digest in digests
                image = read_image(store, manifest)
                assert all(store.path(layer.digest).stat().st_size == layer.size for layer in image.manifest.layers)
                seen += 1
            if (tmp_path / "out.pyz").exists():
                verify(str(tmp_path / "out.pyz"), decode=decode)
            time.sleep(0.02)
        return seen

    with ThreadPoolExecutor(1) as executor:
        reader = executor.submit(read)
        for n in range(20):
            word = f"{n % 2}"
            push = ("push", f"deps-{word}.pyz", f"store:v{word}")
            pull = ("pull", f"full:v{word}", "out.pyz", "--force")
            process = started(*(push if command == "push" else pull), cwd=tmp_path)
            time.sleep(generator.uniform(0.15, 0.9))
            process.kill()
            process.communicate()
        for n in range(2):
            told("push", f"deps-{n}.pyz", f"store:v{n}", cwd=tmp_path)
        told("pull", "store:v1", "out.pyz", "--force", cwd=tmp_path)
        ended = True
        reader.result()
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "deps-1.pyz")
