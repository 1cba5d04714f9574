"""The decoders that bundles carry: one for each target, and a host with no network can be given them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.commands import bundle, without_network
from support.index_servers import IndexHandler, add_index
from support.package_servers import Site, serving
from support.wheel_factory import make_wheel
from support.wheel_factory import pin_of as pin_of_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.images.decoder_wheels import DecoderWheel, decoder_wheels, fetch_decoders, find_decoders, wheel_for
from bundler.reporters import Reporter
from bundler.runtime.errors import BundleError, ContentError, TargetError
from bundler.targets import PRESETS, find_target

WHEELS = decoder_wheels()


@pytest.fixture(autouse=True)
def _no_pip_settings(monkeypatch, request, tmp_path):
    """Keep the user's own places with wheels out, but for tests that need the index."""
    if "network" not in request.keywords:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.filename)
def test_every_pinned_wheel_is_the_one_for_its_target_and_its_command_names_it(wheel):
    assert wheel_for(wheel.target) == wheel
    command = shlex.split(wheel.pip_download("decoders"))
    assert command[2] == f"zstandard=={wheel.version}"
    named = {option: command[command.index(option) + 1] for option in ("--python-version", "--abi", "--platform")}
    assert (
        "cp" + named["--python-version"].replace(".", ""),
        named["--abi"],
        named["--platform"],
    ) in {(tag.interpreter, tag.abi, tag.platform) for tag in wheel.tags}


@pytest.mark.parametrize("target", PRESETS.values(), ids=PRESETS)
def test_every_preset_has_one(target):
    assert wheel_for(target) is not None


@pytest.mark.parametrize(("python", "platform"), [("3.7.1", "musllinux_1_2_x86_64"), ("3.13.1t", None)])
def test_a_target_without_one_is_refused_whatever_is_offered(python, platform):
    with pytest.raises(TargetError, match="no zstd decoder"):
        wheel_for(find_target(None, python, platform))


@pytest.fixture
def made(tmp_path):
    """Two wheels for two targets, as wheels with decoders."""
    tags = ("cp37-cp37m-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp38-cp38-musllinux_1_2_aarch64")
    paths = [make_wheel(tmp_path / "shelf", "zstandard", "0.21.0", {"x.py": b""}, tag=tag) for tag in tags]
    return paths, [DecoderWheel(path.name, pin_of_wheel(path).sha256) for path in paths]


def fetched(wheels, out, cache, *places, **options):
    indexes = IndexOptions(no_index="index_url" not in options, find_links=tuple(map(str, places)), **options)
    return fetch_decoders(wheels, out, cache=cache, indexes=indexes, offline=False, reporter=Reporter())


def test_wheels_of_several_targets_come_into_a_directory(made, cache, tmp_path):
    paths, wheels = made
    out = tmp_path / "deep" / "decoders"
    size = fetched(wheels, out, cache, paths[0].parent)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in paths)
    assert size == sum(path.stat().st_size for path in out.iterdir())
    assert fetched(wheels, out, cache, out) == size


def test_an_index_that_has_one_of_them_does_not_hide_the_others_of_another(made, cache, tmp_path):
    """As where a small index has the zstandard of the builder itself."""
    paths, wheels = made
    with serving(Site(), handler=IndexHandler) as site:
        one = add_index(site, "/one", paths[0])
        other = add_index(site, "/other", paths[1], algorithm="md5")
        for index, extra in ((one, other), (other, one)):
            assert fetched(wheels, tmp_path / "out", cache, index_url=index, extra_index_urls=(extra,))
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_another_wheel_of_that_name_is_refused_and_no_directory_is_left(made, cache, tmp_path):
    paths, (first, _) = made
    with pytest.raises(ContentError):
        fetched([DecoderWheel(first.filename, "0" * 64)], tmp_path / "out", cache, paths[0].parent)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("offline", [False, True])
def test_what_is_missing_is_named_with_what_fetches_it_and_not_as_a_requirement(cache, tmp_path, offline):
    indexes = IndexOptions(no_index=True, find_links=(str(tmp_path),))
    wheel = wheel_for(PRESETS["azureml-py38"])
    with pytest.raises(BundleError) as caught:
        find_decoders([wheel], cache=cache, indexes=indexes, offline=offline)
    assert caught.value.exit_code == 1
    assert caught.value.want == wheel.filename
    assert f"\n  {wheel.pip_download('decoders')}\n" in caught.value.hint
    assert "you require" not in str(caught.value)
    assert ("in the cache" in str(caught.value)) is offline


def test_the_command_refuses_an_unknown_target_and_writes_nothing(tmp_path):
    answer = bundle("decoders", tmp_path / "out", "--target", "nowhere")
    assert answer.returncode == 2
    assert "nowhere" in answer.stderr
    assert list(tmp_path.iterdir()) == []


# With the package index


def create_without_network(work, *arguments):
    make_wheel(work / "wheelhouse", "plain", "1.0", {"plain.py": b"value = 1\n"})
    program = Path(sysconfig.get_path("scripts"), "bundle")
    command = [program, "create", "plain", "-o", work / "deps.pyz", "--cache-dir", work / "cache"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    links = ["--no-index", "--find-links", work / "wheelhouse"]
    return without_network(*command, *links, *arguments, env=environment)


@pytest.mark.network
@pytest.mark.slow
def test_a_host_with_a_wheelhouse_only_creates_after_bundle_decoders(builder_cache, tmp_path):
    decoders = tmp_path / "decoders"
    targets = ["--target", "azureml-py37", "--target", "azureml-py312"]
    answer = bundle("decoders", decoders, *targets, "--cache-dir", builder_cache)
    assert answer.returncode == 0, answer.stderr
    assert f"--find-links {decoders}" in answer.stdout
    assert len(list(decoders.iterdir())) == 2
    created = create_without_network(tmp_path, "--find-links", decoders)
    assert created.returncode == 0, created.stderr


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [[], ["--target", "azureml-py312"], ["--python", "3.8.10", "--platform", "musllinux_1_2_aarch64"]],
    ids=lambda target: target[-1] if target else "default",
)
def test_the_line_that_is_printed_works_as_it_is(tmp_path, target):
    refused = create_without_network(tmp_path, *target)
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("  pip download ")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(line, shell=True, check=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True)
    created = create_without_network(tmp_path, *target, "--find-links", tmp_path / "decoders")
    assert created.returncode == 0, created.stderr
