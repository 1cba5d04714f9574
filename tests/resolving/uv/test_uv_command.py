"""The indexes of the user reach uv, and their credentials nobody else; a uv that fails is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import uv
from support.package_servers import Handler, Request, Site, WithHead, serving, status
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.runtime.errors import BundleError


def chosen(lock):
    return [pin.filename for pin in lock.pins]


@pytest.fixture
def site(shelf):
    """An index of what is on the shelf, at ``/simple``; put wheels there, then call ``open``."""

    def page(wheels, hashes):
        links = []
        for wheel in wheels:
            fragment = f"#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}" if hashes else ""
            links.append(f'<a href="/files/{wheel.name}{fragment}">{wheel.name}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()

    def opened(*, hashes=True):
        wheels = sorted(shelf.directory.iterdir())
        for name in {wheel.name.partition("-")[0] for wheel in wheels}:
            listed = page([wheel for wheel in wheels if wheel.name.startswith(f"{name}-")], hashes)
            site.add(f"/simple/{name}/", listed, *[status(200, {"Content-Type": "text/html"}, listed)] * 9)
        for wheel in wheels:
            site.add(f"/files/{wheel.name}", wheel.read_bytes())
        return site

    site = Site()
    site.open = opened
    with serving(site, handler=WithHead):
        yield site


def index_of(site, **options):
    return IndexOptions(index_url=f"{site.base}/simple", retries=0, **options)


@pytest.mark.parametrize("hashes", [True, False])
def test_wheels_of_an_index_are_pinned_by_url_and_hash_whether_it_lists_hashes_or_not(shelf, ask, site, hashes):
    wheel = shelf("plain", "1.0")
    (pin,) = ask("plain", indexes=index_of(site.open(hashes=hashes))).pins
    assert pin.url == f"{site.base}/files/{wheel.name}"
    assert pin.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_of_several_indexes_the_best_version_of_all_is_chosen(shelf, ask, site, tmp_path):
    shelf("plain", "1.0")
    more = make_wheel(tmp_path / "more", "plain", "2.0")
    indexes = index_of(site.open(), find_links=(str(more.parent),))
    assert chosen(ask("plain", indexes=indexes)) == [more.name]
    site.add(f"/files/{more.name}", more.read_bytes())
    listed = f'<!DOCTYPE html><html><body><a href="/files/{more.name}">{more.name}</a></body></html>'.encode()
    site.add("/newer/plain/", listed, *[status(200, {"Content-Type": "text/html"}, listed)] * 9)
    for first, second in (("simple", "newer"), ("newer", "simple"), ("none", "newer")):
        indexes = IndexOptions(index_url=f"{site.base}/{first}", extra_index_urls=(f"{site.base}/{second}",), retries=0)
        assert chosen(ask("plain", indexes=indexes)) == [more.name]


def test_a_login_is_used_and_never_shown_or_locked(shelf, ask, site):
    wheel = shelf("plain", "1.0")
    site.open().login = "user:s3cr3t"
    base = site.base.replace("://", "://user:s3cr3t@")
    assert chosen(ask("plain", indexes=IndexOptions(index_url=f"{base}/simple"))) == [wheel.name]
    lock = ask(f"plain @ {base}/files/{wheel.name}", indexes=IndexOptions(no_index=True))
    assert "s3cr3t" not in lock.to_toml()
    assert f"{site.base}/files/{wheel.name}" in lock.to_toml()


@pytest.mark.parametrize(
    ("code", "words"),
    [(500, "500"), (404, "plain: was not found"), (401, "access to plain is refused")],
)
def test_an_index_that_fails_is_named_without_its_login(shelf, ask, site, code, words):
    shelf("plain", "1.0")
    site.open()
    site.faults["/simple/plain/"] = [status(code)] * 9
    url = site.base.replace("://", "://user:s3cr3t@") + "/simple?token=s3cr3t"
    with pytest.raises(BundleError, match=words) as caught:
        ask("plain", indexes=IndexOptions(index_url=url, retries=0))
    assert site.base in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in caught.value.fault


def test_the_width_of_the_terminal_changes_no_error(shelf, ask, site, monkeypatch):
    shelf("plain", "1.0")
    site.open()
    site.faults["/simple/plain/"] = [status(500)] * 9
    faults = set()
    for columns in ("20", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        with pytest.raises(BundleError) as caught:
            ask("plain", indexes=index_of(site))
        faults.add(caught.value.fault)
    assert len(faults) == 1


def test_a_page_of_another_kind_is_no_index(shelf, ask, site):
    shelf("plain", "1.0")
    site.open()
    site.faults["/simple/plain/"] = [status(200, {"Content-Type": "text/plain"}, b"hello")] * 9
    with pytest.raises(BundleError, match="Expected JSON or HTML"):
        ask("plain", indexes=index_of(site))


@pytest.mark.parametrize("number", [200, 401, 403, 404])
def test_an_index_that_does_not_have_it_is_an_error_without_credentials(ask, number):
    class Page(Handler):
        def do_GET(self):
            self.request_log = Request("GET", self.path, {})
            self.answer(number, {"Content-Type": "text/html"}, b"<html><body>Please log in</body></html>")

    with serving(Site(), handler=Page) as site:
        url = site.base.replace("://", "://user:secret@") + "/simple"
        with pytest.raises(BundleError) as caught:
            ask("plain", indexes=IndexOptions(index_url=url, retries=0))
    assert caught.value.exit_code == 1
    assert "secret" not in str(caught.value)
    assert caught.value.hint is not None


def test_an_index_that_cannot_be_reached_is_named(ask):
    with pytest.raises(BundleError, match=r"127\.0\.0\.1:9") as caught:
        ask("plain", indexes=IndexOptions(index_url="http://user:secret@127.0.0.1:9/simple", retries=0, timeout=2))
    assert "secret" not in str(caught.value)


def test_find_links_that_cannot_be_reached_are_named_without_their_login(ask):
    place = "http://user:s3cr3t@127.0.0.1:9/wheels?sig=s3cr3t"
    with pytest.raises(BundleError, match=r"127\.0\.0\.1:9/wheels") as caught:
        ask("plain", indexes=IndexOptions(no_index=True, find_links=(place,), retries=0, timeout=2))
    assert "s3cr3t" not in str(caught.value)


def test_a_find_links_directory_that_is_not_there_is_named(ask, tmp_path):
    with pytest.raises(BundleError, match="nowhere"):
        ask("plain", indexes=IndexOptions(no_index=True, find_links=(str(tmp_path / "nowhere"),)))


def test_offline_only_what_is_cached_is_found(shelf, ask, site):
    shelf("plain", "1.0")
    indexes = index_of(site.open())
    with pytest.raises(BundleError, match="offline") as caught:
        ask("plain", indexes=indexes, offline=True)
    assert "--offline" in caught.value.hint
    ask("plain", indexes=indexes)
    asked = len(site.requests)
    assert chosen(ask("plain", indexes=indexes, offline=True)) == ["plain-1.0-py3-none-any.whl"]
    assert len(site.requests) == asked


def test_the_users_uv_configuration_changes_nothing(shelf, ask, monkeypatch):
    for version in ("1.0", "2.0"):
        shelf("plain", version)
    monkeypatch.setenv("UV_RESOLUTION", "lowest")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    assert chosen(ask("plain")) == ["plain-2.0-py3-none-any.whl"]


def test_credentials_are_not_on_the_command_line_that_others_can_read(ask, stand_in, tmp_path, monkeypatch):
    body = f"json.dump([sys.argv, dict(os.environ)], open({str(tmp_path / 'told')!r}, 'w')); sys.exit('stop')"
    stand_in(body)
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2001-01-01")
    secret = "https://user:s3cr3t@example.test"
    indexes = IndexOptions(
        index_url=f"{secret}/simple",
        extra_index_urls=(f"{secret}/a", f"{secret}/b"),
        find_links=(f"{secret}/wheels", str(tmp_path)),
        proxy="http://user:s3cr3t@proxy.example.test:8080",
        cert=Path("/certificates/ca.pem"),
        timeout=0.5,
    )
    with pytest.raises(BundleError):
        ask(f"plain @ {secret}/plain-1.0-py3-none-any.whl", indexes=indexes)
    arguments, environment = json.loads((tmp_path / "told").read_text())
    assert "s3cr3t" not in " ".join(arguments)
    assert environment["UV_DEFAULT_INDEX"] == f"{secret}/simple"
    assert environment["UV_INDEX"] == f"{secret}/a {secret}/b"
    assert environment["https_proxy"] == environment["ALL_PROXY"] == indexes.proxy
    assert environment["SSL_CERT_FILE"] == "/certificates/ca.pem"
    assert environment["UV_HTTP_TIMEOUT"] == "1"
    assert "UV_EXCLUDE_NEWER" not in environment


@pytest.mark.parametrize("body", ["os.kill(os.getpid(), 9)", "sys.exit(3)"])
def test_a_uv_that_dies_without_a_word_is_an_error(ask, stand_in, body):
    stand_in(body)
    with pytest.raises(BundleError, match="ended with status"):
        ask("plain")


def test_a_missing_uv_is_an_error(ask, monkeypatch):
    def missing():
        raise FileNotFoundError("uv")

    monkeypatch.setattr(uv, "find_uv_bin", missing)
    with pytest.raises(BundleError, match="uv: cannot be run"):
        ask("plain")
