"""A command of uv → its run, with the indexes that the user has configured.

* uv's own settings change nothing: its environment is ours without the variables that would.
* No credentials in errors or on the command line, which others on this host can read.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from typing import TYPE_CHECKING

import uv

from bundler.fetching.certificates import authorities
from bundler.fetching.index_options import redacted_text
from bundler.resolving.uv.unsolved import Unsolved
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.fetching.index_options import IndexOptions

# Variables that would change uv's answer, by prefix: it does not get them.
_DROPPED = ("UV_", "PIP_", "VIRTUAL_ENV", "CONDA_")

# "unsafe" since a stranger may publish a private project's name at a public index, with a higher version.
_STRATEGIES = {"best": "unsafe-best-match", "first": "first-index"}


def run_uv(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run uv; return what it says beside its answer. Raise ``Unsolved`` with what it prints if it fails."""
    try:
        answer = subprocess.run(
            [uv.find_uv_bin(), *arguments], capture_output=True, text=True, check=False, env=environment
        )
    except OSError as error:
        reason = error.strerror or "it is not installed"
        raise BundleError(
            "uv", f"cannot be run: {reason}", hint="install bundler again, with its dependencies"
        ) from None
    if answer.returncode < 0 or (answer.returncode != 0 and not answer.stderr.strip()):
        raise BundleError("uv", f"ended with status {answer.returncode} and no explanation", hint="try again")
    if answer.returncode != 0:
        raise Unsolved(redacted_text(answer.stderr))
    return redacted_text(answer.stderr)


def write_lines(path: Path, lines: Sequence[str]) -> list[str]:
    """Write *lines*, if there are any, to *path*; return the arguments that name it for uv."""
    if not lines:
        return []
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [str(path)]


def write_index_file(indexes: IndexOptions, scratch: Path) -> list[str]:
    """Write what may hold credentials and fits into no variable of uv to a file that only we can read."""
    lines = [f"--find-links {place}" for place in indexes.find_links if "://" in place]
    return write_lines(scratch / "indexes.txt", lines)


def index_arguments(indexes: IndexOptions, environ: Mapping[str, str]) -> list[str]:
    """Return the options that name *indexes* and hold no credentials."""
    arguments = ["--index-strategy", _STRATEGIES[indexes.strategy]]
    arguments += ["--no-index"] if indexes.no_index else []
    for place in indexes.find_links:
        arguments += [f"--find-links={place}"] if "://" not in place else []
    for host in indexes.trusted_hosts:
        arguments += [f"--allow-insecure-host={host}"]
    if shutil.which("keyring", path=environ.get("PATH")):
        arguments += ["--keyring-provider", "subprocess"]
    return arguments


def uv_environment(indexes: IndexOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without what would change uv's answer, and with what pip was told."""
    environment = {key: value for key, value in environ.items() if not key.startswith(_DROPPED)}
    environment["COLUMNS"] = "10000"  # uv breaks the lines of its messages there
    environment["UV_HTTP_TIMEOUT"] = str(max(1, math.ceil(indexes.timeout)))
    environment["UV_HTTP_RETRIES"] = str(indexes.retries)
    environment["UV_SYSTEM_CERTS"] = environment["UV_NATIVE_TLS"] = "true"  # the newer and the older name
    if indexes.index_url and not indexes.no_index:
        environment["UV_DEFAULT_INDEX"] = indexes.index_url
    if indexes.extra_index_urls and not indexes.no_index:
        environment["UV_INDEX"] = " ".join(indexes.extra_index_urls)
    if indexes.proxy:
        for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
            environment[name] = environment[name.lower()] = indexes.proxy
    named = authorities(indexes.cert, environ)
    if named is not None and not named.named_by.startswith("SSL_CERT_"):
        environment.pop("SSL_CERT_FILE", None)
        environment.pop("SSL_CERT_DIR", None)
        environment |= named.environment
    if indexes.client_cert:
        environment["SSL_CLIENT_CERT"] = str(indexes.client_cert)
    return environment
