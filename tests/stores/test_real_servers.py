"""The commands against real servers on loopback: Debian's registry, Microsoft's Azurite, moto; and skopeo and podman.

What the conformance suite shows for each store by itself is shown here for whole bundles, as a user types it.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest
from support import media, real_servers, registry_server
from support.bundle_factory import contents_of, make_bundle
from support.commands import ROOT, bundle
from support.image_factory import make_image
from support.interpreters import python

from bundler.images.carriers import write_carrier
from bundler.images.standalone_verifier import write_verifier
from bundler.layers.packing import decode
from bundler.stores import open_store
from bundler.stores.bundle_documents import read_image

pytestmark = pytest.mark.slow
KIB = 1024


@pytest.fixture(params=media.SLOW, ids=lambda make: make.__name__)
def url(request, monkeypatch):
    """Give a place of its own on a real server; its login is in the environment."""
    medium = request.param(request)
    if request.param is media.azurite:
        for name, value in request.getfixturevalue("azurite_environ").items():
            monkeypatch.setenv(name, value)
    return medium.url


def told(*arguments, **options):
    answer = bundle(*arguments, "--json", **options)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_what_was_pushed_comes_back_the_same_and_only_what_is_new_travels(url, tmp_path):
    digest = make_bundle(tmp_path / "deps.pyz", 3_000_000, 2_000_000)
    first = told("push", "deps.pyz", f"{url}:v1", cwd=tmp_path)
    assert first["digest"] == digest
    assert first["sent"] > 5_000_000
    assert told("push", "deps.pyz", f"{url}:v1", cwd=tmp_path)["sent"] == 0
    assert told("push", "deps.pyz", f"{url}:v2", cwd=tmp_path)["sent_blobs"] == 0
    pulled = told("pull", f"{url}:v1", "out.pyz", "--expect", digest, cwd=tmp_path)
    assert (pulled["digest"], pulled["trust"]) == (digest, "verified")
    assert (tmp_path / "out.pyz").read_bytes() == (tmp_path / "deps.pyz").read_bytes()
    # One small wheel has changed.
    image = make_image(
        tmp_path / "again",
        {"site-packages/m0/data.bin": random.Random(0).randbytes(3_000_000)},
        {"site-packages/m1/data.bin": random.Random(9).randbytes(2_000)},
    )
    write_carrier(image, tmp_path / "changed.pyz", form="pyz", force=False, decode=decode, jobs=1)
    changed = image.manifest.layers[2].size
    assert told("push", "changed.pyz", f"{url}:v3", cwd=tmp_path)["sent"] <= changed + 64 * KIB


def test_signatures_travel_and_pull_demands_them(url, tmp_path):
    make_bundle(tmp_path / "deps.pyz", 100_000)
    for command in (["keygen", "-o", "mine"], ["keygen", "-o", "other"], ["sign", "deps.pyz", "--key", "mine.key"]):
        assert bundle(*command, cwd=tmp_path).returncode == 0
    told("push", "deps.pyz", f"{url}:v1", cwd=tmp_path)
    for form in ("pyz", "packed", "tree"):
        out = {"pyz": "out.pyz"}.get(form, form)
        refused = bundle("pull", f"{url}:v1", out, "--format", form, "--key", "other.pub", cwd=tmp_path)
        assert (refused.returncode, (tmp_path / out).exists()) == (4, False)
        pulled = told("pull", f"{url}:v1", out, "--format", form, "--key", "mine.pub", cwd=tmp_path)
        assert pulled["trust"] == "verified"
        assert bundle("verify", out, "--key", "mine.pub", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out.pyz").read_bytes() == (tmp_path / "deps.pyz").read_bytes()


def test_killed_twenty_times_the_next_push_completes_and_no_name_ever_led_nowhere(url, tmp_path):
    generator = random.Random(url.partition(":")[0])
    digest = make_bundle(tmp_path / "deps.pyz", 20 << 20, 5000)
    program = "import sys; from bundler.cli import main; sys.exit(main())"
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", program, "push", "-q", "deps.pyz", f"{url}:v1"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(generator.uniform(0.1, 0.8))
        process.kill()
        process.wait()
        store, name = open_store(f"{url}:v1", os.environ)
        with store:
            manifest = store.find(name)
            if manifest is not None:
                image = read_image(store, manifest)
                assert all(b"".join(store.read(store_blob)) for store_blob in blobs_of(image))
    told("push", "deps.pyz", f"{url}:v1", cwd=tmp_path)
    told("pull", f"{url}:v1", "out.pyz", "--expect", digest, cwd=tmp_path)
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "deps.pyz")


def blobs_of(image):
    from bundler.stores.blobs import Blob

    return [Blob(digest=item.digest, size=item.size, media_type=item.media_type) for item in image.manifest.layers]


def test_skopeo_copies_between_registries_and_it_is_the_same_bundle(docker_registry_host, tmp_path):
    digest = make_bundle(tmp_path / "deps.pyz", 300_000, 1000)
    name = f"{docker_registry_host}/t{uuid.uuid4().hex}"
    told("push", "deps.pyz", f"oci://{name}/one:v1", cwd=tmp_path)
    skopeo = [real_servers.program("skopeo", "apt-get install skopeo"), "copy", "--quiet"]
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    for source, sink in (
        (f"docker://{name}/one:v1", f"docker://{name}/two:v1"),
        (f"docker://{name}/two:v1", "oci:layout:v1"),
        ("oci:layout:v1", f"docker://{name}/three:v1"),
    ):
        subprocess.run([*skopeo, *plain, source, sink], check=True, cwd=tmp_path)
    for number, source in enumerate((f"oci://{name}/two:v1", "layout:v1", f"oci://{name}/three:v1")):
        told("pull", source, f"{number}.pyz", "--expect", digest, cwd=tmp_path)
        assert (tmp_path / f"{number}.pyz").read_bytes() == (tmp_path / "deps.pyz").read_bytes()


@pytest.mark.network
def test_an_image_from_a_registry_mounted_read_only_is_verified_and_imported_by_uid_1000_with_no_network(
    docker_registry_host, builder_cache, tmp_path
):
    """As a Kubernetes image volume: podman mounts what it pulled, bubblewrap is the container."""
    requirements = ROOT / "fixtures" / "requirements" / "sklearn.txt"
    told_ = told("create", "-r", requirements, "-o", "deps.pyz", "--cache-dir", builder_cache, cwd=tmp_path)
    url = f"{docker_registry_host}/t{uuid.uuid4().hex}/deps:v1"
    told("push", "deps.pyz", f"oci://{url}", cwd=tmp_path)
    write_verifier(tmp_path / "verifier.pyz")
    short = Path(tempfile.mkdtemp(prefix="pod-"))  # podman wants a path of at most 50 characters
    podman = [real_servers.program("podman", "apt-get install podman"), "--root", str(tmp_path / "podman")]
    podman += ["--runroot", str(short), "--storage-driver", "vfs"]

    def run(*arguments):
        answer = subprocess.run([*podman, *arguments], capture_output=True, text=True, check=False, timeout=300)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    image = run("pull", "--quiet", "--tls-verify=false", f"docker://{url}")
    try:
        root = run("image", "mount", image)
        interpreter = Path(python("3.7"))
        home = interpreter.parent.parent
        container = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--clearenv"]
        for path in ("/usr", "/lib", "/lib64", "/bin", str(home), str(tmp_path / "verifier.pyz")):
            if os.path.exists(path):
                container += ["--ro-bind", path, path]
        container += ["--ro-bind", root, "/deps", "--proc", "/proc", "--dev", "/dev", "--setenv", "PATH", "/usr/bin"]
        verifier = tmp_path / "verifier.pyz"
        verify = [interpreter, "-I", verifier, "verify", "/deps", "--expect", told_["tree_digest"]]
        answer = subprocess.run([*container, *map(str, verify)], capture_output=True, text=True, check=False)
        assert answer.stdout.startswith("/deps: verified: "), answer.stderr
        code = "import sklearn; print(sklearn.__version__, sklearn.__file__)"
        environ = ["--setenv", "PYTHONPATH", "/deps/site-packages", "--setenv", "BUNDLE_EXPECT", told_["tree_digest"]]
        program = [*container, *environ, str(interpreter), "-c", code]
        answer = subprocess.run(program, capture_output=True, text=True, check=False)
        assert answer.stdout == "1.0.2 /deps/site-packages/sklearn/__init__.py\n", answer.stderr
        wrong = [*container, *environ[:-1], "sha256:" + "0" * 64, str(interpreter), "-c", code]
        assert subprocess.run(wrong, capture_output=True, check=False).returncode == 4
    finally:
        run("image", "umount", "--all")
        run("rmi", "--all", "--force")
        shutil.rmtree(short, ignore_errors=True)


SECRET = "CanarySecret4711"


@pytest.mark.parametrize("right", [True, False], ids=["right login", "wrong login"])
def test_no_secret_of_a_registry_is_ever_shown(right, tmp_path):
    make_bundle(tmp_path / "deps.pyz", 1000)
    login = ("user", SECRET)
    known = login if right else ("user", "other")
    with registry_server.serving(registry_server.Registry(auth="basic", login=known)) as registry:
        auth = base64.b64encode(":".join(login).encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        url = f"oci://{registry.host}/team/deps:v1"
        for arguments in (["push", "deps.pyz", url], ["push", "deps.pyz", url, "--json"], ["pull", url, "out.pyz"]):
            answer = bundle(*arguments, cwd=tmp_path, env={**os.environ, "DOCKER_CONFIG": str(tmp_path)})
            if not right:
                assert answer.returncode == 1, answer.stdout
            said = answer.stdout + answer.stderr
            assert SECRET not in said
            assert auth not in said


@pytest.mark.parametrize(
    "url",
    [
        f"https://account.blob.core.windows.net/container/prefix?sv=2022-11-02&sig={SECRET}",
        f"https://user:{SECRET}@account.blob.core.windows.net/container",
        f"oci://user:{SECRET}@127.0.0.1:1/team/deps:v1",
        f"s3://user:{SECRET}@bucket/prefix",
        f"az://container/prefix?sig={SECRET}",
    ],
)
def test_no_secret_of_a_url_is_ever_shown(url, tmp_path):
    make_bundle(tmp_path / "deps.pyz", 1000)
    environ = {**os.environ, "https_proxy": "http://127.0.0.1:1", "AWS_EC2_METADATA_DISABLED": "true"}
    for key in ("AZURE_STORAGE_ACCOUNT_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY"):
        environ[key] = base64.b64encode(SECRET.encode()).decode() if key.endswith("KEY") else "account"
    environ |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AZURE_ENDPOINT": "http://127.0.0.1:1"}
    for arguments in (["push", "deps.pyz", url], ["pull", url, "out.pyz"], ["diff", "deps.pyz", url]):
        answer = subprocess.run(
            [sys.executable, "-c", "import sys; from bundler.cli import main; sys.exit(main())", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environ,
            timeout=120,
        )
        assert answer.returncode in (1, 2), answer.stdout
        said = answer.stdout + answer.stderr
        assert SECRET not in said
        assert base64.b64encode(SECRET.encode()).decode() not in said
        assert "Traceback" not in said
