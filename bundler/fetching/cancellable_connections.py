"""Pools of connections that another thread can end, whatever they are waiting for.

* A socket is registered before it connects, so ``Sockets.end`` also interrupts an attempt to connect, a handshake, and
  the wait for an answer or for its body. Only a name look-up cannot be interrupted.
* A duplicate of the descriptor is kept: TLS takes the original over, and ``shutdown`` reaches all duplicates.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sockets:
    """The open sockets of all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = False

    def add(self, sock: socket.socket) -> socket.socket:
        """Keep a duplicate of *sock*, and return it: ``remove`` closes it."""
        with self._lock:
            if self._ended:
                raise ConnectionAbortedError("no more connections")
            duplicate = sock.dup()
            self._open.add(duplicate)
            return duplicate

    def remove(self, duplicate: socket.socket) -> None:
        """Close *duplicate*, whose connection has ended."""
        with self._lock:
            self._open.discard(duplicate)
            duplicate.close()

    def end(self) -> None:
        """Shut down all connections and refuse new ones."""
        with self._lock:
            self._ended = True
            for duplicate in self._open:
                with contextlib.suppress(OSError):
                    duplicate.shutdown(socket.SHUT_RDWR)


def pool_manager(sockets: Sockets, proxy: str | None, **options: Any) -> urllib3.PoolManager:  # noqa: ANN401 - urllib3's
    """Return a pool manager whose connections are in *sockets*."""

    class Plain(_Endable, HTTPConnection):
        _sockets = sockets

    class Encrypted(_Endable, HTTPSConnection):
        _sockets = sockets

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Encrypted

        def _validate_conn(self, conn: Any) -> None:  # noqa: ANN401 - wider than urllib3's, narrower in what it does
            # Without the warning about hosts that are not verified: the user has named them.
            if conn.is_closed:
                conn.connect()

    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
    return manager


class _Endable(HTTPConnection):
    """A connection whose socket is in ``_sockets`` while it is open."""

    _sockets: Sockets
    _known: socket.socket | None = None
    _answering = False

    def _new_conn(self) -> socket.socket:
        self._forget()
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, 0, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(self.host, self, reason) from error
        try:
            return self._connect_first(addresses)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error

    def _connect_first(self, addresses: Sequence[tuple[Any, ...]]) -> socket.socket:
        """Return a socket connected to the first of *addresses* that answers."""
        failure: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            sock = None
            try:
                sock = socket.socket(family, kind, protocol)
                self._known = self._sockets.add(sock)
                sock.settimeout(self.timeout)
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.connect(address)
            except OSError as error:
                failure = error
                self._forget()
                if sock is not None:
                    sock.close()
            else:
                return sock
        raise failure

    def _forget(self) -> None:
        known, self._known = self._known, None
        if known is not None:
            self._sockets.remove(known)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """Return the server's answer, whose body is still to be read."""
        self._answering = True
        try:
            return super().getresponse()
        finally:
            self._answering = False

    def close(self) -> None:
        """Close the connection."""
        super().close()
        # With "Connection: close", http.client closes the connection object before the body has been read.
        if not self._answering:
            self._forget()
