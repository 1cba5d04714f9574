"""One large blob to and from each real server, with our stores and with the vendor's tool or library, in alternation.

Servers are the same, on loopback, and started here; each move is a process of its own, whose peak memory is noted.
Prints medians and ratios; more than 1 is in our favour. Run it through scripts/throughput.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from support import real_servers

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = list[str | Path]
    Peer = Callable[[Path, str, str, Path], Command]

OURS = """
import hashlib, os, sys
from bundler.stores import open_store
from bundler.stores.blobs import Blob
url, path, digest, size, way = sys.argv[1:]
store, _ = open_store(url, os.environ)
blob = Blob(digest=digest, size=int(size), media_type="application/octet-stream")
def chunks(offset):
    with open(path, "rb") as file:
        file.seek(offset)
        while data := file.read(1 << 20):
            yield data
with store:
    if way == "push":
        store.write(blob, chunks)
    else:
        hashed = hashlib.sha256()
        with open(path, "wb") as file:
            for data in store.read(blob):
                hashed.update(data)
                file.write(data)
        assert "sha256:" + hashed.hexdigest() == digest
"""
AZURE = """
import os, sys
from azure.storage.blob import BlobClient
_, path, name, way = sys.argv
client = BlobClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"], "bundles", name)
if way == "push":
    with open(path, "rb") as file:
        client.upload_blob(file, max_concurrency=4)
else:
    with open(path, "wb") as file:
        client.download_blob(max_concurrency=4).readinto(file)
"""
AZURE_CONTAINER = """
import os
from azure.storage.blob import ContainerClient
ContainerClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"], "bundles").create_container()
"""
AMAZON_BUCKET = """
import os, boto3
boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket="bundles")
"""
AMAZON = """
import os, sys, boto3
_, path, name, way = sys.argv
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
client.upload_file(path, "bundles", name) if way == "push" else client.download_file("bundles", name, path)
"""


def main() -> None:
    """Measure every server, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"| server | way | ours, MB/s | theirs, MB/s | ratio | ours, peak MiB | at {options.mib // 4} MiB | theirs |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="throughput-") as directory, ExitStack() as stack:
        work = Path(directory)
        for name in ("registry", "azurite", "moto"):
            (work / name).mkdir()
        host = stack.enter_context(real_servers.docker_registry(work / "registry"))
        measure("docker-registry", "skopeo", work, options, {}, fresh(f"oci://{host}", "/x"), skopeo(host))
        azurite = stack.enter_context(real_servers.azurite(work / "azurite"))
        account, key = real_servers.AZURITE_ACCOUNT, real_servers.AZURITE_KEY
        text = f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={azurite};"
        environ = {"AZURE_STORAGE_CONNECTION_STRING": text}
        run([sys.executable, "-c", AZURE_CONTAINER], environ)
        measure("azurite", "azure-storage-blob", work, options, environ, fresh("az://bundles"), library(AZURE))
        moto = stack.enter_context(real_servers.moto(work / "moto"))
        environ = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1", "ENDPOINT_URL": moto}
        environ = {f"AWS_{name}": value for name, value in environ.items()} | {"AWS_DEFAULT_REGION": "us-east-1"}
        run([sys.executable, "-c", AMAZON_BUCKET], environ)
        measure("moto (S3)", "boto3", work, options, environ, fresh("s3://bundles"), library(AMAZON))


def fresh(place: str, end: str = "") -> Callable[[], str]:
    """Return a function that makes another URL each time."""
    return lambda: f"{place}/t{uuid.uuid4().hex}{end}"


def library(program: str) -> Peer:
    """Return a function that makes the commands of a vendor's library."""
    return lambda path, name, way, _: [sys.executable, "-c", program, path, name, way]


def skopeo(host: str) -> Peer:
    """Return a function that makes the commands of skopeo."""

    def command(path: Path, name: str, way: str, work: Path) -> Command:
        remote, local = f"docker://{host}/{name}/x:v1", f"oci:{work / ('layout-of-' + Path(path).name)}:v1"
        plain = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
        return [*plain, local, remote] if way == "push" else [*plain, remote, f"oci:{work / 'arrived'}:v1"]

    return command


def measure(
    server: str,
    peer: str,
    work: Path,
    options: argparse.Namespace,
    environ: dict[str, str],
    make_url: Callable[[], str],
    their_command: Peer,
) -> None:
    """Move blobs of two sizes, and print a row for each way."""
    seconds: dict[tuple[str, str], list[float]] = {}
    peaks: dict[tuple[str, str, int], float] = {}
    for mib in (options.mib // 4, options.mib):
        for number in range(options.rounds if mib == options.mib else 1):
            path = work / f"blob-{mib}"
            # Other bytes each time, which no server has yet; made by other processes: our memory would count.
            with path.open("wb") as file:
                subprocess.run(["head", "-c", str(mib << 20), "/dev/urandom"], stdout=file, check=True)
            answer = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
            digest = f"sha256:{answer.stdout[:64]}"
            if peer == "skopeo":
                make_layout(work / f"layout-of-{path.name}", path, digest, mib << 20)
            url, name = make_url(), f"t{uuid.uuid4().hex}"
            for way in ("push", "pull"):
                shutil.rmtree(work / "arrived", ignore_errors=True)
                target = path if way == "push" else work / "arrived.blob"
                ours = [sys.executable, "-c", OURS, url, target, digest, str(mib << 20), way]
                commands = [("ours", ours), ("theirs", their_command(target, name, way, work))]
                for tool, command in commands if number % 2 else reversed(commands):
                    took, peak = run(command, environ)
                    peaks[tool, way, mib] = max(peak, peaks.get((tool, way, mib), 0))
                    if mib == options.mib:
                        seconds.setdefault((tool, way), []).append(took)
            path.unlink()
    for way in ("push", "pull"):
        ours, theirs = (statistics.median(seconds[tool, way]) for tool in ("ours", "theirs"))
        size = (options.mib << 20) / 1e6
        large, small = options.mib, options.mib // 4
        memory = [peaks["ours", way, large], peaks["ours", way, small], peaks["theirs", way, large]]
        figures = f"{size / ours:.0f} | {size / theirs:.0f} | {theirs / ours:.2f}"
        print(f"| {server} | {way} | {figures} | {' | '.join(f'{peak:.0f}' for peak in memory)}, {peer} |", flush=True)


def make_layout(root: Path, path: Path, digest: str, size: int) -> None:
    """Write an OCI layout with an image of one layer, as skopeo takes it."""
    shutil.rmtree(root, ignore_errors=True)
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    os.link(path, blobs / digest[7:])

    def put(document: object) -> dict[str, object]:
        data = json.dumps(document).encode()
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    kind = "application/vnd.oci.image"
    rootfs = {"type": "layers", "diff_ids": [digest]}
    config = put({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs})
    layer = {"mediaType": f"{kind}.layer.v1.tar", "digest": digest, "size": size}
    manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "layers": [layer]}
    described = put({**manifest, "config": {"mediaType": f"{kind}.config.v1+json", **config}})
    described |= {"mediaType": f"{kind}.manifest.v1+json", "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def run(command: Command, environ: dict[str, str]) -> tuple[float, float]:
    """Run *command*; return seconds and the peak memory in MiB."""
    before = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), env={**os.environ, **environ})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} has failed")
    return time.perf_counter() - before, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
