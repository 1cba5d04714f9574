"""Which requests go through a proxy, and that the proxy alone sees its login."""

from __future__ import annotations

from support.fetching import SECRET, blob, pin_of, run
from support.package_servers import ProxyHandler, Site, serving


def test_proxies_are_used_where_they_are_to_be(site, cache, pems):
    data = blob(1000)
    pin = pin_of(data, url="http://index.invalid/w")
    with serving(Site(), handler=ProxyHandler) as proxy:
        proxy.files["http://index.invalid/w"] = data
        login = proxy.base.replace("//", f"//me:{SECRET}@")
        for options in (
            {"proxy": login},
            {"environ": {"HTTP_PROXY": login, "no_proxy": "other.invalid"}},
            {"environ": {"all_proxy": login.removeprefix("http://")}},
        ):
            run(pin, cache, **options)
            cache.clear()
            assert proxy.requests[-1].headers["proxy-authorization"].startswith("Basic ")
            assert "authorization" not in proxy.requests[-1].headers
        assert len(proxy.requests) == 3
        for excluded in ("127.0.0.1", "127.0.0.0/8", "*", f"a, {site.base.removeprefix('http://')}"):
            run(pin_of(data, url=site.add("/w", data)), cache, environ={"http_proxy": login, "NO_PROXY": excluded})
            cache.clear()
        assert len(proxy.requests) == 3
        with serving(Site(), tls=pems[0]) as secure:
            run(pin_of(data, url=secure.add("/w", data)), cache, cert=pems[1], proxy=login)
            assert proxy.requests[-1].method == "CONNECT"
            assert "proxy-authorization" not in secure.requests[0].headers
