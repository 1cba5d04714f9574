"""Credentials are sent where they belong and nowhere else, and no message shows them."""

from __future__ import annotations

import sys

from support.fetching import SECRET, blob, fails, pin_of, run
from support.package_servers import cut, html, other_bytes, status


def test_credentials_come_from_the_url_the_index_and_netrc(site, cache, tmp_path):
    site.login = f"me@x:{SECRET}/"
    quoted = f"me%40x:{SECRET}%2F"
    data = blob(1000)
    url = site.add("/files/w", data)
    with_login = url.replace("//", f"//{quoted}@")
    run(pin_of(data, url=with_login), cache)
    cache.clear()
    wrong = url.replace("//", "//me:no@").replace("/files/w", "/simple")
    run(pin_of(data, url=url), cache, index_url=wrong, extra_index_urls=(with_login.replace("/w", "/simple"),))
    cache.clear()
    netrc = tmp_path / ".netrc"
    netrc.write_text(f'default login a password b\nmachine 127.0.0.1 login me@x password "{SECRET}/"\n')
    netrc.chmod(0o600)
    run(pin_of(data, url=url), cache, environ={"HOME": str(tmp_path)})
    cache.clear()
    run(pin_of(data, url=url), cache, environ={"NETRC": str(netrc)})
    cache.clear()
    assert "credentials" in fails(pin_of(data, url=url), cache).hint


def test_redirects_are_followed_and_credentials_stay_at_their_host(site, other, cache):
    data = blob(1000)
    other.add("/there", data)
    site.login = f"me:{SECRET}"
    url = site.add("/w", data, status(302, {"Location": "/again"}))
    site.faults["/again"] = [status(307, {"Location": f"{other.base}/there"})]
    run(pin_of(data, url=url.replace("//", f"//me:{SECRET}@")), cache)
    assert "authorization" not in other.requests[0].headers


def test_a_default_entry_of_netrc_goes_nowhere(site, cache, tmp_path):
    (tmp_path / ".netrc").write_text("default login a password b\n")
    run(pin_of(blob(9), url=site.add("/w", blob(9))), cache, environ={"HOME": str(tmp_path)})
    assert "authorization" not in site.requests[0].headers


def test_an_index_at_another_port_gives_no_credentials(site, other, cache):
    index = other.base.replace("//", f"//me:{SECRET}@")
    run(pin_of(blob(9), url=site.add("/w", blob(9))), cache, index_url=index)
    assert "authorization" not in site.requests[0].headers


def test_a_broken_netrc_is_named_and_not_quoted(site, cache, tmp_path):
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me pass {SECRET}\n")
    error = fails(pin_of(blob(9), url=site.add("/w", blob(9))), cache, environ={"HOME": str(tmp_path)})
    assert error.where == str(tmp_path / ".netrc")


def test_the_keyring_is_asked_when_the_server_asks(site, cache, tmp_path, monkeypatch):
    (tmp_path / "keyring.py").write_text(
        "from types import SimpleNamespace\n"
        "def get_credential(service, user):\n"
        f"    return SimpleNamespace(username='me', password='{SECRET}') if service.endswith('/simple') else None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    site.login = f"me:{SECRET}"
    run(pin_of(blob(9), url=site.add("/w", blob(9))), cache, index_url=f"{site.base}/simple")
    assert ["authorization" in request.headers for request in site.requests] == [False, True]
    monkeypatch.delitem(sys.modules, "keyring", raising=False)


def test_secrets_are_in_no_message(site, cache):
    for fault in (status(403), status(503), cut(3), html, other_bytes, status(302, {"Location": f"ftp://x/{SECRET}"})):
        url = site.add("/w", blob(9), *[fault] * 9).replace("//", f"//me:{SECRET}@") + f"?token={SECRET}"
        fails(pin_of(blob(9), url=url), cache, retries=0)
    dead = pin_of(blob(9), url=f"http://me:{SECRET}@127.0.0.1:1/w?token={SECRET}")
    fails(dead, cache, retries=0)
    fails(dead, cache, retries=0, proxy=f"http://me:{SECRET}@127.0.0.1:1")
    fails(dead, cache, retries=0, proxy=f"socks5://me:{SECRET}@127.0.0.1:1")
    fails(pin_of(blob(9), url=f"http://me:{SECRET}@127.0.0.1:port/w"), cache, retries=0)
