"""Requirement files as people save them, and the options in them."""

from __future__ import annotations

import codecs

import pytest

from bundler.fetching.index_options import IndexOptions
from bundler.resolving.lines.requirement_files import read_requirement_files
from bundler.runtime.errors import BundleError, UsageError


def texts(path):
    return [(line.where, line.text) for line in read_requirement_files([path], environ={}).lines]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),  # what PowerShell's pip freeze > requirements.txt gives
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_a_mark_at_the_start_tells_the_encoding(tmp_path, mark, encoding):
    (tmp_path / "a.txt").write_bytes(mark + "# größer\r\nsix==1.16.0\r\n\r\nattrs\r\n".encode(encoding))
    assert texts(tmp_path / "a.txt") == [("a.txt:2", "six==1.16.0"), ("a.txt:4", "attrs")]


@pytest.mark.parametrize("said", ["# -*- coding: latin-1 -*-", "# vim: set fileencoding=latin1", "\n# coding=latin1"])
def test_a_comment_tells_the_encoding(tmp_path, said):
    (tmp_path / "a.txt").write_bytes(f"{said}\nsix  # größer\n".encode("latin-1"))
    assert [text for _, text in texts(tmp_path / "a.txt")] == ["six"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"six  # gr\xf6\xdfer\n", r"a\.txt: is not UTF-8 text; got byte 0xf6 at 9\n.*coding: latin-1"),
        (b"# coding: klingon\nsix\n", r"a\.txt: names an encoding that does not exist; got klingon"),
        (b"# coding: rot13\nsix\n", r"a\.txt: names an encoding that does not exist; got rot13"),
        (codecs.BOM_UTF16_LE + b"six", r"a\.txt: is not UTF-16-LE text"),
        (b"six\n" * (5 << 20), r"a\.txt: is too large"),
    ],
)
def test_text_that_is_none_is_refused_with_what_to_do(tmp_path, data, words):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(BundleError, match=words):
        texts(tmp_path / "a.txt")


def test_options_are_those_of_pip_wherever_they_stand(tmp_path):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "more.txt").write_text("--extra-index-url https://two.test/simple\n-f wheels\n--find-links=elsewhere\n")
    (tmp_path / "a.txt").write_text(
        "-i https://one.test/simple --trusted-host one.test\nsix\n-r more.txt\n--pre\n--prefer-binary\n"
        "--no-binary numpy,six\n--only-binary=attrs\n"
    )
    options = read_requirement_files([tmp_path / "a.txt"]).options
    indexes = options.on_top_of(
        IndexOptions(index_url="https://zero.test/", extra_index_urls=("https://two.test/simple",))
    )
    assert indexes.index_url == "https://one.test/simple"
    assert indexes.extra_index_urls == ("https://two.test/simple",)
    assert indexes.find_links == (str(tmp_path / "wheels"), "elsewhere")
    assert indexes.trusted_hosts == ("one.test",)
    assert (options.prereleases, options.prefer_wheels) == (True, True)
    assert options.formats == ["--no-binary=numpy", "--no-binary=six", "--only-binary=attrs"]
    assert options.ignored == {}


def test_options_that_change_nothing_are_listed(tmp_path):
    (tmp_path / "a.txt").write_text("--use-feature=fast-deps\nsix==1.16.0 --global-option='-x' --hash=sha256:a\n")
    assert list(read_requirement_files([tmp_path / "a.txt"]).options.ignored) == ["--use-feature", "--global-option"]


@pytest.mark.parametrize(
    "line", ["--pree", "--index-url", "--no-index=yes", "-x", "--index https://u:s3cr3t@one.test/"]
)
def test_an_option_that_pip_does_not_know_is_refused_with_its_line(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"six\n{line}\n")
    with pytest.raises(UsageError, match=r"a\.txt:2: is no option of a requirements file") as caught:
        texts(tmp_path / "a.txt")
    assert "s3cr3t" not in str(caught.value)
