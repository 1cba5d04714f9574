"""The media that the conformance suite runs over: each opens as often as asked, always onto the same contents."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support import google_server, registry_server

from bundler.stores import open_store
from bundler.stores.memory import MemoryStore
from bundler.stores.oci_layouts import LayoutStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.stores.store import Store


@dataclass
class Medium:
    """*open* gives a store onto the same contents each time; *removes* tells whether it can remove blobs."""

    open: Callable[[], Store]
    removes: bool = True
    url: str | None = None


def memory(request):
    store = MemoryStore()
    return Medium(open=lambda: store)


def layout(request):
    root = request.getfixturevalue("tmp_path") / "store"
    return Medium(open=lambda: LayoutStore(root), url=str(root))


def _registry(request, **options):
    running = registry_server.serving(registry_server.Registry(**options))
    registry = running.__enter__()
    request.addfinalizer(lambda: running.__exit__(None, None, None))
    url = f"oci://{registry.host}/team/bundle"
    return Medium(open=lambda: open_store(url, {})[0], removes=False, url=url)


def registry(request):
    return _registry(request)


def old_registry(request):
    """One without the referrers API, and without ranges."""
    return _registry(request, referrers_api=False, ranges=False)


def google(request):
    running = google_server.serving(google_server.Google())
    server = running.__enter__()
    request.addfinalizer(lambda: running.__exit__(None, None, None))
    environ = {"STORAGE_EMULATOR_HOST": server.url}
    return Medium(open=lambda: open_store("gs://bucket/some/prefix", environ)[0])


def docker_registry(request):
    host = request.getfixturevalue("docker_registry_host")
    url = f"oci://{host}/{_fresh()}/bundle"
    return Medium(open=lambda: open_store(url, {})[0], removes=False, url=url)


def azurite(request):
    environ = request.getfixturevalue("azurite_environ")
    url = f"az://bundles/{_fresh()}"
    return Medium(open=lambda: open_store(url, environ)[0], url=url)


def moto(request):
    request.getfixturevalue("moto_endpoint")  # obstore looks at the process's environment
    url = f"s3://bundles/{_fresh()}"
    return Medium(open=lambda: open_store(url, os.environ)[0], url=url)


def _fresh():
    return f"t{uuid.uuid4().hex}"


QUICK = [memory, layout, registry, old_registry, google]
SLOW = [docker_registry, azurite, moto]
