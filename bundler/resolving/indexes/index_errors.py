"""What an index answers that cannot be used → an error that says which index, why, and what to type.

* uv takes a refusal (401, 403) for "not found". Each index is asked again before that is said.
* A certificate that cannot be verified names the file of certificates that was used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.fetching.certificates import certificate_hint
from bundler.fetching.http_transport import CREDENTIALS_HINT, HANDSHAKE_HINT, RefusedError
from bundler.fetching.index_options import places, redacted
from bundler.fetching.index_pages import read_index_pages
from bundler.resolving.indexes.asked_indexes import indexes_of
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundler.fetching.index_options import IndexOptions

_FETCHED = re.compile(r"(?:Failed to fetch|Failed to read `--find-links` \w+): `?(?P<url>\S+?)`?(?:\s|$)")
_AT = re.compile(r"for url \((?P<url>[^)\s]+)\)")
_REFUSED = re.compile(r"\((?P<status>40[13] \w+)\)")
_CERTIFICATE = re.compile(r"(?:invalid peer certificate|certificate)[^;]*", re.IGNORECASE)
_HANDSHAKE = re.compile(r"received (?:corrupt message|fatal alert)[^;]*")


def index_error(
    text: str, reasons: Sequence[str], indexes: IndexOptions, environ: Mapping[str, str]
) -> BundleError | None:
    """Return the error for *text*, what uv printed, in which *reasons* are, if a place cannot be used."""
    fetched = _FETCHED.search(text)
    if fetched is None and "://" not in " ".join(reasons):
        return None
    where = fetched["url"] if fetched else "index"
    if refused := _REFUSED.search(text):
        at = _AT.search(text)
        where = at["url"] if at else where
        return RefusedError(where, "access is refused", got=refused["status"], hint=CREDENTIALS_HINT)
    causes = "; ".join(dict.fromkeys(reasons))
    if "error sending request" in text and (reason := _HANDSHAKE.search(causes)):
        return BundleError(where, f"TLS failed: {reason[0]}", hint=HANDSHAKE_HINT)
    if "error sending request" in text and (reason := _CERTIFICATE.search(causes)):
        what = f"the server's certificate cannot be verified: {reason[0].rstrip('. ')}"
        return BundleError(where, what, hint=certificate_hint(indexes.cert, environ))
    hint = f"check the network and the index ({places(indexes)}): pip config list"
    return BundleError(where, f"cannot be used: {causes}", hint=hint)


def refusal(name: str, indexes: IndexOptions, environ: Mapping[str, str]) -> BundleError | None:
    """Return the error where an index refuses to say whether it has the project *name*; None if none does."""
    project = canonicalize_name(name)
    pages = read_index_pages([(index, project) for index in indexes_of(indexes, project)], indexes, environ)
    refused = [page for page in pages if page.refused is not None]
    if not refused:
        return None
    where = " and ".join(sorted(redacted(page.index) for page in refused))
    got = ", ".join(sorted({str(page.refused) for page in refused}))
    others, more = "", ""
    if any(page.files for page in pages):
        others = f", and another index that has {name} is not asked after a refusal"
        more = "; or leave --index-strategy first away"
    elif len(refused) < len(pages):
        others = f", and no other index has {name}"
        more = "; some indexes also refuse what they do not have"
    return RefusedError(where, f"access to {name} is refused{others}", got=got, hint=f"{CREDENTIALS_HINT}{more}")
