"""Package indexes on this machine: a ``Site`` with a page of links for each project."""

from __future__ import annotations

import hashlib

from support.package_servers import Handler, status


class IndexHandler(Handler):
    """Says what is a page; answers HEAD as well, which uv asks before it asks for ranges."""

    def serve(self, data, *, ranges=True):
        if self.path.partition("?")[0].endswith("/"):
            return self.answer(200, {"Content-Type": "text/html"}, data)
        return super().serve(data, ranges=ranges)

    def do_HEAD(self):
        data = self.server.state.files.get(self.path.partition("?")[0])
        self.begin(404 if data is None else 200, {}, len(data or b""))


def add_index(site, place, *wheels, algorithm="sha256", digest=None):
    """Put an index of *wheels* at *place* of *site*; return its URL. *digest* takes the place of the right ones."""
    for name in {wheel.name.partition("-")[0] for wheel in wheels}:
        links = []
        for wheel in wheels:
            if wheel.name.startswith(f"{name}-"):
                data = wheel.read_bytes()
                site.add(f"{place}/files/{wheel.name}", data)
                value = digest or hashlib.new(algorithm, data).hexdigest()
                links.append(f'<a href="{place}/files/{wheel.name}#{algorithm}={value}">{wheel.name}</a>')
        site.add(f"{place}/{name}/", f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode())
    return site.base + place


def refuse(site, place, name, code):
    """Let the index at *place* of *site* answer *code* to whoever asks for *name*; return the URL of the index."""
    site.add(f"{place}/{name}/", b"", *[status(code)] * 99)
    return site.base + place
