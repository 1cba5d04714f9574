"""A bundle in a store → an artifact on disk: a ``.pyz``, a packed directory or a tree.

* Blobs arrive in ``.NAME.pull`` beside the artifact, a store of its own. An interrupted pull is resumed there, even
  in the middle of a blob; a successful one removes it.
* Blobs that the artifact to be replaced already has are copied from it, and do not travel.
* The artifact is written under a private name, verified there byte by byte, and only then renamed to its final one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.caching.file_locks import UNSUPPORTED, lock_file
from bundler.images.carriers import check_output, write_carrier
from bundler.images.oci_image import Image
from bundler.images.verification import verify
from bundler.runtime.carriers import open_carrier
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError, ContentError
from bundler.runtime.frames import processors
from bundler.runtime.images import load_image
from bundler.runtime.referrers import MAX_SIGNATURES
from bundler.runtime.signatures import BUNDLE_TYPE, MAX_SIGNATURE, parse_signature
from bundler.signing.referrers import attach
from bundler.stores.blobs import CHUNK, is_digest, read_links
from bundler.stores.bundle_documents import read_image
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import Copied, copy
from bundler.stores.oci_layouts import LayoutStore
from bundler.stores.store import DEFAULT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.images.carriers import Format
    from bundler.reporters import Reporter
    from bundler.runtime.zstd import Decoder
    from bundler.stores.blobs import Blob
    from bundler.stores.copying import Options
    from bundler.stores.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """An artifact that was pulled; *size* in bytes is what it has on disk.

    *trust* is as ``verify`` says it, *signed_by* the fingerprint of the key that was demanded and has signed it.
    """

    path: Path
    form: Format
    size: int
    trust: str
    signed_by: str | None
    copied: Copied


def pull(
    source: Store,
    name: str,
    out: Path,
    *,
    form: Format,
    decode: Decoder,
    demands: Demands = Demands(),  # noqa: B008 - it is a tuple
    force: bool = False,
    options: Options | None = None,
    reporter: Reporter | None = None,
) -> Pulled:
    """Write the bundle *name* of *source*, which must meet *demands*, to *out*; its signatures come along.

    Raise a ``BundleError`` if anything is wrong; *out* is then unchanged. The blobs that have arrived are kept for the
    next pull, unless they are wrong.
    """
    out = out.absolute()
    check_output(out, form=form, force=force)
    if demands.expect is None and is_digest(name):
        demands = demands._replace(expect=name)
    staging = staging_of(out)
    signed_by: str | None = None
    with _hold(staging) as arrivals, contextlib.ExitStack() as stack:
        if force and os.path.lexists(out):
            arrivals.take_from(stack, out)
        copied = copy(source, name, arrivals, DEFAULT_NAME, expect=demands.expect, options=options, reporter=reporter)
        try:
            image = _image(arrivals, copied.digest)
            signatures = _signatures(arrivals, copied.digest)

            def check(path: Path) -> None:
                nonlocal signed_by
                for signature in signatures:
                    with open_carrier(str(path)) as carrier:
                        attach(carrier, signature)
                if form == "tree":  # every file was compared when it was written
                    with open_carrier(str(path)) as carrier:
                        loaded = load_image(carrier, copied.digest)
                        signed_by = demands.check(carrier, copied.digest, loaded.config)
                else:
                    signed_by = verify(str(path), demands._replace(expect=copied.digest), decode=decode).signed_by

            size = write_carrier(
                image,
                out,
                form=form,
                force=force,
                decode=decode,
                jobs=processors(),
                check=check,
            )
        except ContentError:
            shutil.rmtree(staging)  # it is complete and wrong: of no use to the next pull
            raise
        shutil.rmtree(staging)
    trust = "verified" if demands.expect or signed_by else "self-consistent"
    return Pulled(path=out, form=form, size=size, trust=trust, signed_by=signed_by, copied=copied)


def staging_of(out: Path) -> Path:
    """Return the directory in which the blobs of *out* arrive."""
    return out.with_name(f".{out.name}.pull")


class _Arrivals(LayoutStore):
    """The store in which blobs arrive; it adopts those that local bundles have already."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._near: list[BundleStore] = []

    def take_from(self, stack: contextlib.ExitStack, path: Path) -> None:
        """Adopt blobs from the bundle at *path*, if there is one, until *stack* ends."""
        with contextlib.suppress(BundleError):
            self._near.append(stack.enter_context(BundleStore(path)))

    def adopt(self, blob: Blob, source: Store) -> bool:
        for near in self._near:
            if near.has([blob]):
                with contextlib.suppress(ContentError):  # damaged: let it travel
                    self.write(blob, lambda offset, near=near: near.read(blob, offset))  # type: ignore[misc]
                    return True
        return False


@contextlib.contextmanager
def _hold(root: Path) -> Iterator[_Arrivals]:
    """Lock the store at *root* and yield it; remove it at the end if it is empty."""
    lock = None
    try:
        root.mkdir(exist_ok=True)
        lock = lock_file(root, create=False)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise BundleError(root, f"cannot be written: {error.strerror}") from error
    else:
        if lock is None or not root.exists():
            raise BundleError(root, "another process is pulling into it", hint="wait until it has ended")
    try:
        with contextlib.suppress(FileNotFoundError):
            (root / "index.json").unlink()  # left by the last attempt, of which only the blobs are used
        yield _Arrivals(root)
    finally:
        with contextlib.suppress(OSError):
            root.rmdir()
        if lock is not None:
            os.close(lock)


def _image(arrivals: LayoutStore, digest: str) -> Image:
    """Return the image *digest* that has arrived, as carriers take it."""
    manifest = arrivals.find(digest)
    assert manifest is not None  # noqa: S101 - it was copied just now
    read = read_image(arrivals, manifest)
    files = {layer.digest: arrivals.path(layer.digest) for layer in read.manifest.layers[1:-1]}
    small = (digest, read.manifest.config.digest, read.manifest.layers[0].digest, read.manifest.layers[-1].digest)
    return Image(
        digest=digest,
        tree_digest=read.config.tree_digest,
        tree=read.tree,
        manifest=read.manifest,
        documents={file.path: read.documents[file.path] for file in (*read.tree.documents, *read.tree.launch.files)},
        blobs={**{item: arrivals.path(item).read_bytes() for item in small}, **files},
        crcs={item: _crc(path) for item, path in files.items()},
    )


def _signatures(arrivals: LayoutStore, digest: str) -> list[bytes]:
    """Return the signatures of *digest* that have arrived; what else refers to it stays in the store."""
    found = []
    for referrer in arrivals.referrers(digest):
        if referrer.artifact_type != BUNDLE_TYPE:
            continue
        links = read_links(arrivals.document(referrer), f"{arrivals.where}: {referrer.digest}")
        for blob in links.blobs:
            if blob.media_type == BUNDLE_TYPE and blob.size <= MAX_SIGNATURE:
                data = arrivals.path(blob.digest).read_bytes()
                with contextlib.suppress(ContentError):  # anybody may push an invalid one: it is left out
                    parse_signature(data, digest, referrer.digest)
                    found.append(data)
    return found[:MAX_SIGNATURES]


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc
