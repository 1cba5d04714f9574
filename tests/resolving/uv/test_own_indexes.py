"""--index-for: a project comes from its own index, whoever requires it, and from nowhere else."""

from __future__ import annotations

import os

import pytest
from support.commands import bundle
from support.index_servers import IndexHandler, add_index
from support.package_servers import Site, serving
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.resolving.wheel_versions import find_wheels
from bundler.runtime.errors import BundleError
from bundler.targets import PRESETS


@pytest.fixture
def site():
    with serving(Site(), handler=IndexHandler) as site:
        yield site


@pytest.fixture
def main(site, tmp_path):
    """The usual index: app requires torch, of which it has a newer version; lone requires what it does not have."""
    made = tmp_path / "main"
    return add_index(
        site,
        "/main",
        make_wheel(made, "app", "1.0", requires=["torch"]),
        make_wheel(made, "app", "2.0"),
        make_wheel(made, "torch", "9.0", requires=["evil"]),
        make_wheel(made, "evil", "1.0"),
        make_wheel(made, "base", "1.0"),
        make_wheel(made, "lone", "1.0", requires=["hidden"]),
    )


@pytest.fixture
def own(site, tmp_path):
    """The other index: older versions of torch, a newer one of app, something for another system."""
    made = tmp_path / "own"
    return add_index(
        site,
        "/own",
        make_wheel(made, "torch", "1.0", requires=["base"]),
        make_wheel(made, "base", "7.0"),
        make_wheel(made, "app", "5.0"),
        make_wheel(made, "hidden", "1.0"),
        make_wheel(made, "native", "1.0", tag="cp312-cp312-win_amd64"),
    )


def places(lock):
    """Return name, version and place of each pin."""
    return [(pin.name, str(pin.version), (pin.url or "").split("/")[3]) for pin in lock.pins]


def options(main, **names):
    return IndexOptions(index_url=main, index_for=tuple(names.items()), retries=0)


def test_a_dependency_comes_from_its_own_index_and_what_it_requires_from_the_usual_one(ask, main, own):
    assert places(ask("app<2", indexes=options(main, torch=own))) == [
        ("app", "1.0", "main"),
        ("base", "1.0", "main"),
        ("torch", "1.0", "own"),
    ]


def test_the_same_for_two_names_and_for_a_direct_requirement(ask, main, own):
    lock = ask("torch", indexes=options(main, torch=own, base=own))
    assert places(lock) == [("base", "7.0", "own"), ("torch", "1.0", "own")]


@pytest.mark.parametrize("extra", [(), ("own",)])
def test_neither_other_indexes_nor_find_links_count(ask, main, own, tmp_path, extra):
    make_wheel(tmp_path / "links", "torch", "99.0")
    indexes = IndexOptions(
        index_url=main,
        extra_index_urls=tuple(own for _ in extra),
        find_links=(str(tmp_path / "links"),),
        index_for=(("torch", own),),
    )
    assert ("torch", "1.0", "own") in places(ask("app<2", indexes=indexes))
    with pytest.raises(BundleError, match=r"torch>1\b"):
        ask("app<2", "torch>1", indexes=indexes)


def test_what_nobody_requires_is_not_brought_in_and_need_not_even_exist(ask, main, own):
    for names in ({"torch": own}, {"native": own}, {"torch": own, "native": own, "nothing": own}):
        assert places(ask("app", indexes=options(main, **names))) == [("app", "2.0", "main")]


def test_what_only_its_own_index_has_is_found_there_also_beside_a_name_that_has_no_solution(ask, main, own):
    found = [("hidden", "1.0", "own"), ("lone", "1.0", "main")]
    assert places(ask("lone", indexes=options(main, hidden=own))) == found
    assert places(ask("lone", indexes=options(main, hidden=own, native=own))) == found


@pytest.mark.slow
def test_an_error_names_that_index_and_no_invention_of_ours(ask, main, own):
    with pytest.raises(BundleError) as caught:
        ask("app<2", indexes=options(main, torch=f"{main}/empty"))
    assert f"{main}/empty answers" in caught.value.hint
    assert "bundler-index-for" not in str(caught.value)
    with pytest.raises(BundleError, match="has no wheel") as caught:
        ask("native", indexes=options(main, native=own))
    assert "bundler-index-for" not in str(caught.value)


@pytest.mark.slow
def test_a_login_is_used_and_never_locked(ask, main, own, site):
    site.login = "me:s3cr3t"
    secret = [url.replace("//", "//me:s3cr3t@") for url in (main, own)]
    lock = ask("app<2", indexes=options(secret[0], torch=secret[1]))
    assert ("torch", "1.0", "own") in [(name, version, "own") for name, version, _ in places(lock)]
    assert "s3cr3t" not in lock.to_toml()


@pytest.mark.slow
def test_offline_it_is_the_same_from_the_cache(ask, main, own, site):
    online = ask("app<2", indexes=options(main, torch=own))
    asked = len(site.requests)
    assert ask("app<2", indexes=options(main, torch=own), offline=True) == online
    assert len(site.requests) == asked


@pytest.mark.slow
def test_on_the_command_line(main, own, tmp_path):
    options = ["-i", main, "--index-for", f"Torch={own}", "--cache-dir", tmp_path / "cache", "-o", "lock.toml"]
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    answer = bundle("lock", "app<2", *options, cwd=tmp_path, env=environment)
    assert answer.returncode == 0, answer.stderr
    assert f"{own}/files/torch-1.0-py3-none-any.whl" in (tmp_path / "lock.toml").read_text()


@pytest.mark.slow
def test_find_wheels_agrees(main, own, tmp_path):
    indexes = options(main, torch=own)
    found = find_wheels({"torch": "1.0"}, target=PRESETS["azureml-py37"], indexes=indexes, cache_dir=tmp_path / "uv")
    assert [wheel.url for wheel in found["torch"].wheels] == [f"{own}/files/torch-1.0-py3-none-any.whl"]
    assert not find_wheels({"torch": "9.0"}, target=PRESETS["azureml-py37"], indexes=indexes, cache_dir=tmp_path / "uv")
