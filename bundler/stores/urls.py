"""URL or path → the store that it means, and the name in it. Media are imported when they are used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bundler.fetching.index_options import redacted
from bundler.runtime.errors import UsageError
from bundler.stores.blobs import is_digest
from bundler.stores.extras import require_obstore
from bundler.stores.store import DEFAULT_NAME, check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.stores.store import Store

_SCHEME = re.compile(r"([a-z][a-z0-9+-]*):(?=//|.*\.tar)", re.ASCII)
_OBJECTS = ("az", "s3", "gs")
_BLOB_HOST = re.compile(r"[a-z0-9-]+\.blob\.core\.[a-z0-9.-]+", re.ASCII)
MEDIA = "a path, file:///dir, oci-archive:FILE.tar, oci://registry/repository:tag, az://, s3:// or gs://"


def open_store(url: str, environ: Mapping[str, str]) -> tuple[Store, str]:
    """Return the store of *url*, a path included, and the name that *url* gives (default: ``latest``).

    *environ* is where credentials and proxies are looked up. Nothing is contacted yet.
    """
    match = _SCHEME.match(url)
    scheme = match[1] if match else ""
    if scheme in ("", "file"):
        return _open_path(_path_of(url) if scheme else url)
    if scheme == "oci-archive":
        from bundler.stores.oci_archives import ArchiveStore  # noqa: PLC0415 - media are imported when they are used

        path, name = _split(url.removeprefix("oci-archive:").removeprefix("//"))
        return ArchiveStore(Path(path)), name
    if scheme in ("oci", "oci+http"):
        from bundler.stores.registries import open_registry  # noqa: PLC0415

        return open_registry(url, environ)
    if scheme in _OBJECTS or (scheme == "https" and _BLOB_HOST.fullmatch(urlsplit(url).hostname or "")):
        require_obstore(redacted(url))
        from bundler.stores.object_stores import open_objects  # noqa: PLC0415

        base, question, query = url.partition("?")
        base, name = _split(base)
        return open_objects(base + question + query, environ), name
    raise UsageError("URL", "has an unknown scheme", got=redacted(url), want=MEDIA)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise UsageError("URL", "names another host", got=redacted(url), want="file:///dir")
    return unquote(parts.path)


def _open_path(text: str) -> tuple[Store, str]:
    from bundler.stores.bundle_files import BundleStore  # noqa: PLC0415
    from bundler.stores.oci_layouts import LayoutStore  # noqa: PLC0415

    # An existing path is taken whole, even if it has a colon.
    path, name = (text, DEFAULT_NAME) if Path(text).exists() else _split(text)
    root = Path(path)
    if root.is_file() or (root / "__main__.py").exists() or (root / ".bundle").is_dir():
        return BundleStore(root), name
    return LayoutStore(root), name


def _split(text: str) -> tuple[str, str]:
    """Return *text* without the name behind it, and the name."""
    base, at, digest = text.rpartition("@")
    if at and digest.startswith("sha256:"):
        return base, check_name(digest, text)
    base, colon, name = text.rpartition(":")
    if colon and base and "/" not in name and not is_digest(text):
        return base, check_name(name, text)
    return text, DEFAULT_NAME
