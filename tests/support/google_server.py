"""Google's object store on this machine, in memory: of its XML interface what ``obstore`` uses.

No emulator that is installed by name has this interface; the requests and answers here follow Google's reference of it.
``faults`` is as in ``registry_server``.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from support.http_servers import QuietHandler, running

BLOCK = 1 << 16


@dataclass
class Google:
    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    faults: list = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    received: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(QuietHandler):
    def handle_any(self):
        self.google = self.server.state
        self.google.requests.append((self.command, self.path))
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.key = unquote(parts.path).lstrip("/")
        for entry in list(self.google.faults):
            method, part, fault = entry
            if method in (None, self.command) and part in self.path:
                self.google.faults.remove(entry)
                if fault(self) is not True:
                    return
        getattr(self, self.command.lower())()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.google.received += len(data)
        return data

    def answer(self, status, headers=(), body=b"", *, length=None):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(body), BLOCK):
                self.wfile.write(body[start : start + BLOCK])

    def described(self):
        data, modified = self.google.objects[self.key]
        etag = hashlib.md5(data).hexdigest()
        return {"ETag": f'"{etag}"', "Last-Modified": formatdate(modified, usegmt=True), "x-goog-generation": "1"}

    def put(self):
        data = self.body()
        with self.google.lock:
            if "uploadId" in self.query:
                self.google.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = data
                return self.answer(200, {"ETag": f'"{self.query["partNumber"]}"'})
            if self.headers.get("x-goog-if-generation-match") == "0" and self.key in self.google.objects:
                return self.answer(412)
            self.google.objects[self.key] = (data, time.time())
        return self.answer(200, self.described())

    def post(self):
        data = self.body()
        with self.google.lock:
            if "uploads" in self.query:
                name = f"upload{len(self.google.requests)}"
                self.google.uploads[name] = {}
                text = f"<UploadId>{name}</UploadId>"
                element = "InitiateMultipartUploadResult"
                return self.answer(200, {}, f"<{element}>{text}</{element}>".encode())
            parts = self.google.uploads.pop(self.query["uploadId"])
            wanted = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", data)]
            self.google.objects[self.key] = (b"".join(parts[number] for number in wanted), time.time())
        done = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
        return self.answer(200, self.described(), done.encode())

    def delete(self):
        with self.google.lock:
            if "uploadId" in self.query:
                self.google.uploads.pop(self.query["uploadId"], None)
                return self.answer(204)
            there = self.google.objects.pop(self.key, None)
        return self.answer(404 if there is None else 204)

    def get(self):
        if "list-type" in self.query:
            return self.listing()
        if self.key not in self.google.objects:
            return self.answer(404)
        data, _ = self.google.objects[self.key]
        headers = self.described()
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return self.answer(200, headers, data)
        first, last = int(match[1]), int(match[2] or len(data) - 1)
        if first >= len(data):
            return self.answer(416)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return self.answer(206, headers, data[first : last + 1])

    def head(self):
        if self.key not in self.google.objects:
            return self.answer(404)
        return self.answer(200, self.described(), length=len(self.google.objects[self.key][0]))

    def listing(self):
        bucket = self.key.strip("/")
        text = "<IsTruncated>false</IsTruncated>"
        for key, (data, modified) in sorted(self.google.objects.items()):
            name = key.removeprefix(f"{bucket}/")
            if key.startswith(f"{bucket}/") and name.startswith(self.query.get("prefix", "")):
                when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(modified))
                text += f"<Contents><Key>{escape(name)}</Key><LastModified>{when}</LastModified>"
                text += f'<ETag>"x"</ETag><Size>{len(data)}</Size></Contents>'
        body = f"<ListBucketResult>{text}</ListBucketResult>".encode()
        return self.answer(200, {"Content-Type": "application/xml"}, body)


@contextlib.contextmanager
def serving(google):
    with running(Handler, google) as google.url:
        yield google
