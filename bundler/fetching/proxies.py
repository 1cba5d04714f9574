"""URL, options and environment → the proxy to go through.

* A configured proxy comes first, then ``HTTPS_PROXY`` or ``HTTP_PROXY`` by the URL's scheme, then ``ALL_PROXY``; the
  lower-case name of each comes before the upper-case one.
* What ``NO_PROXY`` names is reached without a proxy: a host or domain with or without a leading dot or a port, an
  address, a network (``10.0.0.0/8``), or ``*``.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING

from bundler.fetching.credentials import origin

if TYPE_CHECKING:
    from collections.abc import Mapping


def proxy_for(url: str, configured: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for *url*; None for a direct connection."""
    scheme, host, port = origin(url)
    named = configured or _variable(environ, f"{scheme}_proxy") or _variable(environ, "all_proxy")
    excluded = (_variable(environ, "no_proxy") or "").split(",")
    if not named or any(_matches(item.strip().lower(), host, port) for item in excluded):
        return None
    return named if "://" in named else f"http://{named}"


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    # A web server gives the "Proxy:" header of a request to its CGI programs as HTTP_PROXY.
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return environ.get(name)
    return environ.get(name) or environ.get(name.upper())


def _matches(item: str, host: str, port: int | None) -> bool:
    """Return whether *item* of NO_PROXY covers *host* and *port*."""
    if item == "*":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(item, strict=False)
    name, _, number = item.partition(":")
    name = name.lstrip(".")
    return bool(name) and number in ("", str(port)) and (host == name or host.endswith(f".{name}"))
