"""A registry on this machine, in memory, that does what the distribution specification says, and misbehaves on demand.

``faults`` is a list of (method, part of the path, fault): the first that fits a request is taken out of the list and
answers in place of the registry or, by returning ``True``, lets it answer. ``requests`` is what was asked.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import uuid
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from support.http_servers import QuietHandler, running

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
BLOCK = 1 << 16


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    received: int = 0
    sent: int = 0


@dataclass
class Registry:
    """*auth* is None, ``basic`` or ``bearer``; *login* is who is let in. *redirect* sends readers elsewhere."""

    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    manifests: dict[str, dict[str, tuple[str, bytes]]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    faults: list = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    auth: str | None = None
    login: tuple[str, str] | None = None
    other_challenge: str = ""  # what it offers besides, in front of the challenge for a token
    tokens: dict[str, str] = field(default_factory=dict)
    token_uses: int | None = None
    referrers_api: bool = True
    redirect: str | None = None
    ranges: bool = True
    host: str = ""

    def asked(self, method=None, part=""):
        return [item for item in self.requests if method in (None, item.method) and part in item.path]

    def received(self, part="blobs"):
        return sum(item.received for item in self.asked(part=part))


class Handler(QuietHandler):
    def handle_any(self):
        self.registry = self.server.state
        self.asked = Asked(self.command, self.path, {key.lower(): value for key, value in self.headers.items()})
        self.registry.requests.append(self.asked)
        self.left = int(self.headers.get("Content-Length") or 0)
        for entry in list(self.registry.faults):
            method, part, fault = entry
            if method in (None, self.command) and part in self.path:
                self.registry.faults.remove(entry)
                if fault(self) is not True:
                    return self.end()
                break
        if urlsplit(self.path).path == "/token":
            self.give_token()
        elif self.is_authorized():
            self.route()
        self.end()
        return None

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def end(self):
        """Read what is left of a small body; of a large one nobody knows the end."""
        if 0 < self.left <= BLOCK:
            self.body()
        elif self.left:
            self.close_connection = True

    # Bodies and answers

    def blocks(self):
        while self.left:
            block = self.rfile.read(min(BLOCK, self.left))
            if not block:
                raise ConnectionError("the client has gone")
            self.left -= len(block)
            self.asked.received += len(block)
            yield block

    def body(self):
        return b"".join(self.blocks())

    def answer(self, status, headers=(), body=b"", *, length=None):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if "Content-Length" not in dict(headers):
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(body), BLOCK):
                self.wfile.write(body[start : start + BLOCK])
                self.asked.sent += len(body[start : start + BLOCK])

    def fail(self, status, code, message=""):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.answer(status, {"Content-Type": "application/json"}, body)

    def drop(self, *, reset=True):
        self.close_connection = True
        self.left = 0
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    # Who

    def is_authorized(self):
        registry = self.registry
        header = self.headers.get("Authorization", "")
        if registry.auth is None:
            return True
        if registry.auth == "basic":
            if header == basic(*registry.login):
                return True
            challenge = 'Basic realm="registry"'
        else:
            scope = self.wanted_scope()
            token = header.removeprefix("Bearer ")
            granted = registry.tokens.get(token, "")
            if all(item in granted.split(" ") for item in scope.split(" ")):
                if registry.token_uses is not None:
                    registry.token_uses -= 1
                    if registry.token_uses <= 0:
                        registry.tokens.pop(token)
                        registry.token_uses = None
                return True
            host = self.headers["Host"]
            challenge = registry.other_challenge + (
                f'Bearer realm="http://{host}/token",service="test registry",scope="{scope}"'
            )
        self.body() if self.left <= BLOCK else None
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
        self.answer(401, {"WWW-Authenticate": challenge}, body)
        return False

    def wanted_scope(self):
        match = re.match(r"/v2/(.+?)/(?:blobs|manifests|tags|referrers)", self.path)
        actions = "pull" if self.command in ("GET", "HEAD") else "pull,push"
        wanted = f"repository:{match[1]}:{actions}"
        if (origin := parse_qs(urlsplit(self.path).query).get("from")) and self.command == "POST":
            wanted += f" repository:{origin[0]}:pull"
        return wanted

    def give_token(self):
        registry = self.registry
        if self.command == "POST":
            form = parse_qs(self.body().decode())
            scopes = form["scope"][0].split(" ")
            allowed = form.get("refresh_token") == [registry.login[1]] and form["grant_type"] == ["refresh_token"]
        else:
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            allowed = registry.login is None or self.headers.get("Authorization") == basic(*registry.login)
        if not allowed:
            return self.fail(401, "UNAUTHORIZED", f"you sent {self.headers.get('Authorization')}")
        token = uuid.uuid4().hex
        granted = [scope for scope in scopes if ":forbidden:" not in scope]
        granted += [scope.replace("pull,push", "pull") for scope in granted]
        registry.tokens[token] = " ".join(granted)
        return self.answer(200, {"Content-Type": "application/json"}, json.dumps({"token": token}).encode())

    # What

    def route(self):
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        match = re.fullmatch(r"/v2/(.+)/(blobs/uploads|blobs|manifests|tags|referrers)/(.*)", parts.path)
        if not match:
            return self.fail(404, "NAME_UNKNOWN")
        repository, kind, rest = match.groups()
        handler = getattr(self, f"{self.command.lower()}_{kind.replace('/', '_')}", None)
        if handler is None and self.command == "HEAD":
            handler = getattr(self, f"get_{kind}", None)
        if handler is None:
            return self.fail(405, "UNSUPPORTED")
        return handler(repository, rest, query)

    def get_blobs(self, repository, digest, query):
        data = self.registry.blobs.get(repository, {}).get(digest)
        if data is None:
            return self.fail(404, "BLOB_UNKNOWN")
        if self.registry.redirect and self.command == "GET":
            return self.answer(307, {"Location": f"{self.registry.redirect}/{digest}"})
        return self.serve(data, "application/octet-stream")

    def serve(self, data, kind):
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if first and self.registry.ranges:
            headers = {"Content-Type": kind, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
            return self.answer(206, headers, data[first:])
        return self.answer(200, {"Content-Type": kind}, data)

    def post_blobs_uploads(self, repository, rest, query):
        self.body()
        origin = self.registry.blobs.get(query.get("from"), {})
        if query.get("mount") in origin:
            self.registry.blobs.setdefault(repository, {})[query["mount"]] = origin[query["mount"]]
            return self.answer(201, {"Location": f"/v2/{repository}/blobs/{query['mount']}"})
        name = uuid.uuid4().hex
        self.registry.uploads[name] = bytearray()
        return self.progress(202, repository, name)

    def progress(self, status, repository, name):
        size = len(self.registry.uploads[name])
        headers = {"Location": f"/v2/{repository}/blobs/uploads/{name}?state=x", "Range": f"0-{max(0, size - 1)}"}
        self.answer(status, headers)

    def get_blobs_uploads(self, repository, name, query):
        if name not in self.registry.uploads:
            return self.fail(404, "BLOB_UPLOAD_UNKNOWN")
        return self.progress(204, repository, name)

    def delete_blobs_uploads(self, repository, name, query):
        self.registry.uploads.pop(name, None)
        return self.answer(204)

    def patch_blobs_uploads(self, repository, name, query):
        if name not in self.registry.uploads:
            return self.fail(404, "BLOB_UPLOAD_UNKNOWN")
        upload = self.registry.uploads[name]
        if (where := self.headers.get("Content-Range")) and int(where.split("-")[0]) != len(upload):
            return self.answer(416)
        for block in self.blocks():
            upload += block
        return self.progress(202, repository, name)

    def put_blobs_uploads(self, repository, name, query):
        upload = self.registry.uploads.get(name)
        if upload is None:
            return self.fail(404, "BLOB_UPLOAD_UNKNOWN")
        upload += self.body()
        data = bytes(self.registry.uploads.pop(name))
        if "sha256:" + hashlib.sha256(data).hexdigest() != query["digest"]:
            return self.fail(400, "DIGEST_INVALID")
        self.registry.blobs.setdefault(repository, {})[query["digest"]] = data
        return self.answer(201, {"Location": f"/v2/{repository}/blobs/{query['digest']}"})

    def get_manifests(self, repository, reference, query):
        found = self.registry.manifests.get(repository, {}).get(reference)
        if found is None:
            return self.fail(404, "MANIFEST_UNKNOWN")
        kind, data = found
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        return self.answer(200, {"Content-Type": kind, "Docker-Content-Digest": digest}, data)

    def put_manifests(self, repository, reference, query):
        data = self.body()
        kind = self.headers["Content-Type"]
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        document = json.loads(data)
        known = self.registry.blobs.get(repository, {})
        manifests = self.registry.manifests.setdefault(repository, {})
        for named in [document.get("config"), *document.get("layers", [])]:
            if named is not None and named["digest"] not in known:
                return self.fail(400, "MANIFEST_BLOB_UNKNOWN")
        if reference.startswith("sha256:") and reference != digest:
            return self.fail(400, "DIGEST_INVALID")
        manifests[digest] = manifests[reference] = (kind, data)
        headers = {"Location": f"/v2/{repository}/manifests/{digest}", "Docker-Content-Digest": digest}
        return self.answer(201, headers)

    def get_tags(self, repository, rest, query):
        if repository not in self.registry.manifests:
            return self.fail(404, "NAME_UNKNOWN")
        tags = sorted(tag for tag in self.registry.manifests[repository] if ":" not in tag)
        after = [tag for tag in tags if tag > query.get("last", "")]
        headers = {}
        if len(after) > 2:
            after = after[:2]
            headers["Link"] = f'</v2/{repository}/tags/list?last={after[-1]}>; rel="next"'
        return self.answer(200, headers, json.dumps({"name": repository, "tags": after}).encode())

    def get_referrers(self, repository, digest, query):
        if not self.registry.referrers_api:
            return self.fail(404, "NOT_FOUND")
        found = []
        manifests = self.registry.manifests.get(repository, {})
        for key, (kind, data) in list(manifests.items()):
            document = json.loads(data)
            if ":" in key and (document.get("subject") or {}).get("digest") == digest:
                found.append(
                    {
                        "mediaType": kind,
                        "digest": key,
                        "size": len(data),
                        "artifactType": document.get("artifactType") or document["config"]["mediaType"],
                        "annotations": document.get("annotations", {}),
                    }
                )
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": found}
        return self.answer(200, {"Content-Type": INDEX_TYPE}, json.dumps(index).encode())


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextlib.contextmanager
def serving(registry):
    with running(Handler, registry) as url:
        registry.host = url.removeprefix("http://")
        yield registry
