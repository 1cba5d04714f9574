"""URL → the credentials to send there.

* They come from the URL itself, a configured index with the same scheme, host and port (of several, the one that has
  most of its path in common), netrc, and, when a server has asked, the ``keyring`` library if it is installed.
* A ``default`` entry of netrc is not used: it would go to every host that an index names.
* They are never shown: not in messages, not in a ``repr``, not in a netrc parser's error, which quotes the file.
"""

from __future__ import annotations

import base64
import importlib
import itertools
import netrc
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Login:
    """A user's name and password; the password may be missing."""

    user: str = field(repr=False)
    password: str | None = field(repr=False)

    def header(self) -> str:
        """Return the value of an Authorization or Proxy-Authorization header."""
        text = f"{self.user}:{self.password or ''}"
        return "Basic " + base64.b64encode(text.encode()).decode("ascii")


class Credentials:
    """Knows who the user is to which server."""

    def __init__(self, urls: Sequence[str], environ: Mapping[str, str]) -> None:
        """Know the logins in the configured *urls* and in netrc."""
        self._indexes = [(split_login(url)) for url in urls if urlsplit(url).scheme in DEFAULT_PORTS]
        self._netrc = _read_netrc(environ)

    def find(self, url: str, own: Login | None) -> Login | None:
        """Return the login for *url*; *own* is the login that the URL itself contained."""
        known = own or self._from_indexes(url)
        host = urlsplit(url).hostname or ""
        machine = self._netrc.get(host)
        if machine is not None and (known is None or (known.password is None and known.user == machine.user)):
            return machine
        return known

    def ask(self, url: str, tried: Login | None) -> Login | None:
        """Return a login for *url* from the keyring, after the server has refused *tried*."""
        try:
            keyring = importlib.import_module("keyring")
        except ImportError:
            return None
        parts = urlsplit(url)
        index = max(self._indexes_at(url), key=lambda near: near[0], default=(0, None, None))[1]
        user = tried.user if tried is not None else None
        for service in filter(None, [index, f"{parts.scheme}://{parts.netloc}", parts.netloc]):
            try:
                found = keyring.get_credential(service, user)
            except Exception:  # noqa: BLE001 - a backend may raise anything; without it there is no login
                return None
            if found is not None and found.password is not None:
                login = Login(found.username or user or "", found.password)
                return None if login == tried else login
        return None

    def _from_indexes(self, url: str) -> Login | None:
        near = [(depth, login) for depth, _, login in self._indexes_at(url) if login is not None]
        return max(near, key=lambda item: item[0])[1] if near else None

    def _indexes_at(self, url: str) -> list[tuple[int, str, Login | None]]:
        """Return the indexes at the server of *url*: components of the path in common, URL, login."""
        parts = urlsplit(url)
        return [
            (_common_components(parts, urlsplit(index)), index, login)
            for index, login in self._indexes
            if origin(index) == origin(url)
        ]


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of *url*."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)


def split_login(url: str) -> tuple[str, Login | None]:
    """Return *url* without its login, and the login."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BundleError("URL", "has an invalid host or port", hint="look at the index URL and the lock") from None
    info, _, host = parts.netloc.rpartition("@")
    if not info:
        return url, None
    user, colon, password = info.partition(":")
    return urlunsplit(parts._replace(netloc=host)), Login(unquote(user), unquote(password) if colon else None)


def _common_components(one: SplitResult, other: SplitResult) -> int:
    pairs = zip(one.path.split("/"), other.path.rstrip("/").split("/"), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _read_netrc(environ: Mapping[str, str]) -> dict[str, Login]:
    if named := environ.get("NETRC"):
        path = Path(named)
    elif home := environ.get("HOME"):
        path = Path(home, ".netrc")
    else:
        return {}
    try:
        hosts = netrc.netrc(str(path)).hosts
    except FileNotFoundError:
        return {}
    except (netrc.NetrcParseError, UnicodeDecodeError):
        raise BundleError(path, "is not a netrc file", hint="correct it, or name another one with NETRC") from None
    except OSError as error:
        if named:
            raise BundleError(path, f"cannot be read: {error.strerror}", hint="NETRC names it") from None
        return {}
    return {host: Login(user or "", password) for host, (user, _, password) in hosts.items()}
