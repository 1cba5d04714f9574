from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.fetching.index_options import IndexOptions, index_options, redacted, redacted_text
from bundler.runtime.errors import BundleError, UsageError


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
        ("git+https://user:secret@example.test/a@v1", "git+https://example.test/a@v1"),
        ("https://user:se?secret@example.test/", "https://…"),
        ("https://user:secret@[not an address/simple", "https://[not an address/simple"),
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


@pytest.mark.parametrize("quiet", ["variable", "file"])
def test_a_quiet_pip_still_tells_its_configuration(monkeypatch, tmp_path, quiet):
    text = "[global]\nindex-url = https://mirror.example.test/\n"
    if quiet == "variable":
        monkeypatch.setenv("PIP_QUIET", "9")
    else:
        text += "quiet = 3\n"
    (tmp_path / "pip.conf").write_text(text)
    assert index_options().index_url == "https://mirror.example.test/"


def test_an_older_name_of_an_option_is_the_same_option(monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text("[global]\ntimeout = 7\n")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "180")
    assert index_options().timeout == 180


def test_values_with_quotes_and_equal_signs_arrive_as_they_are(monkeypatch):
    url = 'https://user:it\'s="a"secret@example.test/simple?a=b'
    monkeypatch.setenv("PIP_INDEX_URL", url)
    assert index_options().index_url == url


@pytest.mark.parametrize(
    ("value", "expected"), [("yes", True), ("on", True), ("t", True), ("off", False), ("0", False)]
)
def test_no_index_is_spelled_as_pip_spells_it(monkeypatch, value, expected):
    monkeypatch.setenv("PIP_NO_INDEX", value)
    assert index_options().no_index is expected


@pytest.mark.parametrize("name", ["PIP_NO_INDEX", "PIP_TIMEOUT", "PIP_RETRIES"])
@pytest.mark.parametrize("value", ["maybe", "nan", "-1"])
def test_a_setting_that_is_no_number_or_flag_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    # Of some of them pip itself says so.
    with pytest.raises(BundleError, match=f"pip configuration: .*{value}"):
        index_options()


def test_the_environment_is_an_argument(tmp_path):
    import os

    environ = {**os.environ, "PIP_INDEX_URL": "https://given.example.test/"}
    assert index_options(environ=environ).index_url == "https://given.example.test/"
    assert index_options().index_url is None


def test_urls_in_a_text_are_redacted_and_the_text_stays():
    text = "error for url (https://user:secret@example.test/a?sig=secret), see `http://secret@b.test/`."
    assert redacted_text(text) == "error for url (https://example.test/a), see `http://b.test/`."


SECRETS = st.from_regex("[A-Z0-9]{8}", fullmatch=True)


@given(
    SECRETS, st.sampled_from(["{}", "u:{}", "{}:p", "u:a{}?", "u:#{}"]), st.sampled_from(["", "?{}", "#{}", "?a@{}"])
)
def test_no_secret_of_a_url_is_ever_shown(secret, login, rest):
    url = f"https://{login}@example.test/simple{rest}".replace("{}", secret)
    assert secret not in redacted(url)
    assert secret not in redacted_text(f"see ({url}) and {url}.")


def test_a_project_may_have_an_index_of_its_own():
    options = index_options(index_for=["Torch_Vision=https://own.example.test/simple?a=b", "torch=file:///own"])
    assert options.index_for == (
        ("torch-vision", "https://own.example.test/simple?a=b"),
        ("torch", "file:///own"),
    )
    assert options.strategy == "best"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["torch"], "NAME=URL"),
        (["torch=cpu"], "NAME=URL"),
        (["=https://own.example.test/"], "NAME=URL"),
        (["to rch=https://own.example.test/"], "NAME=URL"),
        (["torch=https://u:secret@a.test/", "Torch=https://b.test/"], "names two indexes for torch"),
    ],
)
def test_an_index_for_a_name_that_is_not_understood_is_a_usage_error_without_its_login(texts, words):
    with pytest.raises(UsageError, match=words) as caught:
        index_options(index_for=texts)
    assert "secret" not in str(caught.value)


def test_an_index_for_a_name_contradicts_no_index(monkeypatch):
    with pytest.raises(UsageError, match="--no-index"):
        index_options(index_for=["torch=https://own.example.test/"], no_index=True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UsageError, match="--no-index"):
        index_options(index_for=["torch=https://own.example.test/"])
