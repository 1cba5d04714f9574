"""Images for stores: a config, layers of random bytes and the manifest that names them, without any wheel."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from bundler.runtime.documents import CONFIG_TYPE, MANIFEST_TYPE, ZSTD_LAYER_TYPE, to_json
from bundler.stores.blobs import Blob

SIGNATURE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass
class Made:
    """A manifest and the bytes of everything that it names."""

    manifest: Blob
    data: bytes
    blobs: dict[Blob, bytes] = field(default_factory=dict)

    @property
    def size(self):
        return sum(blob.size for blob in self.blobs) + self.manifest.size

    def put(self, store, name=None):
        """Put it into *store* in the order that the protocol wants."""
        for blob, data in self.blobs.items():
            store.write(blob, reader(data))
        store.write(self.manifest, reader(self.data))
        if name is not None:
            store.set_name(name, self.manifest, self.data)
        return self


def reader(data, chunk=1 << 16):
    def read(offset):
        for start in range(offset, len(data), chunk):
            yield data[start : start + chunk]

    return read


def random_bytes(size, seed=0):
    return random.Random(f"{size} {seed}").randbytes(size)


def blob_of(size=1000, seed=0):
    data = random_bytes(size, seed)
    return Blob.of(data, ZSTD_LAYER_TYPE), data


def make_image(*sizes, seed=0):
    """Make an image with layers of *sizes* random bytes."""
    rootfs = {"type": "layers", "diff_ids": []}
    config = to_json({"architecture": "amd64", "os": "linux", "rootfs": rootfs, "seed": seed})
    blobs = {Blob.of(config, CONFIG_TYPE): config}
    for n, size in enumerate(sizes):
        blob, data = blob_of(size, f"{seed} {n}")
        blobs[blob] = data
    config_blob, *layers = blobs
    data = to_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config_blob.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
    )
    return Made(Blob.of(data, MANIFEST_TYPE), data, blobs)


def make_referrer(subject, text=b"signature", artifact_type=SIGNATURE_TYPE):
    """Make a signature-like manifest about *subject*."""
    empty = Blob.of(b"{}", EMPTY_TYPE)
    layer = Blob.of(text, artifact_type)
    data = to_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": artifact_type,
            "config": empty.to_json(),
            "layers": [layer.to_json()],
            "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
            "annotations": {"made.by": "tests"},
        }
    )
    manifest = Blob(
        digest=Blob.of(data, MANIFEST_TYPE).digest,
        size=len(data),
        media_type=MANIFEST_TYPE,
        artifact_type=artifact_type,
        annotations={"made.by": "tests"},
    )
    return Made(manifest, data, {empty: b"{}", layer: text})
