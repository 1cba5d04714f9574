"""Options and environment → the certificates of authorities that a server's certificate is checked with.

* As pip does: its cert setting (``--cert``, ``PIP_CERT``), else ``REQUESTS_CA_BUNDLE``, else ``CURL_CA_BUNDLE``, else
  OpenSSL's ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, else what the system has.
* uv, which resolves, and our own transport, which fetches, are told the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Authorities:
    """The file or directory *path*, and what has named it."""

    path: Path
    named_by: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell OpenSSL, and uv."""
        return {"SSL_CERT_DIR" if self.path.is_dir() else "SSL_CERT_FILE": str(self.path)}


def authorities(configured: Path | None, environ: Mapping[str, str]) -> Authorities | None:
    """Return what names certificates: *configured*, pip's cert setting, or a variable; None if nothing does."""
    if configured is not None:
        return Authorities(configured, "pip's cert setting")
    for name in _VARIABLES:
        if value := environ.get(name):
            return Authorities(Path(value).expanduser(), name)
    return None


def certificate_hint(configured: Path | None, environ: Mapping[str, str]) -> str:
    """Return what to do where a server's certificate cannot be verified."""
    found = authorities(configured, environ)
    if found is None:
        return (
            "the system's certificates were used: name the file with the one of the server's authority "
            "(pip config set global.cert FILE, or the variable PIP_CERT, REQUESTS_CA_BUNDLE or SSL_CERT_FILE), "
            "or name the host in pip's trusted-host"
        )
    there = "" if found.path.exists() else ", which is not there"
    return (
        f"the certificates that {found.named_by} names were used: {found.path}{there}; add the one of the server's "
        "authority to that file, name another one with PIP_CERT, or name the host in pip's trusted-host"
    )
