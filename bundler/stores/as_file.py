"""A ``.pyz`` or a wheelhouse ↔ plain files in a directory or object store, with their sha256 in a side file.

    NAME             the .pyz                      NAME/…           the files of the wheelhouse
    NAME.sha256      "HEX  NAME", one line         NAME.sha256      "HEX  NAME/…", a line for each

* The side file is written last: whoever sees it can read everything. ``sha256sum --check NAME.sha256`` reads it.
* What exists complete and with the same contents is not sent again. Other contents stay, and are an error.
* Files are compared with the side file as they arrive, and verified together before they get their name: a ``.pyz`` as
  by ``bundle verify``, the wheels of a wheelhouse against its ``requirements.txt``. The digest to expect is that which
  ``create`` has printed. An interrupted download is resumed in ``.NAME.pull``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.archives.portable_paths import fault_of_name
from bundler.fetching.retries import retrying
from bundler.images.verification import verify
from bundler.reporters import Reporter
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, ContentError, TrustError, UsageError
from bundler.runtime.places import exchange, remove_tree
from bundler.stores.blobs import CHUNK, Blob, is_digest
from bundler.stores.partial_blobs import receive
from bundler.wheels.wheelhouse_layout import REQUIREMENTS, is_wheelhouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bundler.runtime.zstd import Decoder
    from bundler.stores.file_places import Files

SUFFIX = ".sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)", re.ASCII)
_MAX_SIDE_FILE = 4 << 20
_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Files that were moved. Sizes are in bytes; *digest* is what ``create`` calls the digest of the whole."""

    digest: str
    trust: str
    files: int
    size: int
    sent: int


def push_files(
    path: Path, place: Files, name: str, *, decode: Decoder, expect: str | None = None, reporter: Reporter | None = None
) -> Moved:
    """Write the ``.pyz`` or wheelhouse *path* to *place* as *name*."""
    reporter = reporter or Reporter()
    found = _files_of(path)
    digest, trust = _verify(path, Demands(expect), decode)
    hashes = {relative: _sha256(file) for relative, file in found.items()}
    side = _side_file(name, hashes)
    size = sum(file.stat().st_size for file in found.values())
    there = _read_side_file(place, name)
    if there == side:
        reporter.copying(len(found), size, present=size)
        return Moved(digest=digest, trust=trust, files=len(found), size=size, sent=0)
    if there is not None:
        hint = "choose another name, or remove the existing files first"
        raise BundleError(f"{place.where}/{name}", "exists already, with other contents", hint=hint)
    reporter.copying(len(found), size, present=0)
    for relative, file in found.items():
        _send(file, place, _remote_name(name, relative), hashes[relative], reporter)
    place.write(name + SUFFIX, iter([side]))
    return Moved(digest=digest, trust=trust, files=len(found), size=size, sent=size)


def pull_files(
    place: Files,
    name: str,
    out: Path,
    *,
    decode: Decoder,
    demands: Demands = Demands(),  # noqa: B008 - it is a tuple
    force: bool = False,
    reporter: Reporter | None = None,
) -> Moved:
    """Write the files that *place* has under *name* to *out*, which is replaced only with *force*."""
    reporter = reporter or Reporter()
    out = out.absolute()
    if os.path.lexists(out) and not force:
        raise BundleError(out, "exists already", hint="replace it with --force, or choose another name")
    if not out.parent.is_dir():
        raise BundleError(out, "cannot be written: its directory does not exist", hint=f"mkdir -p {out.parent}")
    side = _read_side_file(place, name)
    if side is None:
        hint = f"{name}{SUFFIX} is missing, which is written last; a bundle in a store is pulled without --as-file"
        raise BundleError(f"{place.where}/{name}", "does not exist, or is not complete", hint=hint)
    hashes = _parse_side_file(side, name, f"{place.where}/{name}{SUFFIX}")
    staging = out.with_name(f".{out.name}.pull")
    blobs = {relative: _describe(place, _remote_name(name, relative), sha256) for relative, sha256 in hashes.items()}
    arrived = staging / "arrived"
    there = [blob.size for relative, blob in blobs.items() if (arrived / relative).is_file()]
    reporter.copying(len(blobs), sum(blob.size for blob in blobs.values()), present=sum(there))
    sent = 0
    for relative, blob in blobs.items():
        sent += _fetch(place, _remote_name(name, relative), blob, staging, arrived / relative, reporter)
    try:
        digest, trust = _verify(arrived, demands, decode)
        _publish(arrived, out)
    except (ContentError, TrustError):
        shutil.rmtree(staging)
        raise
    shutil.rmtree(staging)
    size = sum(blob.size for blob in blobs.values())
    return Moved(digest=digest, trust=trust, files=len(blobs), size=size, sent=sent)


def _files_of(path: Path) -> dict[str, Path]:
    """Return the files to move by their names below *path*; the name of a single file is empty."""
    if path.is_file():
        return {"": path}
    if is_wheelhouse(path):
        return {f"{file.relative_to(path)}": file for file in sorted(path.rglob("*")) if file.is_file()}
    if not path.exists():
        raise BundleError(path, "does not exist", want="a .pyz or a wheelhouse")
    hint = "a packed directory is pushed without --as-file, blob by blob"
    raise UsageError(path, "is neither a file nor a wheelhouse", hint=hint)


def _remote_name(name: str, relative: str) -> str:
    return f"{name}/{relative}" if relative else name


def _verify(path: Path, demands: Demands, decode: Decoder) -> tuple[str, str]:
    """Verify the ``.pyz`` or wheelhouse *path*; return its digest, and ``verified`` or ``self-consistent``."""
    expect = demands.expect
    if expect is not None and not is_digest(expect):
        raise UsageError("expected digest", "is not a digest", got=expect, want="sha256: and 64 hex digits")
    if path.is_file():
        verdict = verify(str(path), demands, decode=decode)
        return verdict.image.digest, verdict.trust
    if demands.keys or demands.min_serial:
        raise TrustError(path, "is a wheelhouse, which is not signed", hint="give --expect instead", rule="B18")
    digest = f"sha256:{_sha256(path / REQUIREMENTS)}"
    if expect not in (None, digest):
        raise TrustError(path, "is another wheelhouse than expected", got=digest, want=expect, rule="B17")
    listed = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", (path / REQUIREMENTS).read_text(encoding="utf-8")))
    present = {_sha256(file): file for file in _files_of(path).values() if file != path / REQUIREMENTS}
    for sha256 in present.keys() ^ listed:
        where = present.get(sha256, path)
        got, want = (sha256, None) if sha256 in present else (None, sha256)
        raise ContentError(where, f"is not what {REQUIREMENTS} names", got=got, want=want, rule="A1")
    return digest, "self-consistent" if expect is None else "verified"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# The side file


def _side_file(name: str, hashes: Mapping[str, str]) -> bytes:
    return "".join(
        f"{sha256}  {_remote_name(name, relative)}\n" for relative, sha256 in sorted(hashes.items())
    ).encode()


def _read_side_file(place: Files, name: str) -> bytes | None:
    size = retrying(lambda: place.size(name + SUFFIX), place.where)
    if size is None:
        return None
    if size > _MAX_SIDE_FILE:
        raise ContentError(f"{place.where}/{name}{SUFFIX}", "is no side file", got=f"{size} bytes", rule="B15")
    return retrying(lambda: b"".join(place.read(name + SUFFIX)), place.where)


def _parse_side_file(data: bytes, name: str, where: str) -> dict[str, str]:
    """Return the sha256 of each file below *name*; that of *name* itself has an empty key."""
    hashes: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line)
        relative = match[2].removeprefix(name).removeprefix("/") if match else ""
        if (
            not match
            or match[2] != _remote_name(name, relative)
            or relative in hashes
            or (relative and _is_unsafe(relative))
        ):
            raise ContentError(where, "is no side file", got=line[:100], want=f"HEX  {name}", rule="A7")
        hashes[relative] = match[1]
    if not hashes or ("" in hashes and len(hashes) > 1):
        raise ContentError(where, "is no side file", got=f"{len(hashes)} files", rule="A7")
    return hashes


def _is_unsafe(relative: str) -> bool:
    return fault_of_name(relative) is not None


# Moving


def _send(path: Path, place: Files, name: str, sha256: str, reporter: Reporter) -> None:
    """Write *path* to *place* as *name*; raise ``BundleError`` if it has changed meanwhile."""

    def chunks() -> Iterator[bytes]:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                if file.tell() >= size and digest.hexdigest() != sha256:
                    raise BundleError(path, "has changed while it was read")
                reporter.copied(name, len(chunk))
                yield chunk

    size = path.stat().st_size
    retrying(lambda: place.write(name, chunks()), place.where)


def _describe(place: Files, name: str, sha256: str) -> Blob:
    size = retrying(lambda: place.size(name), place.where)
    if size is None:
        raise ContentError(f"{place.where}/{name}", "is missing", rule="C19")
    return Blob(digest=f"sha256:{sha256}", size=size, media_type=_TYPE)


def _fetch(place: Files, name: str, blob: Blob, staging: Path, final: Path, reporter: Reporter) -> int:
    """Download the file *name* of *place* to *final*, or resume; return how many bytes were transferred."""
    if final.is_file() and _sha256(final) == blob.hex:
        return 0
    final.unlink(missing_ok=True)
    sent = 0

    def read(offset: int) -> Iterator[bytes]:
        nonlocal sent
        for chunk in place.read(name, offset):
            sent += len(chunk)
            reporter.copied(name, len(chunk))
            yield chunk

    retrying(lambda: receive(blob, staging / "parts" / blob.hex, final, read), f"{place.where}/{name}")
    return sent


def _publish(arrived: Path, out: Path) -> None:
    """Move *arrived* to *out*, in place of an older artifact."""
    try:
        if out.is_dir() and not out.is_symlink():
            if not is_wheelhouse(out):
                hint = "remove it yourself, or choose another name"
                raise BundleError(out, "is no wheelhouse, and stays", hint=hint)
            old = arrived
            if not exchange(str(arrived), str(out)):
                old = arrived.with_name("old")
                out.rename(old)
                arrived.rename(out)
            remove_tree(str(old))
        else:
            arrived.replace(out)
    except OSError as error:
        raise BundleError(out, f"cannot be written: {error.strerror}") from error
