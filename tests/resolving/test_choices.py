"""Which versions are chosen where there is a choice: pre-releases, sources, yanked ones, formats by name."""

from __future__ import annotations

import hashlib

import pytest
from support.interpreters import target_of
from support.package_servers import Site, WithHead, serving, status
from support.reporters import Heard
from support.sdist_factory import make_sdist
from support.wheel_factory import make_wheel

from bundler.create import lock
from bundler.fetching.index_options import IndexOptions
from bundler.options import Options
from bundler.runtime.errors import UsageError


@pytest.fixture
def reporter():
    return Heard()


@pytest.fixture
def ask(cache, shelf, tmp_path, reporter):
    """Lock requirements, or the lines of a file; return names and versions."""

    def ask(*requirements, text=None, indexes=None, **options):
        indexes = indexes or IndexOptions(no_index=True, find_links=(str(shelf.directory),))
        files = []
        if text is not None:
            (tmp_path / "req.txt").write_text(text)
            files = [tmp_path / "req.txt"]
        chosen = Options(target=target_of("3.7"), indexes=lambda: indexes, cache=cache, **options)
        locked = lock(requirements, requirement_files=files, options=chosen, reporter=reporter)
        return [f"{pin.name} {pin.version}{' built' if pin.build else ''}" for pin in locked.pins]

    return ask


@pytest.mark.parametrize("how", ["option", "file"])
def test_pre_releases_are_taken_where_that_is_said(shelf, ask, how):
    shelf("app", "1.0")
    shelf("app", "2.0rc1")
    assert ask("app") == ["app 1.0"]
    assert (ask("app", prereleases=True) if how == "option" else ask(text="--pre\napp\n")) == ["app 2.0rc1"]


@pytest.mark.parametrize("how", ["option", "file"])
def test_a_wheel_is_preferred_to_a_newer_source_where_that_is_said_and_what_was_passed_over_is_named(
    shelf, ask, reporter, how
):
    shelf("app", "1.0")
    make_sdist(shelf.directory, "app", "2.0", {"app.py": ""})
    assert ask("app") == ["app 2.0 built"]
    reporter.warnings.clear()
    found = ask("app", prefer_wheels=True) if how == "option" else ask(text="--prefer-binary\napp\n")
    assert found == ["app 1.0"]
    assert reporter.warnings == ["app 2.0 is passed over for 1.0: it has no wheel (--prefer-wheels)"]


def test_nothing_else_becomes_older_since_wheels_are_preferred(shelf, ask, reporter):
    shelf("app", "1.0")
    shelf("app", "2.0", requires=["part"])
    make_sdist(shelf.directory, "part", "1.0", {"part.py": ""})
    assert ask("app", prefer_wheels=True) == ["app 2.0", "part 1.0 built"]
    shelf("lib", "1.0")
    make_sdist(shelf.directory, "lib", "2.0", {"lib.py": ""})
    shelf("user", "1.0")
    shelf("user", "2.0", requires=["lib>=2"])
    assert ask("user", "lib", prefer_wheels=True) == ["lib 2.0 built", "user 2.0"]


def test_a_format_that_a_file_demands_by_name_is_the_one_that_is_taken(shelf, ask):
    for name in ("one", "two"):
        shelf(name, "1.0")
        make_sdist(shelf.directory, name, "1.0", {f"{name}.py": ""})
        make_sdist(shelf.directory, name, "2.0", {f"{name}.py": ""})
    assert ask(text="--no-binary one\n--only-binary=two\none<2\ntwo\n") == ["one 1.0 built", "two 1.0"]
    with pytest.raises(UsageError, match=r"req\.txt:1: asks for sources, and nothing may be built"):
        ask(text="--no-binary one\none\n", build=None)


def test_options_that_change_nothing_are_said_in_one_line(shelf, ask, reporter):
    shelf("app", "1.0")
    assert ask(text="--use-feature=fast-deps\napp --global-option=-x\n") == ["app 1.0"]
    assert reporter.warnings == ["options in files that change nothing here: --use-feature, --global-option"]


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ('data-yanked="breaks on Sundays"', "app 1.0 was yanked: breaks on Sundays"),
        ("data-yanked", "app 1.0 was yanked: its maintainers give no reason"),
    ],
)
def test_a_yanked_version_is_taken_only_where_it_is_pinned_and_the_reason_is_told(
    ask, reporter, tmp_path, attribute, words
):
    wheels = [make_wheel(tmp_path / "wheels", "app", version, {"app.py": b""}) for version in ("0.9", "1.0")]
    with serving(Site(), handler=WithHead) as site:
        rows = []
        for wheel, more in zip(wheels, ("", attribute), strict=True):
            sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
            site.add(f"/files/{wheel.name}", wheel.read_bytes())
            rows.append(f'<a href="/files/{wheel.name}#sha256={sha256}" {more}>{wheel.name}</a>')
        page = f"<!DOCTYPE html><html><body>{''.join(rows)}</body></html>".encode()
        site.add("/simple/app/", page, *[status(200, {"Content-Type": "text/html"}, page)] * 9)
        indexes = IndexOptions(index_url=f"{site.base}/simple", retries=0)
        assert ask("app", indexes=indexes) == ["app 0.9"]
        assert reporter.warnings == []
        assert ask("app==1.0", indexes=indexes) == ["app 1.0"]
    assert reporter.warnings == [words]


def test_the_index_of_a_file_is_the_one_that_is_asked(ask, tmp_path):
    wheel = make_wheel(tmp_path / "other", "app", "1.0", {"app.py": b""})
    assert ask(text=f"--find-links {wheel.parent}\napp\n") == ["app 1.0"]


@pytest.mark.slow
def test_one_hash_in_a_file_demands_hashes_of_everything_as_with_pip(shelf, ask, tmp_path):
    app, lib = shelf("app", "1.0", requires=["lib"]), shelf("lib", "1.0")
    sha256 = {path.stem[:3]: hashlib.sha256(path.read_bytes()).hexdigest() for path in (app, lib)}
    line = f"app==1.0 --hash=sha256:{sha256['app']}\n"
    with pytest.raises(Exception, match=r"req\.txt:1: demands a hash of everything, and no line has one of lib 1\.0"):
        ask(text=line)
    assert ask(text=f"{line}lib==1.0 --hash=sha256:{sha256['lib']}\n") == ["app 1.0", "lib 1.0"]
