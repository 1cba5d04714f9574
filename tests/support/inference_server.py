"""The real Azure ML inference server, in an environment like the image's and a network namespace of its own.

* ``server_environment`` installs the server as scripts/locks pins it, once: again in the same directory, or below
  ``BUNDLER_TEST_CACHE`` where that is set, it finds what is there.
* ``running_server`` runs it as the image's start script does (working directory and ``AML_APP_ROOT`` are the app root),
  with loopback and no other network. Requests are made inside the namespace too, by a process that this file is as a
  script: it reads requests from its standard input and ends the server when that ends.
* A server that ends before it is healthy is a ``ServerDiedError``, which has its exit code and its log.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORT = 31311
SCORE = """\
def init():
    pass


def run(data):
    return {"got": data}
"""
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


class ServerDiedError(AssertionError):
    """The server ended, or was not healthy in time (*code* None)."""

    def __init__(self, code, log):
        super().__init__(f"the server ended with {code}:\n{log}")
        self.code = code
        self.log = log


class Answer:
    def __init__(self, status, body):
        self.status = status
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"Answer({self.status}, {self.body!r})"


class Server:
    """A server that is healthy. *seconds* is what it took from its start to the first 200 of ``GET /``."""

    def __init__(self, process, log_file):
        self._process = process
        self._log_file = log_file
        self.seconds = None

    def get(self, path):
        return self._request("GET", path, None)

    def post(self, path, body):
        """Post *body*: text as it is, anything else as JSON."""
        return self._request("POST", path, body if isinstance(body, str) else json.dumps(body))

    @property
    def log(self):
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def _request(self, method, path, body):
        self._process.stdin.write(json.dumps({"method": method, "path": path, "body": body}) + "\n")
        self._process.stdin.flush()
        answer = self.read()
        return Answer(answer["status"], answer["body"])

    def read(self):
        line = self._process.stdout.readline()
        if not line:
            raise ServerDiedError(self._process.wait(), self.log)
        answer = json.loads(line)
        if "died" in answer:
            raise ServerDiedError(answer["died"], self.log)
        return answer


def server_environment(tmp_path_factory, python, version):
    """Return a virtual environment of *python* with this *version* of the server; all tests of a session share it."""
    from support.commands import ROOT  # not at the top: as a script, this file has no such neighbour

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root = Path(os.environ.get("BUNDLER_TEST_CACHE") or shared / "inference-servers")
    tag = subprocess.run(
        [python, "-I", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # What builds wrapt, of which the older server needs a version that has no wheels, and then the server.
    locks = [ROOT / f"scripts/locks/inference-server-{version}{part}.txt" for part in ("-build", "")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in locks)).hexdigest()
    venv = root / f"inference-server-{version}-python-{tag}-{digest[:12]}"
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{venv.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (venv / "complete").is_file():
            return venv
        if shutil.which("cc") is None and shutil.which("gcc") is None:
            raise AssertionError("a C compiler is missing, for wrapt; install one: apt-get install gcc")
        shutil.rmtree(venv, ignore_errors=True)
        _run(python, "-m", "venv", venv)
        pip = (venv / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
        for pins in locks:
            _run(*pip, "--require-hashes", "--no-build-isolation", "--requirement", pins)
        (venv / "complete").touch()
    return venv


def _run(*command):
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=_bare())
    if answer.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{answer.stdout}{answer.stderr}")


def _bare():
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


@contextlib.contextmanager
def running_server(venv, app_root, entry_script, environ=None, port=PORT, timeout=60):
    """Run the server of *venv* on *entry_script*, relative to *app_root*, and wait until it is healthy.

    *environ* is added to the little that the image sets.
    Raise ``ServerDiedError`` if it ends before that, or takes more than *timeout* seconds.
    """
    with tempfile.TemporaryDirectory(prefix="inference-server-") as directory:
        log_file = Path(directory, "log")
        log_file.touch()
        task = {
            "command": [str(venv / "bin" / "azmlinfsrv"), "--entry_script", str(entry_script), "--port", str(port)],
            "directory": str(app_root),
            "environ": {
                "AML_APP_ROOT": str(app_root),
                "AZUREML_ENTRY_SCRIPT": str(entry_script),
                "HOME": directory,
                "LANG": "C.UTF-8",
                "PATH": f"{venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                "TMPDIR": directory,
                **(environ or {}),
            },
            "log": str(log_file),
            "port": port,
            "timeout": timeout,
        }
        process = subprocess.Popen(
            ["unshare", "-rn", sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        server = Server(process, log_file)
        try:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            server.seconds = server.read()["seconds"]
            yield server
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


# Inside the namespace


def _drive():
    task = json.loads(sys.stdin.readline())
    _bring_loopback_up()
    start = time.monotonic()
    with open(task["log"], "wb") as log:
        server = subprocess.Popen(
            task["command"],
            cwd=task["directory"],
            env=task["environ"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while not _is_healthy(task["port"]):
            code = server.poll()
            if code is not None or time.monotonic() - start > task["timeout"]:
                _say({"died": code})
                return
            time.sleep(0.05)
        _say({"seconds": round(time.monotonic() - start, 2)})
        for line in sys.stdin:
            _say(_ask(task["port"], server, **json.loads(line)))
    finally:
        _end(server)


def _bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _is_healthy(port):
    try:
        return _http(port, "GET", "/", None)["status"] == 200
    except (OSError, http.client.HTTPException):
        return False


def _ask(port, server, method, path, body):
    try:
        return _http(port, method, path, body)
    except (OSError, http.client.HTTPException) as error:
        return {"died": server.poll(), "error": repr(error)}


def _http(port, method, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return {"status": response.status, "body": response.read().decode("utf-8", "replace")}
    finally:
        connection.close()


def _end(server):
    """End the server and its workers, which are one process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)


def _say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _drive()
