"""Real servers on this machine, started for a test session: a registry, Azure's and Amazon's blob stores, Google's.

A missing one is a failure with a line that says what to install.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

REGISTRY = """\
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: ROOT}
  delete: {enabled: true}
http: {addr: "127.0.0.1:PORT"}
"""
START_TIMEOUT = 60


def program(name, install):
    found = shutil.which(name)
    assert found, f"{name} is missing: {install}"
    return found


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def running(command, *, url, cwd, environ=None):
    """Run *command* for as long as the context lasts; give control when *url* answers, whatever it answers."""
    log = Path(cwd, "server.log")
    with log.open("wb") as out:
        server = subprocess.Popen(
            list(map(str, command)), cwd=cwd, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environ
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(url):
            assert server.poll() is None, f"{command[0]} has ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"{command[0]} does not start: {log.read_text()}"
            time.sleep(0.05)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def docker_registry(directory):
    """Debian's registry; gives its host and port."""
    command = program("docker-registry", "apt-get install docker-registry")
    port = free_port()
    config = directory / "registry.yml"
    config.write_text(REGISTRY.replace("ROOT", str(directory / "data")).replace("PORT", str(port)))
    with running([command, "serve", config], url=f"http://127.0.0.1:{port}/v2/", cwd=directory):
        yield f"127.0.0.1:{port}"


AZURITE_ACCOUNT = "tester"
AZURITE_KEY = base64.b64encode(os.urandom(64)).decode()


@contextlib.contextmanager
def azurite(directory):
    """Microsoft's emulator of Azure's blob store; gives its endpoint."""
    command = program("azurite-blob", "scripts/test --all puts it on PATH")
    port = free_port()
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", port, "--location", directory, "--silent"]
    arguments += ["--skipApiVersionCheck", "--disableTelemetry"]
    url = f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
    environ = {**os.environ, "AZURITE_ACCOUNTS": f"{AZURITE_ACCOUNT}:{AZURITE_KEY}"}
    with running([command, *arguments], url=url, cwd=directory, environ=environ):
        yield url


@contextlib.contextmanager
def moto(directory):
    """Moto's S3; gives its endpoint."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {**os.environ, "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "1048576"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    with running(command, url=f"{url}/moto-api/", cwd=directory, environ=environ):
        yield url
