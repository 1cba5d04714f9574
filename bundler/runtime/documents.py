"""The documents of an image: bytes in, validated values out, and back to the same bytes.

* A document is canonical JSON: UTF-8, sorted keys, no white space; its digest names it.
* Reading is strict (rule B15): a size limit, no BOM, no duplicate keys, no floats, no surrogates; every value is
  checked where it stands, and an error says where that is, such as ``layers[3].files[7].size``.
* Digests are ``sha256:`` and 64 lower-case hex digits, nothing else (rule B16).
* The manifest and the image config are OCI documents and may carry fields we do not know; ``tree.json`` may not.

``docs/format.md`` describes the fields.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

from .errors import ContentError

FORMAT = 1
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
GZIP_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
FRAMES = "dev.bundler.frames"
FORMAT_LABEL = "dev.bundler.format"
TREE_DIGEST_LABEL = "dev.bundler.tree.digest"
TREE_OFFSET_LABEL = "dev.bundler.tree.offset"
TREE_SIZE_LABEL = "dev.bundler.tree.size"
SERIAL_LABEL = "dev.bundler.serial"
TREE_PATH = ".bundle/tree.json"
MAX_SERIAL = (1 << 53) - 1
MAX_DOCUMENT = 4 << 20
MAX_TREE = 256 << 20
MAX_FRAME = 24 << 20
MAX_LAYERS = 100

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEX_DIGITS = re.compile(r"[0-9a-f]*", re.ASCII)
_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")
# Control characters, line separators, surrogates, direction marks; a fixed set, the same on every Python.
_UNSAFE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ud800-\\udfff\\ufeff\\\\]")
_NO_NAMES = frozenset(("", ".", ".."))
_MAX_INT_DIGITS = 18
_MAX_PATH = 1000
_SHOWN = 80
_FILE_TYPES = [str, int, str, bool, int]
_MAX_DEPTH = 32  # of arrays and objects; ours need 8
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)  # one that does not end, ends with the data
_NO_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_SIZE = re.compile("[0-9]{1,10}", re.ASCII)


def digest_of(data: bytes) -> str:
    """Return the digest of *data* as ``sha256:…``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(value: object) -> bytes:
    """Return *value* as canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse_digest(text: object, where: str) -> str:
    """Return *text* if it is a digest (rule B16)."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise ContentError(where, "is not a digest", got=_short(text), want="sha256: and 64 hex digits", rule="B16")
    return text


def parse_json(data: bytes, where: str, limit: int = MAX_DOCUMENT) -> Any:  # noqa: ANN401 - any JSON value
    """Parse *data* strictly (rule B15); *limit* is in bytes."""
    if len(data) > limit:
        raise ContentError(where, "is too large", got=f"{len(data)} bytes", want=f"at most {limit}", rule="B15")
    if data[:3] == b"\xef\xbb\xbf" or (b"\\u" in data and _SURROGATE.search(data)):
        raise ContentError(where, "is not plain UTF-8 (BOM or surrogates)", rule="B15")
    if _is_deep(data):
        raise ContentError(where, f"is not strict JSON: nested more than {_MAX_DEPTH} deep", rule="B15")
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_refuse,
            parse_constant=_refuse,
            parse_int=_int,
        )
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ContentError(where, f"is not strict JSON: {error}", rule="B15") from None


def _is_deep(data: bytes) -> bool:
    """Tell whether *data* nests too deeply. How deep a parser of JSON goes differs between Pythons; this does not."""
    if b"\\" in data:
        data = _STRING.sub(b"", data)
    brackets = _STRING.sub(b"", data.translate(None, _NO_BRACKETS).replace(b'""', b""))
    brackets = brackets.replace(b"{", b"[").replace(b"}", b"]")
    for _ in range(_MAX_DEPTH):
        if b"[" * (_MAX_DEPTH + 1) in brackets:
            return True
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key among " + _short(", ".join(key for key, _ in pairs)))
    return value


def _refuse(text: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError(f"{text} is not a whole number")


def _int(text: str) -> int:
    if len(text) > _MAX_INT_DIGITS:
        raise ValueError("a number is too large")
    return int(text)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < _SHOWN else text[: _SHOWN - 1] + "…"


class Fields:
    """A JSON object being taken apart: every access names the field and its type."""

    def __init__(self, value: object, where: str) -> None:
        """Take *value*, found at *where*, which must be an object."""
        if not isinstance(value, dict):
            raise ContentError(where, "is not an object", got=_short(value), rule="B15")
        self.value = value
        self.where = where

    def at(self, key: str) -> str:
        """Return where *key* stands."""
        return f"{self.where}.{key}" if self.where else key or "''"

    def get(self, key: str, kind: type) -> Any:  # noqa: ANN401 - of type *kind*
        """Return the field *key*, which must be there and of type *kind* (bool is not int)."""
        found = self.value.get(key)
        if type(found) is not kind:
            raise ContentError(self.at(key), "has the wrong type", got=_short(found), want=kind.__name__, rule="B15")
        return found

    def size(self, key: str) -> int:
        """Return the field *key*, a number of bytes."""
        found: int = self.get(key, int)
        if found < 0:
            raise ContentError(self.at(key), "is negative", got=found, rule="B16")
        return found

    def digest(self, key: str) -> str:
        """Return the field *key*, a digest."""
        return parse_digest(self.value.get(key), self.at(key))

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the field *key*, a list of strings."""
        found = self.get(key, list)
        if not all(isinstance(item, str) for item in found):
            raise ContentError(self.at(key), "is not a list of strings", rule="B15")
        return tuple(found)

    def items(self, key: str) -> list[Fields]:
        """Return the field *key*, a list of objects."""
        return [Fields(item, f"{self.at(key)}[{n}]") for n, item in enumerate(self.get(key, list))]

    def only(self, *keys: str) -> None:
        """Refuse any field but *keys*."""
        unknown = set(self.value) - set(keys)
        if unknown:
            raise ContentError(
                self.at(min(unknown)),
                "is an unknown field",
                want=", ".join(keys),
                hint="this bundle was made by a newer version; use its own runtime",
                rule="B15",
            )


class Frame(NamedTuple):
    """One independent zstd frame of a layer: sizes in bytes, sha256 of the compressed bytes as hex."""

    raw: int
    size: int
    sha256: str


class Descriptor(NamedTuple):
    """A blob: its digest, its size in bytes, its media type and, for a zstd layer, its frames."""

    media_type: str
    digest: str
    size: int
    frames: tuple[Frame, ...] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> Descriptor:
        """Validate an OCI descriptor (rule B16)."""
        if "urls" in fields.value:
            raise ContentError(fields.at("urls"), "is refused: a blob is named by its digest only", rule="B16")
        media_type = fields.get("mediaType", str)
        size = fields.size("size")
        frames: tuple[Frame, ...] = ()
        if media_type == ZSTD_LAYER_TYPE:
            annotations = Fields(fields.get("annotations", dict), fields.at("annotations"))
            frames = _parse_frames(annotations.get(FRAMES, str), annotations.at(FRAMES), size)
        return cls(media_type, fields.digest("digest"), size, frames)

    def to_json(self) -> dict[str, Any]:
        """Return the OCI descriptor."""
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.frames:
            value["annotations"] = {FRAMES: " ".join("{}:{}:{}".format(*frame) for frame in self.frames)}
        return value


def _parse_frames(text: str, where: str, size: int) -> tuple[Frame, ...]:
    frames = []
    for n, part in enumerate(text.split(" ")):
        raw, _, rest = part.partition(":")
        compressed, _, sha256 = rest.partition(":")
        if not (_SIZE.fullmatch(raw) and _SIZE.fullmatch(compressed) and _HEX.fullmatch(sha256)):
            raise ContentError(f"{where}[{n}]", "is not a frame", got=_short(part), want="raw:size:sha256", rule="B15")
        frame = Frame(int(raw), int(compressed), sha256)
        if not 0 < frame.raw <= MAX_FRAME or not 0 < frame.size <= 2 * MAX_FRAME:
            raise ContentError(f"{where}[{n}]", "has an impossible size", got=part[:40], rule="C20")
        frames.append(frame)
    total = sum(frame.size for frame in frames)
    if total != size:
        raise ContentError(where, "do not add up to the layer", got=f"{total} bytes", want=f"{size} bytes", rule="C21")
    return tuple(frames)


class Manifest(NamedTuple):
    """The OCI image manifest. Its digest is the digest of the image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @classmethod
    def parse(cls, data: bytes, where: str) -> Manifest:
        """Validate the bytes of a manifest."""
        fields = Fields(parse_json(data, where), where)
        if fields.get("schemaVersion", int) != 2 or fields.get("mediaType", str) != MANIFEST_TYPE:  # noqa: PLR2004
            raise ContentError(where, "is not an OCI image manifest", want=MANIFEST_TYPE, rule="B16")
        config = Descriptor.from_fields(Fields(fields.value.get("config"), fields.at("config")))
        layers = tuple(Descriptor.from_fields(layer) for layer in fields.items("layers"))
        if config.media_type != CONFIG_TYPE or config.size > MAX_DOCUMENT:
            raise ContentError(fields.at("config"), "is not an image config", got=config.media_type, rule="B16")
        wanted = [GZIP_LAYER_TYPE, *[ZSTD_LAYER_TYPE] * (len(layers) - 2), GZIP_LAYER_TYPE]
        if len(layers) > MAX_LAYERS or [layer.media_type for layer in layers] != wanted:
            raise ContentError(
                fields.at("layers"),
                "are not the layers of a bundle",
                got=f"{len(layers)} of {', '.join(sorted({layer.media_type for layer in layers}))}",
                want=f"up to {MAX_LAYERS - 2} {ZSTD_LAYER_TYPE} between two {GZIP_LAYER_TYPE}",
                rule="B16",
            )
        return cls(config, layers)

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }


class Config(NamedTuple):
    """The OCI image config: what the layers are when uncompressed, and where in layer 0 tree.json lies.

    *serial* numbers the bundles that follow each other in one place; 0 is none.
    """

    arch: str
    diff_ids: tuple[str, ...]
    tree_digest: str
    tree_offset: int
    tree_size: int
    serial: int = 0

    @classmethod
    def parse(cls, data: bytes, where: str) -> Config:
        """Validate the bytes of an image config."""
        fields = Fields(parse_json(data, where), where)
        rootfs = Fields(fields.value.get("rootfs"), fields.at("rootfs"))
        diff_ids = tuple(
            parse_digest(diff_id, f"{rootfs.at('diff_ids')}[{n}]")
            for n, diff_id in enumerate(rootfs.get("diff_ids", list))
        )
        config = Fields(fields.value.get("config"), fields.at("config"))
        labels = Fields(config.value.get("Labels"), config.at("Labels"))
        if labels.get(FORMAT_LABEL, str) != str(FORMAT):
            raise ContentError(
                labels.at(FORMAT_LABEL),
                "is an unknown format version",
                got=labels.value[FORMAT_LABEL],
                want=FORMAT,
                hint="use the runtime inside the bundle, or a newer bundler",
                rule="B15",
            )
        numbers = []
        for key in (TREE_OFFSET_LABEL, TREE_SIZE_LABEL):
            text = labels.get(key, str)
            if not re.fullmatch("[1-9][0-9]{0,8}", text, re.ASCII) or int(text) > MAX_TREE:
                raise ContentError(labels.at(key), "is not a number of bytes", got=_short(text), rule="B16")
            numbers.append(int(text))
        if SERIAL_LABEL in labels.value:
            text = labels.get(SERIAL_LABEL, str)
            if not re.fullmatch("[1-9][0-9]{0,15}", text, re.ASCII) or int(text) > MAX_SERIAL:
                raise ContentError(labels.at(SERIAL_LABEL), "is not a serial number", got=_short(text), rule="B16")
            numbers.append(int(text))
        return cls(fields.get("architecture", str), diff_ids, labels.digest(TREE_DIGEST_LABEL), *numbers)

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        labels = {
            FORMAT_LABEL: str(FORMAT),
            TREE_DIGEST_LABEL: self.tree_digest,
            TREE_OFFSET_LABEL: str(self.tree_offset),
            TREE_SIZE_LABEL: str(self.tree_size),
        }
        if self.serial:
            labels[SERIAL_LABEL] = str(self.serial)
        return {
            "architecture": self.arch,
            "os": "linux",
            "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
        }


class File(NamedTuple):
    """A file of the tree: size in bytes, sha256 as hex, offset of its bytes in the layer's tar."""

    path: str
    size: int
    sha256: str
    executable: bool
    offset: int

    @classmethod
    def from_json(cls, value: object, where: str) -> File:
        """Validate a list ``[path, size, sha256, executable, offset]``."""
        if type(value) is not list or list(map(type, value)) != _FILE_TYPES:
            raise ContentError(where, "is not a file", got=_short(value), want=", ".join(cls._fields), rule="B15")
        file = cls(*value)
        if file.size < 0 or file.offset < 0 or not _HEX.fullmatch(file.sha256):
            raise ContentError(where, "has an impossible size, offset or sha256", got=_short(value), rule="B16")
        if not is_tree_path(file.path):
            raise ContentError(where, "leaves the tree", got=_short(file.path), rule="C21")
        return file


def files_from_json(rows: list[Any], where: str) -> list[File]:
    """Validate a list of files."""
    if _are_plain(rows):
        return [File._make(row) for row in rows]
    return [File.from_json(row, f"{where}[{n}]") for n, row in enumerate(rows)]


def _are_plain(rows: list[Any]) -> bool:
    """Tell whether ``File.from_json`` would accept each of *rows*; may say no where it would.

    An index has tens of thousands, so each question is asked once for all of them.
    """
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {len(_FILE_TYPES)}:
        return False
    columns = list(zip(*rows))
    if any(set(map(type, column)) != {kind} for column, kind in zip(columns, _FILE_TYPES)):
        return False
    paths, sizes, digests, _, offsets = columns
    text = "/" + "/\n/".join(paths) + "/"
    return (
        min(sizes) >= 0
        and min(offsets) >= 0
        and set(map(len, digests)) == {64}
        and _HEX_DIGITS.fullmatch("".join(digests)) is not None
        and text.count("\n") == len(paths) - 1
        and text.isascii()
        and text.replace("\n", "").isprintable()
        and not any(wrong in text for wrong in ("//", "/./", "/../", "/.wh.", "\\"))
        and max(map(len, paths)) <= _MAX_PATH
    )


def is_tree_path(path: str) -> bool:
    """Tell whether *path* is a plain relative path with ``/`` between its components."""
    return (
        _NO_NAMES.isdisjoint(path.split("/"))
        # Most are plain ASCII, and an index has tens of thousands.
        and not ("\\" in path if path.isascii() and path.isprintable() else _UNSAFE.search(path))
        and len(path) <= _MAX_PATH
        and "/.wh." not in "/" + path  # would delete a file where the layer is mounted as an image
    )
