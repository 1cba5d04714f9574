"""Indexes + names of projects → what each index answers: the files it has of a project, or that it refuses.

* A page is PEP 503's: links, of which the last part of the path is the name of a file, and the fragment its hash.
* A page that cannot be had for another reason than a refusal counts as empty: uv, which resolves, reports that. An
  index that does not answer is asked no further, so that nobody waits for each of its pages.
* Several are asked at once, each project of each index once.
"""

from __future__ import annotations

import html
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from bundler.fetching.cancellable_connections import Sockets
from bundler.fetching.credentials import split_login
from bundler.fetching.http_transport import RefusedError, Transport
from bundler.fetching.range_requests import get
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from bundler.fetching.index_options import IndexOptions

_AT_ONCE = 8
_LARGEST = 64 << 20
_LINK = re.compile(r"""<a\b[^>]*?\bhref\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_HTML = {"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.9"}


@dataclass(frozen=True, slots=True)
class Link:
    """Where a file is, without login and fragment, and its sha256 if the index lists it."""

    url: str
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPage:
    """What *index* answers of the project *name*: *files* by their names; *refused* is the status of a refusal."""

    index: str
    name: NormalizedName
    files: Mapping[str, Link] = field(default_factory=dict)
    refused: str | None = None


def read_index_pages(
    asked: Iterable[tuple[str, NormalizedName]], indexes: IndexOptions, environ: Mapping[str, str]
) -> list[IndexPage]:
    """Return the pages of *asked*, indexes and names, in another order; *indexes* says how to reach them."""
    questions = list(asked)
    sockets = Sockets()
    silent: set[str] = set()

    def read(transport: Transport, index: str, name: NormalizedName) -> IndexPage:
        if index not in silent:
            try:
                return _read(transport, index, name)
            except (BundleError, OSError, ValueError) as error:
                if getattr(error, "got", None) is None:  # no status
                    silent.add(index)
        return IndexPage(index=index, name=name)

    def read_share(share: list[tuple[str, NormalizedName]]) -> list[IndexPage]:
        with closing(Transport(indexes, environ, sockets)) as transport:
            return [read(transport, index, name) for index, name in share]

    shares = [share for n in range(_AT_ONCE) if (share := questions[n::_AT_ONCE])]
    with ThreadPoolExecutor(_AT_ONCE, "pages") as executor:
        try:
            return list(chain.from_iterable(executor.map(read_share, shares)))
        except BaseException:
            sockets.end()
            raise


def _read(transport: Transport, index: str, name: NormalizedName) -> IndexPage:
    parts = urlsplit(index)
    url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}/"))
    base, _ = split_login(url)
    if "://" not in url or parts.scheme == "file":
        page = Path(url2pathname(urlsplit(url).path), "index.html")
        data = page.read_bytes() if page.is_file() else b""
    else:
        try:
            _, data = get(transport, url, retries=0, limit=_LARGEST, headers=_HTML)
        except RefusedError as error:
            return IndexPage(index=index, name=name, refused=str(error.got))
    return IndexPage(index=index, name=name, files=_files(data.decode("utf-8", "replace"), base))


def _files(page: str, base: str) -> dict[str, Link]:
    """Return the files that *page*, which lies at *base*, links to."""
    found = {}
    for href in _LINK.findall(page):
        url, fragment = urldefrag(urljoin(base, html.unescape(href)))
        filename = unquote(urlsplit(url).path.rpartition("/")[2])
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        if filename:
            found[filename] = Link(url, sha256)
    return found
