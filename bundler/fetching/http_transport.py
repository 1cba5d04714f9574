"""URL → an HTTP response, by way of the user's proxies, certificates and credentials.

* At most ten redirects are followed, never from https to http, nor to another scheme. Credentials are looked up again
  for each target, so that those for one host are never sent to another.
* Certificates are checked against the system's store, to which a file can be added (``certificates``). A trusted host
  is not checked. What fails in a handshake would fail again, and is not retried.
* Proxies come from the options, else from the environment; hosts in NO_PROXY are reached without one.
* A failure is a ``TransientError`` if a retry may help, else a ``BundleError``. Neither shows a login or a query.
"""

from __future__ import annotations

import contextlib
import ssl
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import truststore
from urllib3 import Timeout
from urllib3.exceptions import (
    HTTPError,
    InvalidHeader,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
    SSLError,
    TimeoutError,  # noqa: A004 - urllib3's, of which the built-in one is no base
)
from urllib3.util import Retry
from urllib3.util.ssl_match_hostname import CertificateError

from bundler.fetching.cancellable_connections import pool_manager
from bundler.fetching.certificates import authorities, certificate_hint
from bundler.fetching.credentials import DEFAULT_PORTS, Credentials, origin, split_login
from bundler.fetching.index_options import redacted
from bundler.fetching.proxies import proxy_for
from bundler.fetching.retries import TransientError
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from urllib3 import BaseHTTPResponse, PoolManager

    from bundler.fetching.cancellable_connections import Sockets
    from bundler.fetching.credentials import Login
    from bundler.fetching.index_options import IndexOptions

MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_CONNECT_TIMEOUT = 15.0
# The first match counts.
_TRANSIENT_ERRORS: tuple[tuple[type[HTTPError], str, str | None], ...] = (
    (ProxyError, "the connection through the proxy failed", "look at HTTPS_PROXY, HTTP_PROXY and pip's proxy setting"),
    (SSLError, "TLS failed", None),
    (NameResolutionError, "the host name cannot be resolved", "is there a network? --offline uses what is cached"),
    (NewConnectionError, "the connection failed", "is there a network, or is a proxy needed?"),
    (TimeoutError, "no answer in time", None),
    (HTTPError, "the connection broke", None),
)
# Of TLS, what a broken connection looks like; anything else is a disagreement that stays.
_BROKEN = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_BROKEN_REASONS = ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "SSLV3_ALERT_BAD_RECORD_MAC")
CREDENTIALS_HINT = "put credentials into the index URL, netrc or a keyring, or check what they may read"
HANDSHAKE_HINT = "does the server speak TLS at that port, and a version of it that is not too old?"


class RefusedError(BundleError):
    """A server wants credentials, or others."""


class Transport:
    """Gets URLs. For one thread; another one can end it through *sockets*."""

    def __init__(self, indexes: IndexOptions, environ: Mapping[str, str], sockets: Sockets) -> None:
        self._indexes = indexes
        self._environ = environ
        self._sockets = sockets
        self._credentials = Credentials(indexes.urls, environ)
        self._asked: dict[tuple[str, str, int | None], Login | None] = {}
        self._managers: dict[tuple[str | None, bool], PoolManager] = {}

    def close(self) -> None:
        """Close all connections."""
        for manager in self._managers.values():
            manager.clear()

    def get(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Return the response of *url*, its body still to be read; its status is 200, 206 or 416.

        Raise ``TransientError`` or ``BundleError`` for anything else.
        """
        where, own = split_login(url)
        place = origin(where)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._get_authorized(where, own if origin(where) == place else None, headers)
            target = response.headers.get("Location")
            if response.status not in REDIRECTS or not target:
                _check_status(response, where)
                return response
            response.close()
            # A login that a server has put into a redirect is not the user's.
            where, _ = split_login(redirect_target(where, target))
        raise BundleError(redacted(url), "redirects without end", want=f"at most {MAX_REDIRECTS} redirects")

    def _get_authorized(self, url: str, own: Login | None, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Return the response of *url*, requested with the login for it; after a 401, ask the keyring once."""
        place = origin(url)
        login = self._asked.get(place) or self._credentials.find(url, own)
        response = self.send("GET", url, headers, login=login)
        if response.status == 401 and place not in self._asked:  # noqa: PLR2004 - an HTTP status
            self._asked[place] = asked = self._credentials.ask(url, login)
            if asked is not None:
                response.close()
                response = self.send("GET", url, headers, login=asked)
        return response

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        login: Login | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> BaseHTTPResponse:
        """Return the response to one request, whatever its status, redirects included; its body is still to be read.

        A *body* that is an iterable needs a Content-Length among the *headers*.
        """
        # Not compressed in transit: digests are those of the stored bytes.
        headers = {"Accept-Encoding": "identity", "User-Agent": "bundler", **headers}
        if login is not None:
            headers["Authorization"] = login.header()
        try:
            manager = self._manager(url)
            return manager.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            hint = certificate_hint(self._indexes.cert, self._environ)
            raise translate_error(error, url, certificate_hint=hint) from None
        except OSError as error:
            raise BundleError(redacted(url), f"cannot be reached: {error.strerror or type(error).__name__}") from None

    def _manager(self, url: str) -> PoolManager:
        """Return the manager of connections for *url*."""
        proxy = proxy_for(url, self._indexes.proxy, self._environ)
        key = (proxy, self._is_trusted(url))
        if key not in self._managers:
            self._managers[key] = self._new_manager(*key)
        return self._managers[key]

    def _new_manager(self, proxy: str | None, trusted: bool) -> PoolManager:
        timeout = self._indexes.timeout
        context = self._context(trusted)
        options: dict[str, object] = {
            "ssl_context": context,
            "timeout": Timeout(connect=min(timeout, _CONNECT_TIMEOUT), read=timeout),
            "maxsize": 1,
        }
        address: str | None = None
        if proxy is not None:
            address, login = split_login(proxy)
            options["proxy_ssl_context"] = context if not trusted else self._context(trusted=False)
            if login is not None:
                options["proxy_headers"] = {"Proxy-Authorization": login.header()}
        try:
            return pool_manager(self._sockets, address, **options)
        except (ProxySchemeUnknown, LocationValueError):
            raise BundleError("proxy", "is not an http or https URL", got=redacted(address or "")) from None

    def _context(self, trusted: bool) -> ssl.SSLContext:
        if trusted:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        named = authorities(self._indexes.cert, self._environ)
        for path, load in (
            (None if named is None or trusted else named.path, partial(_load_authorities, context)),
            (self._indexes.client_cert, context.load_cert_chain),
        ):
            try:
                if path is not None:
                    load(path)
            except OSError as error:
                what = error.strerror or "not a certificate in PEM form"
                hint = f"{named.named_by} names it" if named is not None and path == named.path else None
                raise BundleError(path, f"cannot be used as a certificate: {what}", hint=hint) from None
        return context

    def _is_trusted(self, url: str) -> bool:
        scheme, host, port = origin(url)
        return scheme == "https" and any(
            trusted.lower() in (host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}")
            for trusted in self._indexes.trusted_hosts
        )


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    if path.is_dir():
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(path)


def translate_error(error: HTTPError, url: str, *, certificate_hint: str | None = None) -> TransientError | BundleError:
    """Translate *error* of urllib3, which occurred at *url*; *certificate_hint* is for a certificate not trusted."""
    where = redacted(url)
    if isinstance(error, ProxyError) and " 407" in str(error.original_error):
        hint = "give the proxy's URL as http://user:password@host:port"
        return BundleError(where, "the proxy requires credentials", hint=hint)
    cause = error.args[0] if isinstance(error, SSLError) and error.args else None
    if isinstance(cause, (ssl.SSLCertVerificationError, CertificateError)):
        reason = getattr(cause, "verify_message", "") or "not trusted"
        what = f"the server's certificate cannot be verified: {reason}"
        return BundleError(where, what, hint=certificate_hint)
    if isinstance(cause, ssl.SSLError) and not (isinstance(cause, _BROKEN) or cause.reason in _BROKEN_REASONS):
        reason = (cause.reason or type(cause).__name__).lower().replace("_", " ")
        return BundleError(where, f"TLS failed: {reason}", hint=HANDSHAKE_HINT)
    if isinstance(error, (LocationValueError, InvalidHeader)):
        return BundleError(where, "is not a usable URL")
    what, advice = next((what, advice) for kind, what, advice in _TRANSIENT_ERRORS if isinstance(error, kind))
    return TransientError(what, hint=advice)


def check_transient(response: BaseHTTPResponse) -> None:
    """Raise ``TransientError`` if the status of *response* is worth a retry."""
    if response.status not in _TRANSIENT_STATUSES:
        return
    response.close()
    after = None
    with contextlib.suppress(InvalidHeader):
        after = Retry().get_retry_after(response)
    raise TransientError(f"the server says {response.status} {response.reason or ''}".strip(), after=after)


def _check_status(response: BaseHTTPResponse, url: str) -> None:
    """Raise unless the status of *response* is 200, 206 or 416."""
    status = response.status
    if status in (200, 206, 416):
        return
    response.close()
    got = f"{status} {response.reason or ''}".strip()
    where = redacted(url)
    check_transient(response)
    if status in (401, 403):
        raise RefusedError(where, "access is refused", got=got, hint=CREDENTIALS_HINT)
    if status == 407:  # noqa: PLR2004 - an HTTP status
        hint = "give the proxy's URL as http://user:password@host:port"
        raise BundleError(where, "the proxy requires credentials", got=got, hint=hint)
    if status in (404, 410):
        hint = "it may have been removed, or the lock was made with another index: lock again"
        raise BundleError(where, "was not found", got=got, hint=hint)
    raise BundleError(where, "the server refuses the request", got=got)


def redirect_target(url: str, target: str) -> str:
    """Return the URL of the redirect *target* of *url*; raise ``BundleError`` if it must not be followed."""
    joined = urljoin(url, target)
    old, new = urlsplit(url).scheme, urlsplit(joined).scheme
    if new not in DEFAULT_PORTS or (old, new) == ("https", "http"):
        what = "redirects to a URL that is not encrypted" if new == "http" else "redirects to another scheme"
        raise BundleError(redacted(url), what, got=f"{new}://…", want=old)
    return joined
