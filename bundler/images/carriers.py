"""An image → an artifact on disk: a ``.pyz``, a packed directory or a tree.

* All carry the same blobs; the runtime inside reads them.
* An artifact is written under a private name beside its final one and appears complete or not at all; what is there
  already stays unless it is to be replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bundler.archives.zip_writer import LIMIT, ZipWriter, zip_size
from bundler.runtime.carriers import LAYOUT, Carrier, Member, member_of, open_carrier
from bundler.runtime.documents import INDEX_TYPE, MANIFEST_TYPE, Descriptor
from bundler.runtime.errors import BundleError, ContentError
from bundler.runtime.images import load_image
from bundler.runtime.places import Staging
from bundler.runtime.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundler.images.oci_image import Image
    from bundler.runtime.zstd import Decoder

Format = Literal["pyz", "packed", "tree"]
Check = Callable[[Path], None]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Content:
    """What a member holds: bytes, or a file with its size in bytes and CRC-32."""

    data: bytes | Path
    size: int
    crc: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes; what comes from the cache is compared with its CRC on the way."""
        if isinstance(self.data, bytes):
            yield self.data
            return
        crc = size = 0
        with self.data.open("rb") as file:
            while chunk := file.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
                yield chunk
        if (size, crc) != (self.size, self.crc):
            raise ContentError(self.data, "is damaged in the cache", hint="bundle cache clear, and create again")


def write_carrier(
    image: Image,
    out: Path,
    *,
    form: Format,
    force: bool,
    decode: Decoder,
    jobs: int,
    check: Check | None = None,
) -> int:
    """Write *image* to *out*; return how many bytes the artifact has.

    *check* sees the complete artifact under its private name, and raises if it is not to get its final one.
    Raise ``BundleError`` if *out* is there already and not to be replaced (*force*), or cannot be written.
    """
    out = out.absolute()
    check_output(out, form=form, force=force)
    try:
        if form == "tree":
            return _write_tree(image, out, force=force, decode=decode, jobs=jobs, check=check)
        members = _members(image, form)
        if form == "pyz":
            return _write_pyz(members, out, check)
        return _write_packed(members, out, force=force, check=check)
    except OSError as error:
        raise BundleError(out, f"cannot be written: {error.strerror}", hint="nothing was left behind") from error


def check_output(out: Path, *, form: Format, force: bool) -> None:
    """Refuse an output that cannot be written, before any work is done for it."""
    parent = out.absolute().parent
    if not parent.is_dir():
        raise BundleError(out, "cannot be written: its directory does not exist", hint=f"mkdir -p {parent}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise BundleError(out, "cannot be written: its directory is not writable", hint="choose another directory")
    if not os.path.lexists(out):
        return
    if form == "pyz" and out.is_dir():
        raise BundleError(out, "is a directory", hint="give the output a file name, or choose --format packed or tree")
    if not force:
        raise BundleError(out, "exists already", hint="replace it with --force, or choose another name")
    if form != "pyz":
        try:
            open_carrier(str(out)).close()
        except ContentError:
            raise BundleError(
                out, "is not a bundle, and stays", hint="remove it yourself, or choose another name"
            ) from None


def _members(image: Image, form: Format) -> dict[str, _Content]:
    """Return the members of a packed artifact: what starts it first, then the image."""
    manifest = Descriptor(MANIFEST_TYPE, image.digest, len(_bytes_of(image, image.digest)))
    named: dict[str, bytes] = {"index.json": index_json(manifest), "oci-layout": LAYOUT}
    named.update((member_of(path, form), data) for path, data in image.documents.items() if member_of(path, form))
    members = {name: _Content(data, len(data), zlib.crc32(data)) for name, data in sorted(named.items())}
    for digest, data in sorted(image.blobs.items()):
        if isinstance(data, bytes):
            content = _Content(data, len(data), zlib.crc32(data))
        else:
            content = _Content(data, data.stat().st_size, image.crcs[digest])
        members[f"blobs/sha256/{digest.removeprefix('sha256:')}"] = content
    return members


def index_json(image: Descriptor, referrers: Sequence[tuple[str, Descriptor]] = ()) -> bytes:
    """Return the OCI index of a layout with *image* and what refers to it: artifact types and manifests.

    The digest of the image comes first of all, so that a start can find it without parsing.
    """

    def described(descriptor: Descriptor, **more: object) -> dict[str, object]:
        return {"digest": descriptor.digest, "mediaType": descriptor.media_type, "size": descriptor.size, **more}

    # cosign takes the image with this annotation for the one that a layout is about.
    kind: dict[str, object] = {"annotations": {"kind": "dev.cosignproject.cosign/image"}} if referrers else {}
    manifests = [described(image, **kind)]
    manifests += [described(manifest, artifactType=artifact_type) for artifact_type, manifest in referrers]
    index = {"manifests": manifests, "mediaType": INDEX_TYPE, "schemaVersion": 2}
    return json.dumps(index, separators=(",", ":")).encode()


def _bytes_of(image: Image, digest: str) -> bytes:
    data = image.blobs[digest]
    return data if isinstance(data, bytes) else data.read_bytes()


def _write_pyz(members: Mapping[str, _Content], out: Path, check: Check | None) -> int:
    size = zip_size((name, content.size) for name, content in members.items())
    if size > LIMIT:
        raise BundleError(
            out,
            "would be too large for a .pyz, which zipimport of CPython 3.7 reads up to 4 GiB",
            got=f"{size} bytes",
            hint="choose --format packed",
        )
    temporary = out.with_name(f".{out.name}.partial-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            writer = ZipWriter(file)
            for name, content in members.items():
                writer.add(name, content.size, content.crc, content.chunks())
            writer.finish()
        if check is not None:
            check(temporary)
        temporary.replace(out)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return size


def _write_packed(members: Mapping[str, _Content], out: Path, *, force: bool, check: Check | None) -> int:
    with Staging(str(out)) as staging:
        for name, content in members.items():
            path = Path(staging.path, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
        if check is not None:
            check(Path(staging.path))
        staging.publish(replace=force and out.exists())
    return sum(content.size for content in members.values())


def _write_tree(image: Image, out: Path, *, force: bool, decode: Decoder, jobs: int, check: Check | None) -> int:
    with Staging(str(out)) as staging, _Blobs(str(out), image) as blobs:
        loaded = load_image(blobs, image.digest)
        write_tree(loaded, blobs, staging.path, decode=decode, jobs=jobs)
        if check is not None:
            check(Path(staging.path))
        staging.publish(replace=force and out.exists())
    return sum(file.size for file in loaded.tree.files)


class _Blobs(Carrier):
    """The blobs of an image that is not in any artifact yet."""

    kind = "blobs"

    def __init__(self, path: str, image: Image) -> None:
        super().__init__(path)
        self._image = image

    def member(self, name: str) -> Member:
        if name not in self._fds:
            data = self._image.blobs["sha256:" + name.removeprefix("blobs/sha256/")]
            if isinstance(data, bytes):
                with tempfile.TemporaryFile() as file:
                    file.write(data)
                    file.flush()
                    self._fds[name] = os.dup(file.fileno())
            else:
                self._fds[name] = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
        fd = self._fds[name]
        return Member(f"{self.path}: {name}", fd, 0, os.fstat(fd).st_size)

    def named_digest(self) -> str:
        return self._image.digest
