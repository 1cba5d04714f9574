"""Several indexes: which counts, what two of them offer, and what one of them refuses."""

from __future__ import annotations

import pytest
from support.fetching import Heard
from support.index_servers import IndexHandler, add_index, refuse
from support.package_servers import Site, serving
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.resolving.resolver import resolve
from bundler.runtime.errors import BundleError
from bundler.targets import PRESETS


@pytest.fixture
def site():
    with serving(Site(), handler=IndexHandler) as site:
        yield site


@pytest.fixture
def wheel(tmp_path):
    return lambda name, version: make_wheel(tmp_path / version, name, version)


@pytest.fixture
def ask(tmp_path):
    """Resolve; return the wheels with their places, and the warnings."""

    def ask(*requirements, offline=False, **options):
        heard = Heard()
        lock = resolve(
            requirements,
            target=PRESETS["azureml-py37"],
            indexes=IndexOptions(retries=0, **options),
            cache_dir=tmp_path / "uv",
            offline=offline,
            reporter=heard,
        )
        return [(str(pin.version), (pin.url or "//local").split("/")[3:4]) for pin in lock.pins], heard.warnings

    return ask


def test_best_is_the_best_of_all_and_first_the_first_that_has_it_extra_ones_before_the_index(ask, site, wheel):
    old, new = add_index(site, "/old", wheel("plain", "1.0")), add_index(site, "/new", wheel("plain", "2.0"))
    for index, extra in ((old, new), (new, old)):
        assert ask("plain", index_url=index, extra_index_urls=(extra,))[0] == [("2.0", ["new"])]
        found = ask("plain", index_url=index, extra_index_urls=(extra,), strategy="first")[0]
        assert found == [("1.0", ["old"]) if extra == old else ("2.0", ["new"])]


@pytest.mark.parametrize("strategy", ["best", "first"])
def test_what_two_indexes_offer_is_a_warning_that_names_both_and_the_one_it_came_from(ask, site, wheel, strategy):
    old = add_index(site, "/old", wheel("plain", "1.0"), wheel("other", "1.0"))
    new = add_index(site, "/new", wheel("plain", "2.0"), wheel("other", "2.0"), wheel("single", "1.0"))
    login = new.replace("//", "//me:s3cr3t@")
    _, (warning,) = ask("plain", "other", "single", index_url=old, extra_index_urls=(login,), strategy=strategy)
    assert warning.startswith(f"other, plain: are offered by {new} and by {old}; taken from {new}")
    assert "--index-for other=URL" in warning


def test_there_is_no_warning_for_the_same_file_nor_for_a_name_with_its_own_index_nor_for_find_links(
    ask, site, wheel, tmp_path
):
    old, new = add_index(site, "/old", wheel("plain", "1.0")), add_index(site, "/new", wheel("plain", "2.0"))
    mirror = add_index(site, "/mirror", wheel("plain", "1.0"))
    assert ask("plain", index_url=old, extra_index_urls=(mirror,))[1] == []
    assert len(ask("plain<2", index_url=old, extra_index_urls=(mirror, new))[1]) == 1
    assert ask("plain", index_url=old, extra_index_urls=(new,), index_for=(("plain", old),)) == ([("1.0", ["old"])], [])
    links = (str(tmp_path / "9.0"),)
    wheel("plain", "9.0")
    assert ask("plain", index_url=old, extra_index_urls=(new,), find_links=links)[1] == []
    assert ask("plain", index_url=old, find_links=(str(tmp_path / "2.0"),))[1] == []


def test_one_index_is_not_asked_a_second_time(ask, site, wheel):
    old = add_index(site, "/old", wheel("plain", "1.0"))
    ask("plain", index_url=old)
    assert [request.path for request in site.requests].count("/old/plain/") == 1


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("strategy", ["best", "first"])
def test_a_refusal_is_never_called_not_found(ask, site, code, strategy):
    index = refuse(site, "/secret", "plain", code)
    with pytest.raises(BundleError, match=f"access to plain is refused; got {code}") as caught:
        ask("plain", index_url=index, strategy=strategy)
    assert caught.value.where == index
    assert "netrc or a keyring" in caught.value.hint
    assert "not found" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("code", [401, 403])
def test_a_refusal_is_said_where_another_index_has_or_has_not_got_it(ask, site, wheel, code):
    index, usual = refuse(site, "/secret", "plain", code), add_index(site, "/usual", wheel("plain", "1.0"))
    found, warnings = ask("plain", index_url=usual, extra_index_urls=(index,))
    assert found == [("1.0", ["usual"])]
    assert warnings == [warnings[0]]
    assert warnings[0].startswith(f"{index}: access is refused ({code} ")
    with pytest.raises(BundleError, match="is not asked after a refusal") as caught:
        ask("plain", index_url=usual, extra_index_urls=(index,), strategy="first")
    assert "--index-strategy first" in caught.value.hint
    with pytest.raises(BundleError, match="no other index has plain"):
        ask("plain", index_url=f"{site.base}/empty", extra_index_urls=(index,))


@pytest.mark.slow
def test_an_index_that_refuses_only_what_it_does_not_have_is_no_warning(ask, site, wheel):
    own = add_index(site, "/own", wheel("torch", "1.0"))
    refuse(site, "/own", "plain", 403)
    usual = add_index(site, "/usual", wheel("plain", "1.0"))
    assert ask("plain", "torch", index_url=usual, extra_index_urls=(own,))[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("code", [401, 403])
def test_a_file_that_is_refused_is_said_to_be(ask, site, wheel, code):
    index = add_index(site, "/usual", wheel("plain", "1.0"))
    refuse(site, "/usual/files", "plain", code)
    path = "/usual/files/plain-1.0-py3-none-any.whl"
    site.faults[path] = site.faults.pop("/usual/files/plain/")
    with pytest.raises(BundleError, match=f"access is refused; got {code}") as caught:
        ask("plain", index_url=index)
    assert caught.value.where == site.base + path
    assert "netrc" in caught.value.hint
