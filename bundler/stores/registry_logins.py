"""A registry → the login for it, from where docker, podman and skopeo keep logins.

* Looked at in this order: ``REGISTRY_AUTH_FILE``, ``config.json`` in ``DOCKER_CONFIG`` or ``~/.docker``, podman's
  ``containers/auth.json`` in ``XDG_RUNTIME_DIR``, then in ``XDG_CONFIG_HOME`` or ``~/.config``. The first that knows
  the registry counts.
* In a file: a helper for this registry, then a login in the file (the key nearest to the repository), then the helper
  for all. A helper is a program ``docker-credential-NAME``, which is asked over its standard input.
* Nothing of a login is ever shown, nor what a helper says.
"""

from __future__ import annotations

import base64
import binascii
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.fetching.credentials import Login
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCKER_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
# What a helper gives as the user's name when the secret is an identity token.
_TOKEN_USER = "<token>"  # noqa: S105 - a word of the protocol
_HELPER_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """What stands for a user at the server that gives tokens."""

    secret: str = field(repr=False)


def find_login(registry: str, repository: str, environ: Mapping[str, str]) -> Login | IdentityToken | None:
    """Return the login for *repository* of *registry*, a host with its port; None if there is none."""
    for path in _files(environ):
        config = _read(path)
        login = None if config is None else _login_in(config, path, registry, repository, environ)
        if login is not None:
            return login
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = environ.get("HOME")
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if directory := environ.get("DOCKER_CONFIG") or (home and f"{home}/.docker"):
        yield Path(directory, "config.json")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    if config := environ.get("XDG_CONFIG_HOME") or (home and f"{home}/.config"):
        yield Path(config, "containers", "auth.json")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error.strerror}") from None
    except ValueError:  # its message would quote the file
        config = None
    if not isinstance(config, dict):
        raise BundleError(path, "is not a file of registry logins", want="JSON, as docker login writes it")
    return config


def _login_in(
    config: dict[str, Any], path: Path, registry: str, repository: str, environ: Mapping[str, str]
) -> Login | IdentityToken | None:
    keys = [_HUB_KEY, registry] if registry == DOCKER_HUB else [registry]
    helpers = config.get("credHelpers")
    for key in keys:
        if isinstance(helpers, dict) and isinstance(helper := helpers.get(key), str):
            return _ask_helper(helper, key, environ)
    if login := _written_login(config.get("auths"), path, keys, repository):
        return login
    if isinstance(helper := config.get("credsStore"), str) and helper:
        return _ask_helper(helper, keys[0], environ)
    return None


def _written_login(auths: object, path: Path, keys: list[str], repository: str) -> Login | IdentityToken | None:
    if not isinstance(auths, dict):
        return None
    plain = {_without_scheme(key): value for key, value in auths.items()}
    parts = repository.split("/")
    nearest = [f"{keys[-1]}/{'/'.join(parts[:n])}" for n in range(len(parts), 0, -1)]
    for key in [*nearest, *map(_without_scheme, keys)]:
        entry = plain.get(key)
        if isinstance(entry, dict) and entry:
            return _login_of(entry, path)
    return None


def _without_scheme(key: str) -> str:
    for scheme in ("https://", "http://"):
        if key.startswith(scheme):
            host, _, version = key.removeprefix(scheme).partition("/")
            return host if version.strip("/") in ("", "v1", "v2") else key.removeprefix(scheme)
    return key


def _login_of(entry: dict[str, Any], path: Path) -> Login | IdentityToken | None:
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return IdentityToken(token)
    if isinstance(user := entry.get("username"), str) and isinstance(password := entry.get("password"), str):
        return Login(user, password)
    if not (isinstance(auth := entry.get("auth"), str) and auth):
        return None
    try:
        name, colon, secret = base64.b64decode(auth, validate=True).decode().rstrip("\0").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name, colon, secret = "", "", ""
    if not colon:
        hint = "log in again with docker login or skopeo login"
        raise BundleError(path, "has a login that cannot be read", hint=hint)
    return Login(name, secret)


def _ask_helper(helper: str, server: str, environ: Mapping[str, str]) -> Login | IdentityToken | None:
    program = f"docker-credential-{helper}"
    try:
        answer = subprocess.run(
            [program, "get"],
            input=server,
            capture_output=True,
            text=True,
            check=False,
            env=dict(environ),
            timeout=_HELPER_TIMEOUT,
        )
    except FileNotFoundError:
        hint = "install it, or log in again without it"
        raise BundleError(program, "is not installed, but the docker configuration names it", hint=hint) from None
    except (OSError, subprocess.TimeoutExpired):
        raise BundleError(
            program, "cannot be run, or does not answer", hint=f"try: echo {server} | {program} get"
        ) from None
    if answer.returncode != 0:
        # With this message, helpers that work say that they have no login for the server.
        if "credentials not found" in answer.stdout + answer.stderr:
            return None
        hint = f"try: echo {server} | {program} get"
        raise BundleError(program, "failed", got=f"exit code {answer.returncode}", hint=hint)
    try:
        found = json.loads(answer.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError):
        raise BundleError(program, "returned no login", want="JSON with Username and Secret") from None
    return IdentityToken(secret) if user == _TOKEN_USER else Login(user, secret)
