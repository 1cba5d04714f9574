"""An index with md5 only is used as pip uses it: compared, then pinned by what it serves."""

from __future__ import annotations

import hashlib

import pytest
from support.fetching import Heard
from support.index_servers import IndexHandler, add_index
from support.package_servers import Site, serving, status
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.resolving.resolver import resolve
from bundler.runtime.errors import ContentError
from bundler.targets import PRESETS


@pytest.fixture
def site():
    with serving(Site(), handler=IndexHandler) as site:
        yield site


@pytest.fixture
def ask(tmp_path):
    def ask(index, heard=None):
        return resolve(
            ["plain"],
            target=PRESETS["azureml-py37"],
            indexes=IndexOptions(index_url=index, retries=2),
            cache_dir=tmp_path / "uv",
            reporter=heard or Heard(),
        )

    return ask


@pytest.mark.parametrize("algorithm", ["md5", "sha512"])
def test_the_lock_has_the_sha256_of_what_the_index_serves_and_a_warning_says_so(ask, site, tmp_path, algorithm):
    tags = ("cp37-cp37m-manylinux_2_17_x86_64", "cp37-cp37m-manylinux_2_5_x86_64", "cp312-cp312-win_amd64")
    wheels = [make_wheel(tmp_path, "plain", "1.0", tag=tag) for tag in tags]
    heard = Heard()
    (pin,) = ask(add_index(site, "/simple", *wheels, algorithm=algorithm), heard).pins
    assert pin.filename == wheels[0].name
    assert pin.sha256 == hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    assert heard.warnings == [f"plain: the index lists {algorithm} only; pinned by the sha256 of what it serves today"]
    assert not any(wheel.name in request.path for request in site.requests for wheel in wheels[2:])


def test_what_is_not_what_the_index_lists_is_refused(ask, site, tmp_path):
    index = add_index(site, "/simple", make_wheel(tmp_path, "plain", "1.0"), algorithm="md5", digest="0" * 32)
    with pytest.raises(ContentError, match="has another md5 than its index lists") as caught:
        ask(index)
    assert caught.value.where.startswith(index)


def test_a_failure_in_between_is_retried(ask, site, tmp_path):
    wheel = make_wheel(tmp_path, "plain", "1.0")
    index = add_index(site, "/simple", wheel, algorithm="md5")
    ask(index)
    site.faults[f"/simple/files/{wheel.name}"] = [status(503)]
    (pin,) = ask(index).pins
    assert pin.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
