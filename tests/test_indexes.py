from __future__ import annotations

import pytest

from bundler.indexes import IndexOptions, index_options, redacted
from bundler.runtime.errors import BundleError


@pytest.fixture(autouse=True)
def _no_pip_settings(monkeypatch, tmp_path):
    import os

    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_pips_files_and_variables_are_honoured_in_pips_order(monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://global.example.test/simple\nextra-index-url =\n    https://a.test/\n    https://b.test/\n"
        "timeout = 7\ntrusted-host = a.test\n[install]\nindex-url = https://install.example.test/simple\n"
    )
    options = index_options()
    assert options.index_url == "https://install.example.test/simple"
    assert options.extra_index_urls[-2:] == ("https://a.test/", "https://b.test/")
    assert options.timeout == 7
    assert options.trusted_hosts == ("a.test",)
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example.test/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert index_options().index_url == "https://variable.example.test/simple"
    assert index_options().no_index


def test_the_command_line_comes_on_top(tmp_path):
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://file.test/\nfind-links = /wheels\n")
    options = index_options(index_url="https://line.test/", find_links=["./more"])
    assert options.index_url == "https://line.test/"
    assert options.find_links[-2:] == ("/wheels", "./more")
    assert not options.no_index


def test_a_broken_pip_configuration_is_named(tmp_path):
    (tmp_path / "pip.conf").write_text("index-url without a section\n")
    with pytest.raises(BundleError, match="pip configuration"):
        index_options()
    (tmp_path / "pip.conf").write_text("[global]\ntimeout = soon\n")
    with pytest.raises(BundleError, match="timeout"):
        index_options()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@example.test/simple?sig=secret#secret", "https://example.test/simple"),
        ("https://secret@example.test:8443/", "https://example.test:8443/"),
        ("/a/path", "/a/path"),
        ("file:///a/path", "file:///a/path"),
    ],
)
def test_what_is_secret_in_a_url_is_not_shown(url, shown):
    assert redacted(url) == shown


def test_options_do_not_show_secrets():
    options = IndexOptions(
        index_url="https://user:secret@example.test/", extra_index_urls=("https://x:secret@b.test/",)
    )
    assert "secret" not in repr(options)
    assert "secret" not in str(options)
