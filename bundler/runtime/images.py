"""An open carrier → a verified image: expected digest → manifest → image config → ``tree.json``.

Each link is checked before the next is read (rules B16 and B17), and all bytes are kept that were checked: nothing
is read twice. The first and the last layer are gzip, so that zlib alone leads to ``tree.json`` and to the decoder for
the other layers.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from typing import Dict, NamedTuple, Optional, Tuple

from .carriers import TREE_CONFIG, TREE_MANIFEST, Carrier, Member
from .documents import (
    CONFIG_TYPE,
    MAX_DOCUMENT,
    MAX_TREE,
    TREE_PATH,
    Config,
    Descriptor,
    File,
    Manifest,
    digest_of,
    parse_digest,
)
from .errors import ContentError, TargetError, TrustError, UsageError
from .indexes import DECODER_PATH, Index
from .targets import check, this_target


class Image(NamedTuple):
    """A verified chain of documents.

    *trusted* tells whether the digest came from outside; if not, the image is only self-consistent. *documents*
    maps the path of every file in ``.bundle/`` to its bytes, except where a tree on disk holds them.
    """

    digest: str
    trusted: bool
    manifest: Manifest
    config: Config
    tree: Index
    documents: Dict[str, bytes]

    def check_runs_here(self, where: str) -> None:
        """Raise ``TargetError`` (rule C22) unless this interpreter is the target and can spell all names of files."""
        check(self.tree.needs, this_target(), where=where)
        encoding = sys.getfilesystemencoding()
        if encoding != "utf-8" and not all(file.path.isascii() for file in self.tree.files):
            what, hint = "has file names that this Python cannot spell", "set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
            raise TargetError(where, what, got=encoding, want="utf-8", hint=hint, rule="C22")

    def decoder(self) -> Optional[bytes]:
        """Return the carried decoder if there is one for this interpreter: in another it could crash the process."""
        here, target = this_target(), self.tree.target
        if (here.abi, here.arch, here.libc) != (target.abi, target.arch, target.libc):
            return None
        return self.documents.get(DECODER_PATH)


def read_digest(carrier: Carrier, expect: Optional[str]) -> str:
    """Return the digest of the image in *carrier*; raise ``TrustError`` if it is not *expect* (rule B17)."""
    if expect is not None:
        try:
            parse_digest(expect, "expected digest")
        except ContentError as error:
            raise UsageError("expected digest", error.what, got=error.got, want=error.want) from None
    digest = carrier.named_digest()
    if expect is not None and digest != expect:
        hint = "copy the bundle again, or expect the digest that bundle create has printed for it"
        if carrier.mounted:
            hint = "it was unpacked from an image by other means: expect the tree digest that bundle create has printed"
        raise TrustError(
            carrier.path, "is another bundle than expected", got=digest, want=expect, hint=hint, rule="B17"
        )
    return digest


def load_image(carrier: Carrier, expect: Optional[str] = None) -> Image:
    """Verify the documents of the bundle in *carrier*; *expect* is the digest that it must have."""
    digest = read_digest(carrier, expect)
    if carrier.mounted:
        return _load_mounted(carrier, digest, trusted=expect is not None)
    manifest, config, documents = _load_config(carrier, digest)
    if carrier.kind == "tree":
        tree_bytes = read_verified(carrier.member(TREE_PATH), config.tree_digest, config.tree_size)
        index = Index.parse(tree_bytes)
    else:
        layer = _read_gzip(carrier, manifest.layers[0])
        tree_bytes = layer[config.tree_offset : config.tree_offset + config.tree_size]
        _compare(digest_of(tree_bytes), config.tree_digest, f"{carrier.path}: {TREE_PATH}")
        index = Index.parse(tree_bytes)
        documents[TREE_PATH] = tree_bytes
        launch = _read_gzip(carrier, manifest.layers[-1])
        for data, files in ((layer, index.documents), (launch, index.launch.files)):
            for file in files:
                documents[file.path] = _slice(data, file, f"{carrier.path}: {file.path}")
    _check_agreement(carrier.path, manifest, config, index)
    return Image(digest, expect is not None, manifest, config, index, documents)


def read_config(carrier: Carrier, digest: str) -> Config:
    """Return the verified config of the image *digest* in *carrier*."""
    if carrier.mounted:
        return _load_mounted(carrier, digest, trusted=False).config
    return _load_config(carrier, digest)[1]


def _load_config(carrier: Carrier, digest: str) -> Tuple[Manifest, Config, Dict[str, bytes]]:
    in_tree = carrier.kind == "tree"
    member = carrier.member(TREE_MANIFEST) if in_tree else carrier.blob(digest)
    manifest_bytes = read_verified(member, digest, min(member.size, MAX_DOCUMENT))
    manifest = Manifest.parse(manifest_bytes, f"{carrier.path}: manifest")
    member = carrier.member(TREE_CONFIG) if in_tree else carrier.blob(manifest.config.digest)
    config_bytes = read_verified(member, manifest.config.digest, manifest.config.size)
    config = Config.parse(config_bytes, f"{carrier.path}: config")
    return manifest, config, {TREE_MANIFEST: manifest_bytes, TREE_CONFIG: config_bytes}


def _load_mounted(carrier: Carrier, digest: str, *, trusted: bool) -> Image:
    """Verify the index of a tree that has no manifest; *digest*, the tree digest, stands for it all."""
    member = carrier.member(TREE_PATH)
    data = read_verified(member, digest, min(member.size, MAX_TREE))
    index = Index.parse(data)
    diff_ids = tuple(layer.diff_id for layer in (*index.layers, index.launch))
    config = Config("", diff_ids, tree_digest=digest, tree_offset=0, tree_size=len(data))
    return Image(digest, trusted, Manifest(Descriptor(CONFIG_TYPE, digest, 0), ()), config, index, {})


def read_verified(member: Member, digest: str, size: int) -> bytes:
    """Read *member* once; raise ``ContentError`` unless it has this *size* in bytes and this *digest* (rule C19)."""
    if member.size != size:
        raise ContentError(member.where, "has the wrong size", got=f"{member.size} bytes", want=size, rule="C19")
    data = member.read(0, size)
    _compare(digest_of(data), digest, member.where)
    return data


def _compare(got: str, want: str, where: str) -> None:
    if got != want:
        raise ContentError(where, "is not what was promised", got=got, want=want, rule="C19")


def _slice(layer: bytes, file: File, where: str) -> bytes:
    data = layer[file.offset : file.offset + file.size]
    _compare(hashlib.sha256(data).hexdigest(), file.sha256, where)
    return data


def _read_gzip(carrier: Carrier, descriptor: Descriptor) -> bytes:
    return read_gzip_layer(carrier.blob(descriptor.digest), descriptor)


def read_gzip_layer(member: Member, descriptor: Descriptor) -> bytes:
    """Return the uncompressed bytes of the layer *member*: one gzip member, nothing behind it, of a bounded size."""
    limit = MAX_TREE + MAX_DOCUMENT
    if descriptor.size > limit:
        raise ContentError(
            member.where, "is too large", got=f"{descriptor.size} bytes", want=f"at most {limit}", rule="B16"
        )
    data = read_verified(member, descriptor.digest, descriptor.size)
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        layer = inflater.decompress(data, limit)
    except zlib.error as error:
        raise ContentError(member.where, f"is not gzip: {error}", rule="C20") from None
    if not inflater.eof or inflater.unused_data:
        raise ContentError(member.where, "is not one complete gzip member", want=f"at most {limit} bytes", rule="C20")
    return layer


def _check_agreement(where: str, manifest: Manifest, config: Config, index: Index) -> None:
    """Refuse documents that contradict each other (rules B16 and C21)."""
    diff_ids = tuple(layer.diff_id for layer in (*index.layers, index.launch))
    if len(config.diff_ids) != len(manifest.layers) or config.diff_ids[1:] != diff_ids:
        raise ContentError(
            where,
            "lists different layers in manifest, config and index",
            got=f"{len(manifest.layers)}, {len(config.diff_ids)} and {len(diff_ids) + 1}",
            rule="B16",
        )
    for n, (descriptor, layer) in enumerate(zip(manifest.layers[1:-1], index.layers)):
        raw = sum(frame.raw for frame in descriptor.frames)
        if raw != layer.size:
            raise ContentError(
                f"{where}: layers[{n}]", "has frames that do not add up", got=raw, want=layer.size, rule="C21"
            )
