"""Documents that must be refused: JSON, and manifests, configs and indexes that contradict themselves or each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hostile.images import put

if TYPE_CHECKING:
    from collections.abc import Callable

HEX = "0123456789abcdef" * 4

# Not strict JSON (rule B15). tests/runtime/test_documents.py has the plain ones.
JSON = {
    "a key twice, once escaped": b'{"a":1,"\\u0061":2}',
    "a key twice, deep inside": b'{"a":[{"b":{"c":1,"c":1}}]}',
    "an empty key twice": b'{"":1,"":2}',
    "a float that is whole": b'{"a":1.0}',
    "an exponent without a dot": b'{"a":1E400}',
    "minus infinity": b'{"a":-Infinity}',
    "a zero in front": b'{"a":01}',
    "a plus in front": b'{"a":+1}',
    "hexadecimal": b'{"a":0x1}',
    "19 digits": b'{"a":1000000000000000000}',
    "5000 digits": b'{"a":' + b"1" * 5000 + b"}",
    "minus 5000 digits": b'{"a":-' + b"1" * 5000 + b"}",
    "other digits": '{"a":\u0661}'.encode(),
    "a comma behind": b'{"a":1,}',
    "a comma behind, in a list": b"[1,]",
    "a comment": b'{"a":1}//',
    "a comment of C": b"/**/{}",
    "single quotes": b"{'a':1}",
    "no quotes": b"{a:1}",
    "a control character": b'{"a":"\x01"}',
    "a newline in text": b'{"a":"\n"}',
    "a NUL in front": b"\0{}",
    "a NUL behind": b"{}\0",
    "a form feed": b"\x0c{}",
    "a no-break space": b"\xc2\xa0{}",
    "a BOM behind a space": b" \xef\xbb\xbf{}",
    "UTF-16 without a BOM": "{}".encode("utf-16-le"),
    "UTF-32": "{}".encode("utf-32"),
    "a surrogate pair, escaped": b'{"a":"\\ud83d\\ude00"}',
    "half a pair in a key": b'{"\\uDC00":1}',
    "a surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "UTF-8 beyond Unicode": b'{"a":"\xf4\x90\x80\x80"}',
    "cut off": b'{"a":',
    "objects 100,000 deep": b'{"a":' * 100_000,
    "objects 100,000 deep, closed": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a word": b"nul",
    "True": b"True",
    "two values": b"1 2",
    "only white space": b" \n\t",
}


class Case(NamedTuple):
    """Which document is changed (a parameter of ``pack``) and how, the rule, and a part of the message."""

    document: str
    change: Callable[[Any], Any]
    rule: str
    says: str


def _layers(count: int) -> Callable[[Any], Any]:
    return lambda value: {**value, "layers": value["layers"][:1] + value["layers"][1:-1] * count + value["layers"][-1:]}


def _files(*rows: list[Any]) -> Callable[[Any], Any]:
    return put("layers", 0, "files", value=list(rows))


def _distribution(**fields: object) -> dict[str, object]:
    plain = {"name": "a", "version": "1.0", "wheel": "a-1.0-py3-none-any.whl", "sha256": HEX, "layer": 1, "size": 6}
    return {**plain, "requires": [], "source": "", **fields}


def _row(
    path: str, size: object = 6, sha256: object = HEX, executable: object = False, offset: object = 512
) -> list[Any]:
    return [path, size, sha256, executable, offset]


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FRAME = ("layers", 1, "annotations", "dev.bundler.frames")
LABELS = ("config", "Labels")

DOCUMENTS = {
    # index.json: a claim, but read strictly.
    "index: two images": Case("index", lambda v: {**v, "manifests": v["manifests"] * 2}, "B16", "exactly one image"),
    "index: no image": Case("index", put("manifests", value=[]), "B16", "exactly one image"),
    "index: images as an object": Case("index", put("manifests", value={}), "B15", "index.json.manifests"),
    "index: a nested index": Case(
        "index",
        put("manifests", 0, "mediaType", value="application/vnd.oci.image.index.v1+json"),
        "B16",
        "is not an image manifest",
    ),
    "index: Docker's list": Case(
        "index",
        put("mediaType", value="application/vnd.docker.distribution.manifest.list.v2+json"),
        "B16",
        "is not an OCI image index",
    ),
    "index: a digest that leads out": Case(
        "index", put("manifests", 0, "digest", value="sha256:../../../etc/passwd"), "B16", "is not a digest"
    ),
    "index: a digest of another kind": Case(
        "index", put("manifests", 0, "digest", value="sha512:" + HEX * 2), "B16", "is not a digest"
    ),
    "index: an image that is not there": Case(
        "index", put("manifests", 0, "digest", value="sha256:" + HEX), "C19", "is missing"
    ),
    "index: a list": Case("index", lambda _: b"[]", "B15", "is not an object"),
    "index: too large": Case("index", lambda _: b" " * (5 << 20), "B15", "is too large"),
    # The manifest.
    "manifest: schema 1": Case("manifest", put("schemaVersion", value=1), "B16", "is not an OCI image manifest"),
    "manifest: schema true": Case("manifest", put("schemaVersion", value=True), "B15", "manifest.schemaVersion"),
    "manifest: Docker's": Case(
        "manifest",
        put("mediaType", value="application/vnd.docker.distribution.manifest.v2+json"),
        "B16",
        "is not an OCI image manifest",
    ),
    "manifest: no config": Case("manifest", put("config", value=...), "B15", "manifest.config"),
    "manifest: a config of 5 MiB": Case("manifest", put("config", "size", value=5 << 20), "B16", "not an image config"),
    "manifest: a config from elsewhere": Case(
        "manifest", put("config", "urls", value=["https://example.test/"]), "B16", "config.urls"
    ),
    "manifest: urls, though empty": Case("manifest", put("layers", 0, "urls", value=[]), "B16", "layers[0].urls"),
    "manifest: a negative size": Case("manifest", put("layers", 0, "size", value=-1), "B16", "layers[0].size"),
    "manifest: a layer 0 of 1 GiB": Case("manifest", put("layers", 0, "size", value=1 << 30), "B16", "is too large"),
    "manifest: a size that is another": Case("manifest", put("layers", 0, "size", value=7), "C19", "the wrong size"),
    "manifest: no layer of its wheels": Case("manifest", _layers(0), "B16", "different layers"),
    "manifest: only layer 0": Case("manifest", lambda v: {**v, "layers": v["layers"][:1]}, "B16", "manifest.layers"),
    "manifest: no launch layer": Case("manifest", lambda v: {**v, "layers": v["layers"][:2]}, "B16", "manifest.layers"),
    "manifest: a layer twice": Case("manifest", _layers(2), "B16", "different layers"),
    "manifest: 101 layers": Case("manifest", _layers(99), "B16", "manifest.layers"),
    "manifest: layers in another order": Case(
        "manifest", lambda v: {**v, "layers": v["layers"][:1] + v["layers"][:0:-1]}, "B16", "manifest.layers"
    ),
    "manifest: first and last layer exchanged": Case(
        "manifest", lambda v: {**v, "layers": v["layers"][::-1]}, "C19", "is not what was promised"
    ),
    "manifest: a layer that may not be distributed": Case(
        "manifest",
        put("layers", 1, "mediaType", value="application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
        "B16",
        "manifest.layers",
    ),
    "manifest: no frames": Case("manifest", put(*FRAME, value=""), "B15", "is not a frame"),
    "manifest: frames with two spaces": Case(
        "manifest", put(*FRAME, value=f"1:1:{HEX}  1:1:{HEX}"), "B15", "frames[1]"
    ),
    "manifest: a frame of nothing": Case("manifest", put(*FRAME, value=f"0:1:{HEX}"), "C20", "impossible size"),
    "manifest: a frame of 25 MiB": Case("manifest", put(*FRAME, value=f"{25 << 20}:1:{HEX}"), "C20", "impossible"),
    "manifest: a frame from nothing": Case("manifest", put(*FRAME, value=f"1:0:{HEX}"), "C20", "impossible size"),
    "manifest: a frame of less than nothing": Case("manifest", put(*FRAME, value=f"-1:1:{HEX}"), "B15", "frames[0]"),
    "manifest: a frame in other digits": Case("manifest", put(*FRAME, value=f"\u0661:1:{HEX}"), "B15", "frames[0]"),
    "manifest: a frame with a newline": Case("manifest", put(*FRAME, value=f"1:1:{HEX}\n"), "B15", "frames[0]"),
    "manifest: frames that do not add up": Case("manifest", put(*FRAME, value=f"1:1:{HEX}"), "C21", "do not add up"),
    "manifest: 70,000 frames": Case(
        "manifest", put(*FRAME, value=" ".join([f"1:1:{HEX}"] * 70_000)), "B16", "is not an image manifest"
    ),
    # The image config.
    "config: another format": Case("config", put(*LABELS, "dev.bundler.format", value="2"), "B15", "unknown format"),
    "config: the format as a number": Case("config", put(*LABELS, "dev.bundler.format", value=1), "B15", "wrong type"),
    "config: no labels": Case("config", put(*LABELS, value=...), "B15", "config.Labels"),
    "config: another tree": Case(
        "config", put(*LABELS, "dev.bundler.tree.digest", value="sha256:" + HEX), "C19", "tree.json"
    ),
    "config: a tree elsewhere": Case("config", put(*LABELS, "dev.bundler.tree.offset", value="9"), "C19", "tree.json"),
    "config: a tree at 0": Case("config", put(*LABELS, "dev.bundler.tree.offset", value="0"), "B16", "number of bytes"),
    "config: an offset in other digits": Case(
        "config", put(*LABELS, "dev.bundler.tree.offset", value="\u0661"), "B16", "number of bytes"
    ),
    "config: an offset with a newline": Case(
        "config", put(*LABELS, "dev.bundler.tree.offset", value="9\n"), "B16", "number of bytes"
    ),
    "config: a tree of 257 MiB": Case(
        "config", put(*LABELS, "dev.bundler.tree.size", value=str(257 << 20)), "B16", "number of bytes"
    ),
    "config: a diff_id too few": Case("config", put("rootfs", "diff_ids", 1, value=...), "B16", "different layers"),
    "config: another diff_id": Case(
        "config", put("rootfs", "diff_ids", 1, value="sha256:" + HEX), "B16", "different layers"
    ),
    "config: diff_ids as text": Case("config", put("rootfs", "diff_ids", value="sha256:" + HEX), "B15", "wrong type"),
    # tree.json.
    "tree: an unknown field": Case("tree", put("surprise", value=1), "B15", "surprise"),
    "tree: an unknown field without a name": Case("tree", put("", value=1), "B15", "is an unknown field"),
    "tree: an unknown field that a terminal would obey": Case("tree", put("\x1b[2J", value=1), "B15", "\\x1b[2J"),
    "tree: format 2": Case("tree", put("format", value=2), "B15", "unknown format version"),
    "tree: format true": Case("tree", put("format", value=True), "B15", "wrong type"),
    "tree: a version in other digits": Case(
        "tree", put("target", "python", value="3.7.\u00b2"), "B15", "target.python"
    ),
    "tree: a version of 5000 digits": Case(
        "tree", put("target", "python", value="3.7." + "1" * 5000), "B15", "target.python"
    ),
    "tree: a libc of superscripts": Case("tree", put("libc_version", value="2.\u00b9"), "B15", "libc_version"),
    "tree: a layer of another size": Case("tree", put("layers", 0, "size", value=1 << 20), "C21", "do not add up"),
    "tree: another diff_id": Case(
        "tree", put("layers", 0, "diff_id", value="sha256:" + HEX), "B16", "different layers"
    ),
    "tree: no launch layer": Case("tree", put("launch", value=...), "B15", "launch"),
    "tree: a launch layer that is not there": Case(
        "tree", put("launch", "diff_id", value="sha256:" + HEX), "B16", "different layers"
    ),
    "tree: a decoder with another sha256": Case(
        "tree", put("launch", "files", value=[_row(".bundle/decoder.so", offset=0)]), "C19", ".bundle/decoder.so"
    ),
    "tree: a module in the launch layer": Case(
        "tree", put("launch", "files", value=[_row("site-packages/evil.py", 0, EMPTY, offset=0)]), "C21", "wrong layer"
    ),
    "tree: a decoder beyond the launch layer": Case(
        "tree",
        put("launch", "files", value=[_row(".bundle/decoder.so", 9, offset=1 << 20)]),
        "C21",
        "outside its layer",
    ),
    "tree: a distribution in layer 0": Case(
        "tree", put("distributions", value=[_distribution(layer=0)]), "B15", "distributions[0].layer: is not a layer"
    ),
    "tree: a distribution in a layer that is not there": Case(
        "tree", put("distributions", value=[_distribution(layer=2)]), "B15", "distributions[0].layer: is not a layer"
    ),
    "tree: a requirement that is a number": Case(
        "tree", put("distributions", value=[_distribution(requires=["a", 1])]), "B15", "distributions[0].requires"
    ),
    "tree: no layers": Case("tree", put("layers", value=[]), "B16", "different layers"),
    **{
        f"tree: the path {path!a}": Case("tree", _files(_row(path)), "C21", "")
        for path in (
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\x7fb",
            "a\u0085b",
            "a\u202eb",
            "a\u2066b",
            "a\u200bb",
            "\ufeffa",
            "a\u2028b",
            "a/.wh.b",
            ".wh..wh..opq",
            "x" * 1001,
            ".bundle/tree.json",
            ".bundle/TREE.json",
            ".Bundle/x",
            "site-packages/sitecustomize.py",
            "site-packages/SiteCustomize.py",
            "site-packages/bundle_runtime/boot.py",
        )
    },
    "tree: a file twice": Case(
        "tree", _files(_row("a", 0, EMPTY, False, 0), _row("a", 0, EMPTY, False, 0)), "C21", "occurs twice"
    ),
    "tree: a file twice, in another case": Case(
        "tree", _files(_row("a", 0, EMPTY, False, 0), _row("A", 0, EMPTY, False, 0)), "C21", "occurs twice"
    ),
    "tree: a file and its directory": Case(
        "tree", _files(_row("a", 0, EMPTY, False, 0), _row("a/b", 0, EMPTY, False, 0)), "C21", "both a file and"
    ),
    "tree: files that overlap": Case("tree", _files(_row("a", 9), _row("b", 9, offset=513)), "C21", "overlaps"),
    "tree: files in another order": Case(
        "tree", _files(_row("a", 0, offset=9), _row("b", 0, offset=8)), "C21", "overlap"
    ),
    "tree: a file beyond the layer": Case("tree", _files(_row("a", 1 << 40)), "C21", "outside its layer"),
    "tree: a negative offset": Case("tree", _files(_row("a", offset=-1)), "B16", "impossible"),
    "tree: a negative size": Case("tree", _files(_row("a", -6)), "B16", "impossible"),
    "tree: executable as a number": Case("tree", _files(_row("a", executable=1)), "B15", "is not a file"),
    "tree: a size as text": Case("tree", _files(_row("a", "6")), "B15", "is not a file"),
    "tree: a sha256 in upper case": Case("tree", _files(_row("a", sha256=HEX.upper())), "B16", "impossible"),
    "tree: a sha256 with a prefix": Case("tree", _files(_row("a", sha256="sha256:" + HEX)), "B16", "impossible"),
    "tree: a file of six columns": Case("tree", _files([*_row("a"), 0]), "B15", "is not a file"),
    "tree: another sha256": Case(
        "tree", _files(_row("site-packages/a.py", 6, offset=1024)), "C24", "not what was promised"
    ),
    "tree: too large": Case("tree", lambda _: b" " * 100, "B15", "strict JSON"),
}
