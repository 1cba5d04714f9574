"""Requests to a registry → responses, with the tokens that it asks for.

* A registry that answers 401 says what it wants: ``Basic``, or a ``Bearer`` token for a scope, which is fetched from
  the place it names and kept for the next requests; an expired one is fetched anew, twice for each request at most.
* Redirects of what is read are followed, and credentials go to the registry's own origin only: blobs often lie in an
  object store elsewhere.
* Connections are kept and handed from request to request; each is used by one thread at a time.
"""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

from urllib3.exceptions import HTTPError

from bundler.fetching.cancellable_connections import Sockets
from bundler.fetching.credentials import Login, origin
from bundler.fetching.http_transport import (
    MAX_REDIRECTS,
    REDIRECTS,
    Transport,
    check_transient,
    redirect_target,
    translate_error,
)
from bundler.fetching.index_options import IndexOptions, redacted, redacted_text
from bundler.fetching.retries import TransientError
from bundler.runtime.errors import BundleError
from bundler.stores.blobs import CHUNK
from bundler.stores.registry_logins import IdentityToken, find_login

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from urllib3 import BaseHTTPResponse

# A registry may read a large blob once more before it answers.
_TIMEOUT = 120.0
_UNAUTHORIZED = 401
_TOKENS = 2  # the first may be one that another thread was given a while ago
_MAX_ANSWER = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response that was read: *url* is where it came from."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(slots=True)
class _Authorizations:
    """What to say in the Authorization header, by scope."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    by_scope: dict[str, str] = field(default_factory=dict, repr=False)


class Client:
    """Talks to the registry at *base*, such as ``https://registry.example``; logins are looked up in *environ*."""

    def __init__(
        self, base: str, registry: str, repository: str, environ: Mapping[str, str], own: Login | None = None
    ) -> None:
        self.base = base
        self._registry = registry
        self._repository = repository
        self._environ = environ
        self._own = own
        self._login: Login | IdentityToken | None = None
        self._login_known = False
        self._sockets = Sockets()
        self._transports: list[Transport] = []
        self._free: list[Transport] = []
        self._lock = threading.Lock()
        self._authorizations = _Authorizations()

    def end(self) -> None:
        """Shut down all connections and refuse new ones."""
        self._sockets.end()

    def close(self) -> None:
        """Close all connections."""
        for transport in self._transports:
            transport.close()

    def ask(
        self,
        method: str,
        url: str,
        *,
        scope: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Callable[[], Iterable[bytes]] | None = None,
        ok: tuple[int, ...] = (200,),
        limit: int = _MAX_ANSWER,
    ) -> Answer:
        """Return the answer of *url*, a path of the registry or absolute, whose status is one of *ok*.

        Raise ``TransientError`` for a status worth a retry, else ``BundleError``. A *body* that is a function is called
        for the bytes each time it is sent; then the *headers* have its Content-Length.
        """
        with self._transport() as transport:
            response = self._send(transport, method, self._absolute(url), scope, headers or {}, body)
            try:
                self._check(response, url, ok)
                data = b"" if method == "HEAD" else response.read(limit + 1)
            except HTTPError as error:
                raise translate_error(error, self._absolute(url)) from None
            finally:
                self._release(response)
            if len(data) > limit:
                raise BundleError(
                    redacted(self._absolute(url)), "the answer is too large", want=f"at most {limit} bytes"
                )
            return Answer(status=response.status, headers=response.headers, body=data, url=self._absolute(url))

    def stream(
        self, url: str, *, scope: str, headers: Mapping[str, str], offset: int, ok: tuple[int, ...]
    ) -> Generator[tuple[int, Iterator[bytes]], None, None]:
        """Yield, once, the status of *url* and its body from *offset* on."""
        headers = dict(headers)
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self._transport() as transport:
            response = self._get(transport, self._absolute(url), scope, headers)
            try:
                self._check(response, url, ok)
                yield response.status, self._chunks(response, url, 0 if response.status == 206 else offset)  # noqa: PLR2004
            finally:
                response.close()

    def _chunks(self, response: BaseHTTPResponse, url: str, skip: int) -> Iterator[bytes]:
        """Yield the body as it arrives, without the first *skip* bytes."""
        try:
            while chunk := response.read1(CHUNK, decode_content=False):
                if skip < len(chunk):
                    yield chunk[skip:] if skip else chunk
                skip = max(0, skip - len(chunk))
        except HTTPError as error:
            raise translate_error(error, self._absolute(url)) from None
        except OSError as error:
            raise TransientError(f"the connection broke: {error.strerror or type(error).__name__}") from None

    # Requests

    @contextlib.contextmanager
    def _transport(self) -> Iterator[Transport]:
        """Lend a transport to one thread."""
        with self._lock:
            transport = self._free.pop() if self._free else None
        if transport is None:
            transport = Transport(IndexOptions(timeout=_TIMEOUT), self._environ, self._sockets)
            with self._lock:
                self._transports.append(transport)
        try:
            yield transport
        finally:
            with self._lock:
                self._free.append(transport)

    def _absolute(self, url: str) -> str:
        return urljoin(self.base, url)

    def _send(
        self,
        transport: Transport,
        method: str,
        url: str,
        scope: str,
        headers: Mapping[str, str],
        body: bytes | Callable[[], Iterable[bytes]] | None = None,
    ) -> BaseHTTPResponse:
        """Return the response to a request, which is authorized only if it goes to the registry itself."""

        def send(authorization: str | None) -> BaseHTTPResponse:
            extra = {"Authorization": authorization} if authorization else {}
            return transport.send(method, url, {**headers, **extra}, body=body() if callable(body) else body)

        if origin(url) != origin(self.base):
            return send(None)
        with self._authorizations.lock:
            known = self._authorizations.by_scope.get(scope)
        response = send(known)
        for _ in range(_TOKENS):
            if response.status != _UNAUTHORIZED:
                break
            challenge = response.headers.get("WWW-Authenticate", "")
            with self._authorizations.lock:
                if self._authorizations.by_scope.get(scope) == known:
                    wanted = self._authorize(transport, challenge, scope)
                    if wanted in (None, known):
                        break
                    self._authorizations.by_scope[scope] = wanted
                known = self._authorizations.by_scope[scope]
            self._release(response)
            response = send(known)
        return response

    def _get(self, transport: Transport, url: str, scope: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Return the response to a GET, after redirects."""
        where = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(transport, "GET", where, scope, headers)
            target = response.headers.get("Location")
            if response.status not in REDIRECTS or not target:
                return response
            self._release(response)
            where = redirect_target(where, target)
        raise BundleError(redacted(url), "redirects without end", want=f"at most {MAX_REDIRECTS} redirects")

    def _release(self, response: BaseHTTPResponse) -> None:
        """Return the connection to the pool, or close it if more than one chunk of the body is unread."""
        with contextlib.suppress(HTTPError, OSError):
            if int(response.headers.get("Content-Length", CHUNK + 1)) <= CHUNK:
                response.drain_conn()
                response.release_conn()
                return
        response.close()

    def _check(self, response: BaseHTTPResponse, url: str, ok: tuple[int, ...]) -> None:
        if response.status in ok:
            return
        where = redacted(self._absolute(url))
        check_transient(response)
        got = f"{response.status} {response.reason or ''}".strip()
        if reason := self._reason(response):
            got = f"{got}, {reason}"
        if response.status in (401, 403):
            who = "with the login that was found" if self._login else "without a login"
            hint = f"log in with docker login or skopeo login {self._registry}, or check the permissions of the login"
            raise BundleError(where, f"access is refused, {who}", got=got, hint=hint)
        raise BundleError(where, "the registry refuses the request", got=got)

    def _reason(self, response: BaseHTTPResponse) -> str | None:
        """Return the registry's error message, without the secrets that it may repeat."""
        try:
            first = json.loads(response.read(CHUNK))["errors"][0]
            text = f"{first['code']}: {first.get('message', '')}"
        except (HTTPError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
            return None
        for secret in self._secrets():
            text = text.replace(secret, "…")
        return redacted_text(" ".join(text.split()))[:200]

    def _secrets(self) -> list[str]:
        secrets = [header.partition(" ")[2] for header in self._authorizations.by_scope.values()]
        if isinstance(self._login, IdentityToken):
            secrets.append(self._login.secret)
        elif self._login is not None:
            secrets += [self._login.header().partition(" ")[2], self._login.password or ""]
        return sorted(filter(None, secrets), key=len, reverse=True)

    # Authorization

    def _authorize(self, transport: Transport, challenge: str, scope: str) -> str | None:
        """Return the Authorization header that *challenge* wants; None if there is no login."""
        if not self._login_known:
            self._login = self._own or find_login(self._registry, self._repository, self._environ)
            self._login_known = True
        offered = _challenges(challenge)
        if "bearer" not in offered:
            return self._login.header() if "basic" in offered and isinstance(self._login, Login) else None
        parameters = offered["bearer"]
        realm = parameters.get("realm", "")
        if urlsplit(realm).scheme not in ("https", urlsplit(self.base).scheme):
            raise BundleError(
                redacted(self.base), "asks for credentials over an unencrypted connection", got=redacted(realm)
            )
        return f"Bearer {self._fetch_token(transport, realm, parameters.get('service'), scope)}"

    def _fetch_token(self, transport: Transport, realm: str, service: str | None, scope: str) -> str:
        query = [("service", service)] if service else []
        query += [("scope", item) for item in scope.split(" ")]
        if isinstance(self._login, IdentityToken):
            form = [*query[: len(query) - len(scope.split(" "))], ("scope", scope)]
            form += [("client_id", "bundler"), ("grant_type", "refresh_token"), ("refresh_token", self._login.secret)]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = transport.send("POST", realm, headers, body=urlencode(form).encode())
        else:
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            response = transport.send("GET", url, {}, login=self._login)
        try:
            self._check(response, realm, (200,))
            answer = json.loads(response.read(_MAX_ANSWER))
            token = answer.get("token") or answer.get("access_token")
        except HTTPError as error:
            raise translate_error(error, realm) from None
        except (ValueError, AttributeError):
            token = None
        finally:
            self._release(response)
        if not isinstance(token, str) or not token.isprintable():
            raise BundleError(redacted(realm), "does not give a token", hint="is it the address of a registry?")
        return token


def _challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the challenges in a WWW-Authenticate *header*: scheme → parameters, in lower case."""
    offered: dict[str, dict[str, str]] = {}
    scheme = ""
    for item in parse_http_list(header):
        start, _, rest = item.partition(" ")
        if "=" not in start:
            scheme, item = start.lower(), rest.strip()  # noqa: PLW2901 - a challenge begins with its scheme
            offered[scheme] = {}
        if scheme and "=" in item:
            key, _, value = item.partition("=")
            offered[scheme].update(parse_keqv_list([f"{key.strip().lower()}={value.strip()}"]))
    return offered
