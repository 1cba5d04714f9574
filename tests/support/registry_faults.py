"""What a registry of the tests may do in place of what it should: each is one of its ``faults``."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from support.registry_server import BLOCK


def status(code, headers=(), message="not now"):
    def fault(handler):
        if handler.left <= BLOCK:
            handler.body()
        handler.answer(code, headers, json.dumps({"errors": [{"code": "FAULT", "message": message}]}).encode())

    return fault


def break_upload(after, *, kept=True):
    """Take *after* bytes of what is sent, then break the connection; of these bytes the registry keeps all or none."""

    def fault(handler):
        name = urlsplit(handler.path).path.rpartition("/")[2]
        upload = handler.registry.uploads[name]
        taken = 0
        for block in handler.blocks():
            if kept:
                upload += block
            taken += len(block)
            if taken >= after:
                break
        handler.drop()

    return fault


def lose_upload(handler):
    """Forget what was begun, and let the registry say so."""
    handler.registry.uploads.clear()
    return True


def cut(after, *, reset=True):
    """Send *after* bytes of the blob, then break the connection."""

    def fault(handler):
        data = blob_of(handler)
        first = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if first else {}
        handler.answer(206 if first else 200, headers, data[first : first + after], length=len(data) - first)
        handler.drop(reset=reset)

    return fault


def other_length(change):
    """Say that the blob is longer or shorter than it is, and end the connection when all was sent."""

    def fault(handler):
        data = blob_of(handler)
        handler.answer(200, {}, data[: len(data) + min(change, 0)], length=len(data) + change)
        handler.drop(reset=False)

    return fault


def redirect_to(url):
    return lambda handler: handler.answer(307, {"Location": url})


def blob_of(handler):
    repository, _, digest = handler.path.removeprefix("/v2/").partition("/blobs/")
    return handler.registry.blobs[repository][digest]
