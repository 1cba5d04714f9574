"""What indexes answer of a project: files, nothing, a refusal, or no answer at all."""

from __future__ import annotations

import hashlib

import pytest
from support.fetching import SECRET
from support.index_servers import IndexHandler, add_index, refuse
from support.package_servers import Site, serving, stall
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.fetching.index_pages import Link, read_index_pages


@pytest.fixture
def site():
    with serving(Site(), handler=IndexHandler) as site:
        yield site


def read(*asked, environ=None, **options):
    pages = read_index_pages(asked, IndexOptions(**options), environ or {})
    return {(page.index, page.name): page for page in pages}


def test_a_page_is_read_with_its_hashes_and_a_login_is_used_and_not_kept(site, tmp_path):
    wheel = make_wheel(tmp_path, "plain", "1.0+local")
    index = add_index(site, "/simple", wheel)
    site.login = f"me:{SECRET}"
    login = f"{index.replace('//', f'//me:{SECRET}@')}/?token={SECRET}"
    (page,) = read((login, "plain"), index_url=login).values()
    link = Link(f"{index}/files/{wheel.name}", hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert dict(page.files) == {wheel.name: link}
    assert page.refused is None


def test_other_spellings_of_links_and_other_hashes(site):
    page = "<A class=x HREF = '../../f/a%2Bb-1.0.zip?x=1&amp;y=2#md5=00'>x</A><a href=/n.whl>y</a>"
    site.add("/simple/plain/", page.encode())
    (page,) = read((f"{site.base}/simple", "plain")).values()
    assert dict(page.files) == {
        "a+b-1.0.zip": Link(f"{site.base}/f/a%2Bb-1.0.zip?x=1&y=2", None),
        "n.whl": Link(f"{site.base}/n.whl", None),
    }


def test_an_index_may_be_a_directory(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/index.html").write_text('<a href="../files/plain-1.0.whl">plain</a>')
    pages = read((tmp_path.as_uri(), "plain"), (tmp_path.as_uri(), "other"))
    assert list(pages[tmp_path.as_uri(), "plain"].files) == ["plain-1.0.whl"]
    assert pages[tmp_path.as_uri(), "other"].files == {}


def test_a_refusal_is_told_from_nothing(site):
    index = refuse(site, "/simple", "plain", 403)
    pages = read((index, "plain"), (index, "other"))
    assert pages[index, "plain"].refused == "403 Forbidden"
    assert pages[index, "other"].refused is None


def test_an_index_that_does_not_answer_is_not_waited_for_again_and_again(site):
    names = [f"name{number}" for number in range(40)]
    for name in names:
        site.add(f"/simple/{name}/", b"x", stall(3))
    pages = read(*((f"{site.base}/simple", name) for name in names), timeout=0.5)
    assert len(pages) == 40
    assert len(site.requests) <= 8
