"""Where wheels come from: the user's pip configuration and the command line → one set of options.

* People behind a mirror have configured pip already, so its configuration applies here: its files and ``PIP_*``
  variables, in its order of precedence, as ``pip config list`` prints them. Options of the command line override it.
* What pip has not: ``index_for`` says of a project that it comes from one index and from no other place, and
  ``strategy`` which index counts where several have a project.
* Nothing is read before ``index_options`` is called.
* URLs may hold credentials; what is shown of them goes through ``redacted`` or ``redacted_text``.
"""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.utils import InvalidName, canonicalize_name

from bundler.runtime.errors import BundleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

Strategy = Literal["best", "first"]
STRATEGIES: tuple[Strategy, ...] = ("best", "first")

# Later sections override earlier ones; what we do is closest to pip's install and download.
_SECTIONS = ("global", "download", "install", ":env:")
# Older names of options that pip still takes.
_ALIASES = {"default-timeout": "timeout", "pypi-url": "index-url"}
_TRUE = ("1", "y", "yes", "t", "true", "on")
_FALSE = ("", "0", "n", "no", "f", "false", "off")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S*[^\s)\]`'\",.:;]", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How to reach package indexes. *timeout* is in seconds. URLs may hold credentials: show them ``redacted``."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    index_for: tuple[tuple[NormalizedName, str], ...] = ()
    strategy: Strategy = "best"
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    cert: Path | None = None
    client_cert: Path | None = None
    proxy: str | None = None
    timeout: float = 30.0
    retries: int = 5

    def __repr__(self) -> str:
        return f"IndexOptions({', '.join(map(redacted, filter(None, [self.index_url, *self.extra_index_urls])))})"

    @property
    def urls(self) -> list[str]:
        """Every URL that was configured: credentials for the same server may be in it."""
        own = [url for _, url in self.index_for]
        return [*([self.index_url] if self.index_url else []), *self.extra_index_urls, *own, *self.find_links]


def places(indexes: IndexOptions, name: str | None = None) -> str:
    """Name the places where wheels are looked for: all, or those where the project *name* is."""
    if own := dict(indexes.index_for).get(canonicalize_name(name or "")):
        return redacted(own)
    urls = () if indexes.no_index else (indexes.index_url or "the default index", *indexes.extra_index_urls)
    return " or ".join(map(redacted, (*urls, *indexes.find_links))) or "no index"


def redacted(url: str) -> str:
    """Return *url* as it may be shown: without user, password, query and fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    # Not by urlsplit, which raises for an invalid URL: error messages show these, too.
    host, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    if "@" not in host and "@" in rest.partition("/")[0]:
        host, slash, path = "…", "", ""  # perhaps a password with "?" or "#" in it
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def redacted_text(text: str) -> str:
    """Return *text* with every URL in it redacted."""
    return _URL.sub(lambda match: redacted(match[0]), text)


def index_options(
    *,
    index_url: str | None = None,
    extra_index_urls: Sequence[str] = (),
    find_links: Sequence[str] = (),
    no_index: bool = False,
    index_for: Sequence[str] = (),
    strategy: Strategy = "best",
    environ: Mapping[str, str] | None = None,
) -> IndexOptions:
    """Return the options of the command line on top of pip's configuration, which *environ* is part of."""
    settings = read_pip_configuration(os.environ if environ is None else environ)

    def words(key: str) -> tuple[str, ...]:
        return tuple(settings.get(key, "").split())

    def path(key: str) -> Path | None:
        return Path(settings[key]).expanduser() if settings.get(key) else None

    def number(key: str, default: float) -> float:
        try:
            value = float(settings.get(key, default))
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise BundleError("pip configuration", f"has a {key} that is no number", got=settings[key])
        return value

    def flag(key: str) -> bool:
        value = settings.get(key, "").lower()
        if value not in (*_TRUE, *_FALSE):
            raise BundleError("pip configuration", f"has a {key} that is neither true nor false", got=value)
        return value in _TRUE

    defaults = IndexOptions()
    no_index = no_index or flag("no-index")
    if no_index and index_for:
        what = "names an index, and --no-index forbids them all"
        raise UsageError("--index-for", what, got=redacted_text(index_for[0]))
    return IndexOptions(
        index_url=index_url or settings.get("index-url") or None,
        extra_index_urls=(*words("extra-index-url"), *extra_index_urls),
        find_links=(*words("find-links"), *find_links),
        index_for=tuple(_indexes_by_name(index_for)),
        strategy=strategy,
        no_index=no_index,
        trusted_hosts=words("trusted-host"),
        cert=path("cert"),
        client_cert=path("client-cert"),
        proxy=settings.get("proxy") or None,
        timeout=number("timeout", defaults.timeout),
        retries=int(number("retries", defaults.retries)),
    )


def _indexes_by_name(texts: Sequence[str]) -> Iterator[tuple[NormalizedName, str]]:
    """Yield the name and the index of each *NAME=URL*."""
    seen: dict[NormalizedName, str] = {}
    for text in texts:
        name, _, url = text.partition("=")
        try:
            key = canonicalize_name(name.strip(), validate=True)
        except InvalidName:
            key = None
        if key is None or not re.match(r"(https?|file)://.", url):
            raise UsageError("--index-for", "is not understood", got=redacted_text(text), want="NAME=URL")
        if seen.setdefault(key, url) != url:
            both = " and ".join(map(redacted, (seen[key], url)))
            raise UsageError("--index-for", f"names two indexes for {key}", got=both, want="one")
    yield from seen.items()


def read_pip_configuration(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings, by name, as ``pip config list`` prints them."""
    # A configured "quiet" silences this command too; pip's own limit for it is 3.
    loud = {key: value for key, value in environ.items() if key not in ("PIP_QUIET", "PIP_VERBOSE")}
    command = [sys.executable, "-m", "pip", "config", "list", "-vvv", "--disable-pip-version-check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=loud)
    if answer.returncode != 0:
        reason = redacted_text(" ".join(answer.stderr.split())) or "pip config list failed"
        raise BundleError("pip configuration", f"cannot be read: {reason}", hint="try: pip config list")
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in answer.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in found and value.startswith(("'", '"')):
            key = key.lower().replace("_", "-")
            found[section][_ALIASES.get(key, key)] = str(ast.literal_eval(value))
    settings: dict[str, str] = {}
    for section in _SECTIONS:
        settings.update(found[section])
    return settings
