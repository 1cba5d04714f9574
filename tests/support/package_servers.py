"""Real servers on this machine that misbehave on demand.

A ``Site`` serves its ``files``, with ranges and entity tags. Each request to a path takes the next of the path's
``faults`` first: a function of the handler and the file's bytes, which answers in place of the site or, by returning
``True``, lets it answer. What was asked and how many bytes of a body were sent is in ``requests``.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field

from support.http_servers import QuietHandler, running

BLOCK = 64 * 1024


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0


@dataclass
class Site:
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    login: str | None = None
    etag: str | None = None
    base: str = ""

    def add(self, path, data, *faults):
        self.files[path] = data
        self.faults[path] = list(faults)
        return self.base + path

    def sent(self, path=None):
        return sum(request.sent for request in self.requests if path in (None, request.path))


class Handler(QuietHandler):
    def do_GET(self):
        site = self.server.state
        path = self.path.partition("?")[0]
        self.request_log = Request("GET", path, {k.lower(): v for k, v in self.headers.items()})
        site.requests.append(self.request_log)
        if site.login is not None:
            want = "Basic " + base64.b64encode(site.login.encode()).decode()
            if self.headers.get("Authorization") != want:
                return self.answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
        faults = site.faults.get(path, [])
        data = site.files.get(path)
        if faults:
            fault = faults.pop(0)
            if fault(self, data) is not True:
                return None
        if data is None:
            return self.answer(404)
        return self.serve(data)

    def etag(self, data):
        return self.server.state.etag or f'"{hashlib.sha256(data).hexdigest()[:16]}"'

    def serve(self, data, *, ranges=True):
        first = self.first()
        if not ranges or first == 0 or self.headers.get("If-Range", self.etag(data)) != self.etag(data):
            return self.answer(200, {"ETag": self.etag(data)}, data)
        if first >= len(data):
            return self.answer(416, {"Content-Range": f"bytes */{len(data)}"})
        where = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return self.answer(206, {"ETag": self.etag(data), "Content-Range": where}, data[first:])

    def first(self):
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def answer(self, status, headers=(), body=b"", *, length=None):
        self.begin(status, headers, len(body) if length is None else length)
        self.send(body)

    def begin(self, status, headers=(), length=0):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, body):
        for start in range(0, len(body), BLOCK):
            block = body[start : start + BLOCK]
            self.request_log.sent += len(block)  # before, so that who has received it finds it counted
            self.wfile.write(block)

    def drop(self, *, reset=False):
        """End the connection; after *reset* the client sees an error rather than an end."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)


class WithHead(Handler):
    def do_HEAD(self):
        data = self.server.state.files.get(self.path.partition("?")[0])
        self.begin(404 if data is None else 200, {}, len(data or b""))


# Faults


def cut(after, *, reset=False):
    """Send *after* bytes of what is asked for, then break the connection."""

    def fault(handler, data):
        first = handler.first()
        rest = data[first:]
        headers = {"ETag": handler.etag(data)}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        handler.begin(206 if first else 200, headers, len(rest))
        handler.send(rest[:after])
        if reset:
            time.sleep(0.1)  # let the client take what was sent: a reset discards it
        handler.drop(reset=reset)

    return fault


def status(code, headers=(), body=b""):
    return lambda handler, data: handler.answer(code, headers, body)


def html(handler, data):
    handler.answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<!DOCTYPE html><title>Please log in</title>")


def no_ranges(handler, data):
    handler.serve(data, ranges=False)


def chunked(extra=b"", drop=None):
    """Send the file with no length, followed by *extra*; end properly after *drop* bytes."""

    def fault(handler, data):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        body = (data + extra)[:drop]
        for start in range(0, len(body), BLOCK):
            block = body[start : start + BLOCK]
            handler.request_log.sent += len(block)
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        handler.wfile.write(b"0\r\n\r\n")

    return fault


def wrong_range(handler, data):
    """Answer another range than was asked for."""
    first = handler.first() - 7
    handler.answer(206, {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}, data[first:])


def other_bytes(handler, data):
    handler.serve(data[::-1])


def drip(count, pause):
    """Send the file in *count* pieces with a *pause* between them."""

    def fault(handler, data):
        handler.begin(200, {}, len(data))
        step = len(data) // count + 1
        for start in range(0, len(data), step):
            handler.send(data[start : start + step])
            time.sleep(pause)

    return fault


def stall(seconds, *, after=0, headers=()):
    """Send *after* bytes, then nothing."""

    def fault(handler, data):
        handler.begin(200, {"ETag": handler.etag(data), **dict(headers)}, len(data))
        handler.send(data[:after])
        time.sleep(seconds)
        handler.drop()

    return fault


def wait(event):
    """Let the site answer when *event* is set."""
    return lambda handler, data: event.wait(20)


# Servers


@contextlib.contextmanager
def serving(site, *, tls=None, handler=Handler):
    """Serve *site*, with *tls*, a file with certificate and key, if that is given."""
    with running(handler, site, tls=tls) as site.base:
        yield site


class ProxyHandler(Handler):
    """Gets what is asked for with an absolute URL from the files by that URL; joins tunnels to this machine."""

    def do_CONNECT(self):
        headers = {k.lower(): v for k, v in self.headers.items()}
        self.server.state.requests.append(Request("CONNECT", self.path, headers))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                for end in select.select(list(ends), [], [], 20)[0]:
                    data = end.recv(BLOCK)
                    if not data:
                        self.close_connection = True
                        return
                    ends[end].sendall(data)


def certificate(directory):
    """Make a self-signed certificate; return the file with it and its key, and the file with it alone."""
    key, cert, both = directory / "key.pem", directory / "cert.pem", directory / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    return both, cert


def certified(directory):
    """Make an authority and a certificate of it; return the file with that and its key, and the authority's file."""
    authority, authority_key = directory / "authority.pem", directory / "authority-key.pem"
    cert, key, request, both = (directory / name for name in ("leaf.pem", "leaf-key.pem", "leaf.csr", "leaf-both.pem"))
    extensions = directory / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    signer = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-extfile", extensions)
    for command in (
        ("req", "-x509", *new, "-keyout", authority_key, "-out", authority, "-days", "2", "-subj", "/CN=authority"),
        ("req", *new, "-keyout", key, "-out", request, "-subj", "/CN=localhost"),
        ("x509", "-req", "-in", request, *signer, "-days", "2", "-out", cert),
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    return both, authority
