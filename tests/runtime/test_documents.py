from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.image_factory import make_image

from bundler.runtime import documents
from bundler.runtime.documents import (
    Config,
    File,
    Manifest,
    digest_of,
    files_from_json,
    is_tree_path,
    parse_digest,
    parse_json,
    to_json,
)
from bundler.runtime.errors import ContentError
from bundler.runtime.indexes import Index

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":1,"a":2}', id="duplicate key"),
        pytest.param(b'{"a":1.0}', id="float"),
        pytest.param(b'{"a":1e3}', id="exponent"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":Infinity}', id="infinity"),
        pytest.param(b'{"a":' + b"9" * 30 + b"}", id="huge integer"),
        pytest.param(b"\xef\xbb\xbf{}", id="BOM"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":"\\ud800"}', id="surrogate"),
        pytest.param(b"[" * 100_000, id="deep nesting"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b"", id="empty"),
    ],
)
def test_b15_refuses_json_that_is_not_strict(data):
    with pytest.raises(ContentError) as caught:
        parse_json(data, "doc.json")
    assert caught.value.rule == "B15"
    assert caught.value.where == "doc.json"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("nest", ["[%s]", '{"a":%s}', "[0,[],%s]", '["]",%s]', '["\\\\",%s]', '{"[\\"[":%s}'])
def test_b15_nesting_is_bounded_by_us_and_not_by_the_parser(nest):
    def nested(depth):
        text = "[]"
        for _ in range(depth - 1):
            text = nest % text
        return text.encode()

    parse_json(nested(32), "doc.json")
    with pytest.raises(ContentError, match="nested more than 32 deep"):
        parse_json(nested(33), "doc.json")


def test_b15_brackets_in_strings_are_no_nesting():
    assert parse_json(b'{"a":"' + b"[{" * 99 + b'"}', "doc.json") == {"a": "[{" * 99}


def test_b15_refuses_a_document_over_its_limit():
    with pytest.raises(ContentError, match="too large"):
        parse_json(b'"' + b"a" * 100 + b'"', "doc.json", limit=50)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**16), 10**16) | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    )
)
def test_canonical_json_reads_back_as_itself(value):
    data = to_json(value)
    assert parse_json(data, "doc") == value
    assert to_json(parse_json(data, "doc")) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        "sha256:" + HEX.upper(),
        "sha512:" + HEX,
        "sha256:" + HEX + "0",
        "sha256:" + HEX[:-1] + "\u212a",
        " sha256:" + HEX,
        "sha256:" + HEX + "\n",
        None,
        7,
    ],
)
def test_b16_refuses_what_is_not_exactly_a_digest(text):
    with pytest.raises(ContentError) as caught:
        parse_digest(text, "layers[0].digest")
    assert caught.value.rule == "B16"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    files = {"site-packages/a.py": b"a = 1\n", "bin/a": b"#!/usr/bin/env python3\n"}
    return make_image(tmp_path_factory.mktemp("image"), files, {"site-packages/b.py": b"b" * 200_000})


def _set(value, path, new):
    *parents, last = path
    for part in parents:
        value = value[part]
    if new is _set:
        del value[last]
    else:
        value[last] = new


MANIFEST_FAULTS = [
    (["schemaVersion"], 3, "B16", "m"),
    (["mediaType"], "text/plain", "B16", "m"),
    (["config"], None, "B15", "m.config"),
    (["config", "size"], -1, "B16", "m.config.size"),
    (["config", "size"], True, "B15", "m.config.size"),
    (["config", "digest"], "sha256:0", "B16", "m.config.digest"),
    (["config", "mediaType"], "x", "B16", "m.config"),
    (["layers"], [], "B16", "m.layers"),
    (["layers", 1, "urls"], ["http://example.test/"], "B16", "m.layers[1].urls"),
    (["layers", 1, "size"], "7", "B15", "m.layers[1].size"),
    (["layers", 1, "size"], 7, "C21", "m.layers[1].annotations.dev.bundler.frames"),
    (["layers", 1, "mediaType"], "application/x-tar", "B16", "m.layers"),
    (["layers", 1, "annotations", "dev.bundler.frames"], "", "B15", "m.layers[1].annotations.dev.bundler.frames[0]"),
    (
        ["layers", 1, "annotations", "dev.bundler.frames"],
        f"99999999:7:{HEX}",
        "C20",
        "m.layers[1].annotations.dev.bundler.frames[0]",
    ),
    (["layers", 1, "annotations"], _set, "B15", "m.layers[1].annotations"),
]


@pytest.mark.parametrize(("path", "new", "rule", "where"), MANIFEST_FAULTS)
def test_says_where_a_manifest_is_wrong(image, path, new, rule, where):
    value = json.loads(image.blobs[image.digest])
    _set(value, path, new)
    with pytest.raises(ContentError) as caught:
        Manifest.parse(to_json(value), "m")
    assert (caught.value.rule, caught.value.where) == (rule, where)


def test_a_manifest_reads_back_as_itself(image):
    data = image.blobs[image.digest]
    assert to_json(Manifest.parse(data, "m").to_json()) == data


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (["config", "Labels", "dev.bundler.format"], "2"),
        (["config", "Labels", "dev.bundler.tree.digest"], "sha256:x"),
        (["config", "Labels", "dev.bundler.tree.size"], "-1"),
        (["config", "Labels", "dev.bundler.tree.offset"], "1e3"),
        (["config", "Labels"], []),
        (["rootfs", "diff_ids", 0], "sha256:x"),
        (["rootfs"], _set),
    ],
)
def test_refuses_a_wrong_image_config(image, path, new):
    value = json.loads(image.blobs[image.manifest.config.digest])
    _set(value, path, new)
    with pytest.raises(ContentError):
        Config.parse(to_json(value), "c")


INDEX_FAULTS = [
    (["format"], 2, "B15", ".bundle/tree.json"),
    (["surprise"], 1, "B15", "surprise"),
    (["target", "python"], "3.7", "B15", "target.python"),
    (["target", "abi"], _set, "B15", "target"),
    (["libc_version"], "x", "B15", "libc_version.libc_version"),
    (["bytecode"], 3, "B15", ".bundle/tree.json"),
    (["distributions", 0, "size"], -1, "B16", "distributions[0].size"),
    (["distributions", 0, "extra"], 1, "B15", "distributions[0].extra"),
    (["layers", 0, "diff_id"], "x", "B16", "layers[0].diff_id"),
    (["layers", 0, "files", 0], {}, "B15", "layers[0].files[0]"),
    (["layers", 0, "files", 0, 1], -1, "B16", "layers[0].files[0]"),
    (["layers", 0, "files", 0, 2], HEX.upper(), "B16", "layers[0].files[0]"),
    (["layers", 0, "files", 0, 3], 1, "B15", "layers[0].files[0]"),
    (["layers", 0, "files", 1, 4], 0, "C21", "layers[0].files[1]"),
    (["layers", 0, "files", 1, 4], 10**9, "C21", "layers[0].files[1]"),
    (["layers", 0, "files", 0, 0], "../x", "C21", "layers[0].files[0]"),
    (["layers", 0, "files", 0, 0], "/x", "C21", "layers[0].files[0]"),
    (["layers", 0, "files", 0, 0], "a/./x", "C21", "layers[0].files[0]"),
    (["layers", 0, "files", 0, 0], "a\0x", "C21", "layers[0].files[0]"),
    (["layers", 0, "files", 0, 0], ".bundle/x", "C21", ".bundle/x"),
    (["layers", 0, "files", 0, 0], "site-packages/A.PY", "C21", "site-packages/a.py"),
    (["layers", 0, "files", 0, 0], "site-packages", "C21", "site-packages"),
    (["layers", 0, "files", 0, 0], "site-packages/b.py", "C21", "site-packages/b.py"),
]


@pytest.mark.parametrize(("path", "new", "rule", "where"), INDEX_FAULTS)
def test_says_where_an_index_is_wrong(image, path, new, rule, where):
    value = json.loads(image.tree.to_bytes())
    _set(value, path, new)
    with pytest.raises(ContentError) as caught:
        Index.parse(to_json(value))
    assert (caught.value.rule, caught.value.where) == (rule, where)


def test_an_index_reads_back_as_itself(image):
    data = image.tree.to_bytes()
    assert digest_of(data) == image.tree_digest
    assert Index.parse(data).to_bytes() == data


@given(st.text())
def test_a_tree_path_never_leaves_the_root(path):
    import posixpath

    if is_tree_path(path):
        assert posixpath.normpath("/root/" + path) == "/root/" + path


ROW = ["a/b.py", 6, HEX, False, 512]
WRONG = {
    0: ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", ".wh.a", "a/.wh.a", "a\\b", "a\nb", "\n", "a\x7f", "\ud800",
        "a\u202eb", "a" * 1001, None, 7, b"a"],
    1: [-1, True, 1.0, "1", None],
    2: ["", HEX[:-1], HEX + "0", HEX.upper(), HEX[:-1] + "\n", HEX[:-1] + "\u0661", None],
    3: [0, 1, None, "False"],
    4: [-1, False, 2.0, "2", None],
}  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        *([*ROW[:at], value, *ROW[at + 1 :]] for at, values in WRONG.items() for value in values),
        [], ROW[:-1], [*ROW, 0], tuple(ROW), dict.fromkeys("abcde"), "abcde", None,
    ],
    ids=repr,
)  # fmt: skip
def test_one_bad_file_among_good_ones_is_named(row):
    with pytest.raises(ContentError) as caught:
        files_from_json([ROW, row, ROW], "layers[0].files")
    with pytest.raises(ContentError) as alone:
        File.from_json(row, "layers[0].files[1]")
    assert str(caught.value) == str(alone.value)


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("ab./\\\n\x00\u00e9\u202e")) | st.sampled_from(["a", "a/b", "..", ".wh.a"]),
            st.sampled_from([0, 1, 1 << 40, -1, True]),
            st.sampled_from([HEX, HEX.upper(), HEX[1:]]),
            st.sampled_from([True, False, 0]),
            st.sampled_from([0, 512, -1, None]),
        ).map(list)
    )
)
def test_many_files_are_held_to_what_one_is_held_to(rows):
    def answer(function):
        try:
            return function()
        except ContentError as error:
            return str(error)

    one_by_one = answer(lambda: [File.from_json(row, f"files[{n}]") for n, row in enumerate(rows)])
    assert answer(lambda: files_from_json(rows, "files")) == one_by_one


def test_plain_files_are_checked_all_at_once(monkeypatch):
    monkeypatch.setattr(documents.File, "from_json", None)
    assert files_from_json([ROW, ["c", 0, HEX, True, 600]], "files")[1].path == "c"
