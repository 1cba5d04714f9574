"""The certificates that pip would use are those that uv and our own transport use."""

from __future__ import annotations

import time

import pytest
from support.fetching import blob, fails, pin_of, run
from support.index_servers import IndexHandler, add_index
from support.package_servers import Site, certified, serving
from support.wheel_factory import make_wheel

from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import IndexOptions
from bundler.reporters import Reporter
from bundler.resolving.resolver import resolve
from bundler.runtime.errors import BundleError
from bundler.targets import PRESETS

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch):
    for name in (*VARIABLES, "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certified(tmp_path_factory.mktemp("certified"))


@pytest.fixture
def index(tls, tmp_path):
    with serving(Site(), tls=tls[0], handler=IndexHandler) as site:
        yield add_index(site, "/simple", make_wheel(tmp_path, "plain", "1.0"))


@pytest.fixture
def resolved_and_fetched(cache, index, tmp_path):
    def resolved_and_fetched(**options):
        indexes = IndexOptions(index_url=index, timeout=5, **options)
        target = PRESETS["azureml-py37"]
        lock = resolve(["plain"], target=target, indexes=indexes, cache_dir=tmp_path / "uv", reporter=Reporter())
        return list(fetch(lock.pins, cache=cache, indexes=indexes, jobs=1, offline=False, reporter=Reporter()))

    return resolved_and_fetched


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_honoured_where_pip_has_no_setting(resolved_and_fetched, monkeypatch, tls, name):
    monkeypatch.setenv(name, str(tls[1]))
    assert len(resolved_and_fetched()) == 1


def test_pips_setting_is_honoured_and_comes_before_the_variables(resolved_and_fetched, monkeypatch, tls, tmp_path):
    (tmp_path / "other.pem").write_bytes(certified(tmp_path)[1].read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    assert len(resolved_and_fetched(cert=tls[1])) == 1


@pytest.mark.parametrize(
    ("name", "words"), [(None, "PIP_CERT, REQUESTS_CA_BUNDLE"), ("CURL_CA_BUNDLE", "that CURL_CA_BUNDLE names")]
)
def test_without_the_right_one_the_hint_says_which_was_used_and_nothing_is_retried(
    resolved_and_fetched, index, cache, monkeypatch, tmp_path, name, words
):
    environ = {}
    if name is not None:
        environ = {name: str(certified(tmp_path)[1])}
        monkeypatch.setenv(name, environ[name])
    started = time.monotonic()
    with pytest.raises(BundleError, match="certificate cannot be verified") as caught:
        resolved_and_fetched(retries=5)
    assert words in caught.value.hint
    error = fails(pin_of(blob(9), url=f"{index}/w"), cache, retries=5, environ=environ)
    assert "certificate cannot be verified" in error.what
    assert words in error.hint
    assert time.monotonic() - started < 10


def test_a_file_that_is_not_there_is_named(resolved_and_fetched, monkeypatch, index, cache, tmp_path):
    nowhere = tmp_path / "nowhere.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(nowhere))
    with pytest.raises(BundleError, match="certificate") as caught:
        resolved_and_fetched()
    assert f"{nowhere}, which is not there" in caught.value.hint
    error = fails(pin_of(blob(9), url=f"{index}/w"), cache, environ={"REQUESTS_CA_BUNDLE": str(nowhere)})
    assert error.where == str(nowhere)
    assert "REQUESTS_CA_BUNDLE" in error.hint


def test_a_directory_of_certificates_is_taken_too(cache, tls, tmp_path):
    import subprocess

    (tmp_path / "authorities").mkdir()
    (tmp_path / "authorities" / "one.pem").write_bytes(tls[1].read_bytes())
    subprocess.run(["openssl", "rehash", tmp_path / "authorities"], check=True)
    with serving(Site(), tls=tls[0]) as site:
        pin = pin_of(blob(9), url=site.add("/w", blob(9)))
        run(pin, cache, environ={"REQUESTS_CA_BUNDLE": str(tmp_path / "authorities")})


def test_a_server_that_does_not_speak_tls_is_asked_once(site, cache):
    url = site.add("/w", blob(9)).replace("http:", "https:")
    error = fails(pin_of(blob(9), url=url), cache, retries=5)
    assert error.what.startswith("TLS failed")
    assert "after" not in error.what
    assert "TLS at that port" in error.hint
