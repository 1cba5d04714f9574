"""Where wheels come from: the user's pip configuration and the command line → one set of options.

People behind a mirror have configured pip, so what pip would do holds here: its files and ``PIP_*`` variables, in its
order of precedence, as ``pip config list`` tells them. Options of the command line come on top.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Later sections override earlier ones; what we do is closest to pip's install and download.
_SECTIONS = ("global", "download", "install", ":env:")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How to reach package indexes. *timeout* is in seconds. URLs may hold credentials: show them ``redacted``."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
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


def redacted(url: str) -> str:
    """Return *url* as it may be shown: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL, such as one with half an IPv6 address: nothing of it is safe to show
        return "…"
    if not parts.scheme or not parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def index_options(
    *,
    index_url: str | None = None,
    extra_index_urls: Sequence[str] = (),
    find_links: Sequence[str] = (),
    no_index: bool = False,
) -> IndexOptions:
    """Return the options of the command line on top of pip's configuration."""
    settings = read_pip_configuration()

    def words(key: str) -> tuple[str, ...]:
        return tuple(settings.get(key, "").split())

    def path(key: str) -> Path | None:
        return Path(settings[key]).expanduser() if settings.get(key) else None

    def number(key: str, default: float) -> float:
        try:
            return float(settings.get(key, default))
        except ValueError:
            raise BundleError("pip configuration", f"has a {key} that is no number", got=settings[key]) from None

    defaults = IndexOptions()
    return IndexOptions(
        index_url=index_url or settings.get("index-url") or None,
        extra_index_urls=(*words("extra-index-url"), *extra_index_urls),
        find_links=(*words("find-links"), *find_links),
        no_index=no_index or settings.get("no-index", "").lower() in ("1", "true", "yes", "on"),
        trusted_hosts=words("trusted-host"),
        cert=path("cert"),
        client_cert=path("client-cert"),
        proxy=settings.get("proxy") or None,
        timeout=number("timeout", number("default-timeout", defaults.timeout)),
        retries=int(number("retries", defaults.retries)),
    )


def read_pip_configuration() -> dict[str, str]:
    """Return pip's settings, by name, as ``pip config list`` tells them."""
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        lines = (answer.stderr.strip() or answer.stdout.strip()).splitlines() or ["pip config list failed"]
        raise BundleError("pip configuration", f"cannot be read: {lines[-1]}", hint="try: pip config list")
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in answer.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in found and value[:1] in "'\"" and value:
            found[section][key.lower().replace("_", "-")] = str(ast.literal_eval(value))
    settings: dict[str, str] = {}
    for section in _SECTIONS:
        settings.update(found[section])
    return settings
