"""A repository of a registry as a store: the OCI distribution protocol, version 1.1.

* ``oci://registry/repository:tag`` or ``…@sha256:…``. A registry on this machine is used without TLS, as docker and
  podman do; ``oci+http://`` does so for any other, which should be inside a trusted network.
* A small blob goes in one request. A large one is streamed, and resumed at the offset that the registry reports. Both
  sides compare the digest at the end.
* A blob that another repository of the same registry has is mounted from there.
* Referrers are listed by the referrers API or, on registries without it, by the fallback tag of the specification.
* Nothing is removed: a registry collects its garbage itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode, urljoin, urlsplit

from bundler.fetching.credentials import split_login
from bundler.fetching.index_options import redacted
from bundler.fetching.retries import TransientError
from bundler.runtime.documents import INDEX_TYPE, MANIFEST_TYPE, Fields, digest_of, parse_json, to_json
from bundler.runtime.errors import BundleError, UsageError
from bundler.stores.blobs import Blob, is_digest, wrong_blob
from bundler.stores.registry_client import Client
from bundler.stores.registry_logins import DOCKER_HUB
from bundler.stores.store import DEFAULT_NAME, Held, Store, check_name

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping

    from bundler.stores.blobs import Reader

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]+){3}|::1", re.ASCII)
_FALLBACK = re.compile(r"sha256-[0-9a-f]{64}", re.ASCII)
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]+)", re.ASCII)
_NEXT = re.compile(r'<([^>]*)>\s*;.*\brel="?next"?', re.ASCII)
_ACCEPT = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
_BINARY = {"Content-Type": "application/octet-stream"}
_SMALL = 4 << 20
_AT_ONCE = 8
_MAX_PAGES = 1000
_NOT_FOUND = 404
_CREATED = 201


def open_registry(url: str, environ: Mapping[str, str]) -> tuple[RegistryStore, str]:
    """Return the repository of *url* and the tag or digest that *url* gives."""
    plain, login = split_login(url)
    parts = urlsplit(plain)
    path, name = parts.path.strip("/"), DEFAULT_NAME
    if "@" in path:
        path, _, name = path.partition("@")
        path = path.partition(":")[0]  # a tag in front of a digest is ignored
    elif ":" in path:
        path, _, name = path.partition(":")
    registry = parts.netloc
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if not registry or not _REPOSITORY.fullmatch(path) or parts.query:
        hint = "a repository's name is in lower case, with '.', '_', '-' and '/' inside"
        want = "oci://registry/repository:tag"
        raise UsageError("URL", "names no repository", got=redacted(url), want=want, hint=hint)
    host = "registry-1.docker.io" if registry == DOCKER_HUB else registry
    unencrypted = parts.scheme == "oci+http" or _LOOPBACK.fullmatch(parts.hostname or "")
    client = Client(f"{'http' if unencrypted else 'https'}://{host}", registry, path, environ, login)
    return RegistryStore(client, registry, path), check_name(name, redacted(url))


@dataclass(slots=True)
class _Upload:
    """A blob being uploaded: the URL to send to, and the hash of its first *hashed* bytes."""

    location: str
    hasher: Any = field(default_factory=hashlib.sha256)
    hashed: int = 0


class RegistryStore(Store):
    """The *repository* of a *registry*, to which *client* talks."""

    def __init__(self, client: Client, registry: str, repository: str) -> None:
        self.where = f"oci://{registry}/{repository}"
        self.registry = registry
        self.repository = repository
        self._client = client
        self._root = f"/v2/{repository}"
        self._pull = f"repository:{repository}:pull"
        self._push = f"repository:{repository}:pull,push"
        self._uploads: dict[str, _Upload] = {}
        self._lock = threading.Lock()

    def end(self) -> None:
        self._client.end()

    def close(self) -> None:
        self._client.close()

    # Blobs

    def has(self, blobs: Collection[Blob]) -> set[str]:
        with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(blobs))), "head") as executor:
            found = list(executor.map(self._has, blobs))
        return {blob.digest for blob, there in zip(blobs, found, strict=True) if there}

    def _has(self, blob: Blob) -> bool:
        answer = self._client.ask("HEAD", self._url(blob), scope=self._pull, headers=_ACCEPT, ok=(200, 404))
        return answer.status == 200 and answer.headers.get("Content-Length", str(blob.size)) == str(blob.size)  # noqa: PLR2004

    def _url(self, blob: Blob) -> str:
        return f"{self._root}/{'manifests' if blob.is_manifest else 'blobs'}/{blob.digest}"

    def read(self, blob: Blob, offset: int = 0) -> Generator[bytes, None, None]:
        if offset and offset >= blob.size:
            return
        accept = _ACCEPT if blob.is_manifest else {}
        stream = self._client.stream(
            self._url(blob), scope=self._pull, headers=accept, offset=offset, ok=(200, 206, _NOT_FOUND)
        )
        with contextlib.closing(stream):
            status, chunks = next(stream)
            if status == _NOT_FOUND:
                raise self.missing(blob.digest)
            for chunk in chunks:
                offset += len(chunk)
                yield chunk
        if offset < blob.size:
            raise TransientError("the connection broke")

    def write(self, blob: Blob, read: Reader) -> None:
        if blob.is_manifest:
            data = b"".join(read(0))
            if Blob.of(data, blob.media_type).digest != blob.digest:
                raise wrong_blob(blob, self.where, digest_of(data), blob.digest)
            self._put_manifest(blob.digest, blob, data)
        elif blob.size <= _SMALL:
            self._write_small(blob, read)
        else:
            self._write_large(blob, read)

    def _put_manifest(self, reference: str, manifest: Blob, data: bytes) -> None:
        url = f"{self._root}/manifests/{reference}"
        headers = {"Content-Type": manifest.media_type}
        self._client.ask("PUT", url, scope=self._push, headers=headers, body=data, ok=(_CREATED,))

    def _write_small(self, blob: Blob, read: Reader) -> None:
        """Send a blob in one request."""
        upload = self._begin(blob)
        data = b"".join(self._hash_chunks(blob, read, upload, 0))
        self._finish(blob, upload, data)

    def _write_large(self, blob: Blob, read: Reader) -> None:
        """Send a blob as a stream, resuming an earlier attempt."""
        upload, offset = self._resume(blob)
        if offset < blob.size:
            headers = {**_BINARY, "Content-Length": str(blob.size - offset)}
            if offset:
                headers["Content-Range"] = f"{offset}-{blob.size - 1}"
            answer = self._client.ask(
                "PATCH",
                upload.location,
                scope=self._push,
                headers=headers,
                body=lambda: self._hash_chunks(blob, read, upload, offset),
                ok=(202, 404, 416),
            )
            if answer.status != 202:  # noqa: PLR2004 - an HTTP status
                self._forget(blob)
                raise TransientError("the registry has lost the upload")
            upload.location = _location(answer.headers, answer.url)
        self._finish(blob, upload, b"")

    def _hash_chunks(self, blob: Blob, read: Reader, upload: _Upload, offset: int) -> Iterator[bytes]:
        """Yield the bytes of *blob* from *offset* on, the last of them only if all of them are right."""
        last = b""
        try:
            for chunk in read(offset):
                offset += len(chunk)
                if offset > blob.size:
                    raise wrong_blob(blob, self.where, f"{offset} bytes or more", f"{blob.size} bytes")
                if (new := offset - upload.hashed) > 0:
                    upload.hasher.update(chunk[-new:])
                    upload.hashed = offset
                if last:
                    yield last
                last = chunk
            if offset != blob.size:
                raise wrong_blob(blob, self.where, f"{offset} bytes", f"{blob.size} bytes")
            if (got := f"sha256:{upload.hasher.hexdigest()}") != blob.digest:
                raise wrong_blob(blob, self.where, got, blob.digest)
        except BundleError:
            self._abort(blob, upload)
            raise
        if last:
            yield last

    def _resume(self, blob: Blob) -> tuple[_Upload, int]:
        """Return the upload of *blob* and how many bytes of it the registry has."""
        with self._lock:
            upload = self._uploads.get(blob.digest)
        if upload is not None:
            answer = self._client.ask("GET", upload.location, scope=self._push, ok=(202, 204, 404))
            match = _RANGE.fullmatch(answer.headers.get("Range", ""))
            if answer.status != _NOT_FOUND and match:
                upload.location = _location(answer.headers, answer.url)
                there = int(match[1]) + 1
                # Registries report "0-0" for one byte and for none.
                there = 0 if there == 1 else there
                if there <= upload.hashed:
                    return upload, there
        return self._begin(blob), 0

    def _begin(self, blob: Blob) -> _Upload:
        answer = self._client.ask("POST", f"{self._root}/blobs/uploads/", scope=self._push, body=b"", ok=(202,))
        return self._keep(blob, _Upload(_location(answer.headers, answer.url)))

    def _keep(self, blob: Blob, upload: _Upload) -> _Upload:
        with self._lock:
            self._uploads[blob.digest] = upload
        return upload

    def _forget(self, blob: Blob) -> None:
        with self._lock:
            self._uploads.pop(blob.digest, None)

    def _abort(self, blob: Blob, upload: _Upload) -> None:
        """Cancel an upload, if the registry can be reached."""
        self._forget(blob)
        with contextlib.suppress(BundleError, TransientError):
            self._client.ask("DELETE", upload.location, scope=self._push, ok=(202, 204, 404, 405))

    def _finish(self, blob: Blob, upload: _Upload, data: bytes) -> None:
        mark = "&" if "?" in upload.location else "?"
        url = f"{upload.location}{mark}{urlencode({'digest': blob.digest})}"
        answer = self._client.ask(
            "PUT", url, scope=self._push, headers=_BINARY, body=data, ok=(_CREATED, 204, 400, _NOT_FOUND)
        )
        self._forget(blob)
        if answer.status == _NOT_FOUND:
            raise TransientError("the registry has lost the upload")
        if answer.status == 400:  # noqa: PLR2004 - an HTTP status
            raise TransientError("the registry has received other bytes than were sent")

    def adopt(self, blob: Blob, source: Store) -> bool:
        if not isinstance(source, RegistryStore) or source.registry != self.registry or blob.is_manifest:
            return False
        query = urlencode({"mount": blob.digest, "from": source.repository})
        both = f"{self._push} repository:{source.repository}:pull"
        url = f"{self._root}/blobs/uploads/?{query}"
        answer = self._client.ask("POST", url, scope=both, body=b"", ok=(_CREATED, 202, 401, 403, 404, 405))
        if answer.status == 202:  # noqa: PLR2004 - an upload was begun instead
            self._abort(blob, _Upload(_location(answer.headers, answer.url)))
        return answer.status == _CREATED

    # Names

    def find(self, name: str) -> Blob | None:
        url = f"{self._root}/manifests/{name}"
        answer = self._client.ask("HEAD", url, scope=self._pull, headers=_ACCEPT, ok=(200, 404))
        if answer.status == _NOT_FOUND:
            return None
        digest = answer.headers.get("Docker-Content-Digest", name)
        size = answer.headers.get("Content-Length", "")
        if not is_digest(digest) or not size.isdigit():
            answer = self._client.ask("GET", url, scope=self._pull, headers=_ACCEPT)
            digest, size = digest_of(answer.body), str(len(answer.body))
        media_type = answer.headers.get("Content-Type", MANIFEST_TYPE).partition(";")[0].strip()
        return Blob(digest=digest, size=int(size), media_type=media_type)

    def set_name(self, name: str, manifest: Blob, data: bytes) -> None:
        self._put_manifest(name, manifest, data)

    def names(self) -> list[str]:
        names: list[str] = []
        for answer in self._pages(f"{self._root}/tags/list"):
            tags = Fields(parse_json(answer, self.where), self.where).value.get("tags") or []
            names += [tag for tag in tags if isinstance(tag, str) and not _FALLBACK.fullmatch(tag)]
        return names

    def _pages(self, url: str) -> Iterator[bytes]:
        """Yield the answer of *url* and the pages that follow it by ``Link``; nothing if it does not exist."""
        for _ in range(_MAX_PAGES):
            answer = self._client.ask("GET", url, scope=self._pull, headers={"Accept": "*/*"}, ok=(200, 404))
            if answer.status == _NOT_FOUND:
                return
            yield answer.body
            match = _NEXT.search(answer.headers.get("Link", ""))
            if not match:
                return
            url = urljoin(answer.url, match[1])

    def remove_name(self, name: str) -> NoReturn:
        self._refuse()

    # Referrers

    def referrers(self, digest: str) -> list[Blob]:
        url = f"{self._root}/referrers/{digest}"
        answer = self._client.ask("GET", url, scope=self._pull, headers={"Accept": INDEX_TYPE}, ok=(200, 400, 404))
        if answer.status == 200 and INDEX_TYPE in answer.headers.get("Content-Type", ""):  # noqa: PLR2004
            pages = self._pages(f"{self._root}/referrers/{digest}")
            return [blob for page in pages for blob in self._parse_index(page)]
        return self._tagged_referrers(digest)

    def _tagged_referrers(self, digest: str) -> list[Blob]:
        """Return what the index under the tag ``sha256-…`` lists."""
        url = f"{self._root}/manifests/{digest.replace(':', '-')}"
        answer = self._client.ask("GET", url, scope=self._pull, headers={"Accept": INDEX_TYPE}, ok=(200, 404))
        return [] if answer.status == _NOT_FOUND else self._parse_index(answer.body)

    def _parse_index(self, data: bytes) -> list[Blob]:
        fields = Fields(parse_json(data, f"{self.where}: referrers"), f"{self.where}: referrers")
        return [Blob.from_fields(item) for item in fields.items("manifests")]

    def add_referrer(self, digest: str, referrer: Blob) -> None:
        # A registry with the API knows it already: it has read the manifest.
        for _ in range(_AT_ONCE):
            known = self.referrers(digest)
            if any(blob.digest == referrer.digest for blob in known):
                return
            index = {
                "schemaVersion": 2,
                "mediaType": INDEX_TYPE,
                "manifests": [blob.to_json() for blob in [*known, referrer]],
            }
            data = to_json(index)
            # Another client may replace the index at the same time: read it again afterwards.
            self._put_manifest(digest.replace(":", "-"), Blob.of(data, INDEX_TYPE), data)
        raise BundleError(self.where, "does not keep a new entry in the index of referrers", got=referrer.digest)

    # Removing

    def held(self) -> Iterator[Held]:
        self._refuse()

    def remove(self, digest: str, *, before: float) -> NoReturn:
        self._refuse()

    def remove_referrers(self, digest: str) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        hint = "delete tags with the registry's own tools; it removes what no tag needs"
        raise UsageError(self.where, "is a registry, which removes blobs itself", hint=hint)


def _location(headers: Mapping[str, str], url: str) -> str:
    """Return the URL to upload to, from the *headers* of an answer of *url*."""
    location = headers.get("Location")
    if not location:
        raise BundleError(redacted(url), "does not return a URL to upload to", hint="is it the address of a registry?")
    joined = urljoin(url, location)
    if urlsplit(joined).scheme not in ("https", urlsplit(url).scheme):
        raise BundleError(redacted(url), "returns a URL that is not encrypted to upload to", got=redacted(joined))
    return joined
