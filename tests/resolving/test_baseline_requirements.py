"""What packages of an image require, asked of a package index on this machine."""

from __future__ import annotations

import hashlib
import random
import re
import zipfile

import pytest
from support.baseline_factory import image
from support.package_servers import Handler, Site, serving, status
from support.wheel_factory import make_wheel

from bundler.caching.build_cache import Cache
from bundler.fetching.index_options import IndexOptions
from bundler.resolving.baseline_requirements import complete_requirements
from bundler.targets import PRESETS

PY37 = PRESETS["azureml-py37"]


class Index(Handler):
    """Serves pages as HTML, and ranges as the standard has them."""

    def do_HEAD(self):
        data = self.server.state.files.get(self.path)
        self.begin(404 if data is None else 200, {}, len(data or b""))

    def serve(self, data, **options):
        span = re.fullmatch("bytes=([0-9]+)-([0-9]+)", self.headers.get("Range", ""))
        if self.path.startswith("/simple/"):
            self.answer(200, {"Content-Type": "text/html"}, data)
        elif span and self.server.state.ranges:
            start, end = int(span[1]), min(int(span[2]) + 1, len(data))
            self.answer(206, {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, data[start:end])
        else:
            self.answer(200, {}, data)


@pytest.fixture
def site():
    site = Site()
    site.ranges = True
    with serving(site, handler=Index):
        yield site


@pytest.fixture
def publish(site, tmp_path):
    """Put a wheel on the index, and its metadata beside it unless that is not *told*; return the wheel's path."""

    def publish(name, version, *, requires=(), tag="py3-none-any", told=True, files=None):
        wheel = make_wheel(tmp_path / "index", name, version, files, requires=requires, tag=tag)
        data = wheel.read_bytes()
        page, path = f"/simple/{name}/", f"/files/{wheel.name}"
        link = f'<a href="{path}#sha256={hashlib.sha256(data).hexdigest()}">{wheel.name}</a>\n'
        site.files[page] = site.files.get(page, b"") + link.encode()
        site.files[path] = data
        if told:
            with zipfile.ZipFile(wheel) as archive:
                site.files[f"{path}.metadata"] = archive.read(f"{name}-{version}.dist-info/METADATA")
        return path

    return publish


@pytest.fixture
def ask(site, tmp_path):
    def ask(over, *, offline=False, **options):
        indexes = IndexOptions(**{"index_url": f"{site.base}/simple", "retries": 0, "timeout": 5.0, **options})
        completed = complete_requirements(
            image(over), target=PY37, indexes=lambda: indexes, cache=Cache(tmp_path / "cache"), offline=offline
        )
        return {
            str(item): item.unknown if item.requires is None else list(map(str, item.requires))
            for item in completed.packages.values()
        }

    return ask


def test_the_index_is_asked_about_the_images_versions_where_nothing_is_known(ask, publish, site):
    publish("server", "1.0", requires=["lib<2"])
    path = publish("server", "0.9", requires=["lib<1", "jwt[crypto] ; extra == 'x'"])
    assert ask({"server 0.9": None, "known 1.0": ["a"]}) == {
        "known 1.0": ["a"],
        "server 0.9": ["lib<1", 'jwt[crypto]; extra == "x"'],
    }
    assert site.sent(path) == 0, "the wheel itself is not fetched"


@pytest.mark.parametrize("ranges", [True, False])
def test_where_the_index_has_no_metadata_it_is_read_out_of_the_wheel(ask, publish, site, ranges):
    site.ranges = ranges
    big = {"server.bin": random.Random(1).randbytes(3_000_000)}
    path = publish("server", "1.0", requires=["lib<2"], told=False, files=big)
    assert ask({"server 1.0": None}) == {"server 1.0": ["lib<2"]}
    if ranges:
        assert 0 < site.sent(path) < 300_000, "not the wheel, but its end"


def test_a_wheel_of_find_links_is_opened(ask, tmp_path):
    make_wheel(tmp_path / "shelf", "server", "1.0", requires=["lib<2"])
    found = ask({"server 1.0": None, "gone 1.0": None}, no_index=True, find_links=(str(tmp_path / "shelf"),))
    assert found["server 1.0"] == ["lib<2"]
    assert "no wheel" in found["gone 1.0"]


def test_what_the_index_has_no_wheel_of_is_absent_and_the_others_are_not_lost(ask, publish):
    for n in range(12):
        publish(f"lib{n}", "1.0", requires=[f"a=={n}"])
    over = {f"lib{n} 1.0": None for n in range(12)} | {"lib 1.0": None, "lib1.x 1.0": None, "gone 2.0": None}
    publish("old", "1.0")
    found = ask({**over, "old 0.9": None})
    assert {name: found[f"{name} 1.0"] for name in ("lib0", "lib11")} == {"lib0": ["a==0"], "lib11": ["a==11"]}
    assert all("no wheel" in found[key] for key in ("lib 1.0", "lib1-x 1.0", "gone 2.0", "old 0.9"))


def test_a_wheel_for_another_platform_tells_as_much(ask, publish):
    publish("server", "1.0", requires=["lib<2"], tag="cp39-cp39-win_amd64")
    assert ask({"server 1.0": None}) == {"server 1.0": ["lib<2"]}


def test_the_answer_is_kept_and_is_all_there_is_offline(ask, publish, site):
    publish("server", "1.0", requires=["lib<2"])
    over = {"server 1.0": None, "gone 1.0": None}
    assert "not in the cache" in ask(over, offline=True)["server 1.0"]
    found = ask(over)
    site.requests.clear()
    assert ask(over) == ask(over, offline=True) == found
    assert site.requests == []
    assert found["server 1.0"] == ["lib<2"]
    assert "no wheel" in found["gone 1.0"]


def test_what_fails_is_said_and_asked_again_the_next_time(ask, publish, site):
    path = publish("server", "1.0", requires=["lib<2"])
    publish("other", "1.0", requires=["a"])
    site.faults[f"{path}.metadata"] = [status(500)]
    site.faults[path] = [status(403)]
    found = ask({"server 1.0": None, "other 1.0": None})
    assert "access is refused" in found["server 1.0"]
    assert found["other 1.0"] == ["a"]
    assert ask({"server 1.0": None, "other 1.0": None})["server 1.0"] == ["lib<2"]


def test_a_hiccup_is_tried_again(ask, publish, site):
    path = publish("server", "1.0", requires=["lib<2"])
    site.faults[f"{path}.metadata"] = [status(503, {"Retry-After": "0"})]
    assert ask({"server 1.0": None}, retries=1) == {"server 1.0": ["lib<2"]}
    assert site.sent(path) == 0


def test_an_index_that_cannot_be_used_leaves_everything_unknown_and_says_so(ask):
    found = ask({"server 1.0": None, "known 1.0": []}, index_url="http://user:s3cr3t@127.0.0.1:9/simple", timeout=2.0)
    assert "the package index cannot be used" in found["server 1.0"]
    assert "s3cr3t" not in str(found)
    assert found["known 1.0"] == []


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\5\6" + 18 * b"\0"])
def test_a_file_that_is_no_wheel_is_said(ask, publish, site, data):
    site.files[publish("server", "1.0", told=False)] = data
    assert "cannot be fetched" in ask({"server 1.0": None})["server 1.0"]
