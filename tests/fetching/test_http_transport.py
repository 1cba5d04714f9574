"""Redirects, certificates, and what a server or a network without an answer is said to be."""

from __future__ import annotations

import pytest
from support.fetching import blob, fails, pin_of, run
from support.package_servers import Site, serving, status


@pytest.mark.parametrize("target", ["/w", "ftp://127.0.0.1/w", "file:///etc/passwd"])
def test_bad_redirects_are_refused(site, cache, target):
    pin = pin_of(blob(9), url=site.add("/w", blob(9), *[status(301, {"Location": target})] * 20))
    assert "redirects" in str(fails(pin, cache))
    assert len(site.requests) <= 11


def test_a_redirect_from_https_to_http_is_refused(site, cache, pems):
    site.add("/w", blob(9))
    with serving(Site(), tls=pems[0]) as secure:
        url = secure.add("/w", blob(9), status(302, {"Location": f"{site.base}/w"}))
        assert "not encrypted" in str(fails(pin_of(blob(9), url=url), cache, cert=pems[1]))
    assert site.requests == []


def test_certificates_are_verified(cache, pems):
    data = blob(1000)
    with serving(Site(), tls=pems[0]) as secure:
        pin = pin_of(data, url=secure.add("/w", data))
        error = fails(pin, cache)
        assert "certificate" in error.what
        assert "trusted-host" in error.hint
        host = secure.base.removeprefix("https://")
        fails(pin, cache, trusted_hosts=("127.0.0.1:1", "127.0.0"))
        assert secure.requests == []
        for options in ({"cert": pems[1]}, {"trusted_hosts": ("127.0.0.1",)}, {"trusted_hosts": (host,)}):
            run(pin, cache, **options)
            cache.clear()
        assert len(secure.requests) == 3


def test_a_certificate_file_that_is_none_is_named(cache, tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    pin = pin_of(blob(9), url="https://127.0.0.1:1/w")
    assert fails(pin, cache, cert=tmp_path / "ca.pem").where == str(tmp_path / "ca.pem")
    assert fails(pin, cache, client_cert=tmp_path / "no.pem").where == str(tmp_path / "no.pem")


@pytest.mark.parametrize(
    ("code", "word"), [(401, "credentials"), (403, "credentials"), (404, "lock again"), (410, "lock")]
)
def test_a_refusal_has_a_hint_and_is_not_repeated(site, cache, code, word):
    pin = pin_of(blob(9), url=site.add("/w", blob(9), *[status(code)] * 9))
    error = fails(pin, cache)
    assert word in error.hint
    assert str(code) in error.got
    assert len(site.requests) == 1


def test_d29_no_network_is_an_error_with_a_hint(cache):
    assert "network" in fails(pin_of(blob(9), url="http://127.0.0.1:1/w"), cache, retries=1).hint
    assert "network" in fails(pin_of(blob(9), url="http://does-not-exist.invalid/w"), cache, retries=0).hint
