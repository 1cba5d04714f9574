"""A lock that is mostly CUDA says so once, with what to type for an image that has no GPU."""

from __future__ import annotations

import json
import os

import pytest
from packaging.version import Version
from support import commands
from support.interpreters import target_of
from support.package_servers import Site, serving
from support.wheel_factory import make_wheel

from bundler.pins import Pin
from bundler.resolving.cuda_wheels import cuda_warning

MB = 1_000_000
# What PyPI has, in MB.
TORCH_2_1 = {
    "torch 2.1.2": 670,
    "triton 2.1.0": 89,
    "nvidia-cublas-cu12 12.1.3.1": 411,
    "nvidia-cudnn-cu12 8.9.2.26": 732,
    "nvidia-nvtx-cu12 12.1.105": 1,
}
NUMPY = {"numpy 1.26.4": 18}


def pins(sizes):
    return [pin(*text.split(), size and size * MB) for text, size in sizes.items()]


def pin(name, version, size):
    wheel = f"{name}-{version}-py3-none-any.whl"
    return Pin(
        name=name, version=Version(version), filename=wheel, sha256="0" * 64, size=size, url="https://a.example/b"
    )


def test_the_sum_the_largest_and_what_to_type_are_said():
    assert cuda_warning(pins(TORCH_2_1 | NUMPY | {"torchvision 0.16.2": 7})) == (
        "5 wheels of 1903 MB are for CUDA (nvidia-cudnn-cu12, torch, nvidia-cublas-cu12 and 2 more), and an image for"
        " CPUs has no GPU that would use them: add torch==2.1.2+cpu torchvision==0.16.2+cpu --extra-index-url URL, the"
        " index of PyTorch's builds for CPUs"
    )


@pytest.mark.parametrize(
    ("sizes", "remedy"),
    [
        ({"torch 1.12.1": 776}, "add torch==1.12.1+cpu --extra-index-url URL"),
        ({"torch 1.9.0+cu111": 2041}, "add torch==1.9.0+cpu --extra-index-url URL"),
        # CUDA 13 is in none of these names.
        ({"torch 2.14.1": 555, "nvidia-cublas 13.1.1.3": 423}, "add torch==2.14.1+cpu --extra-index-url URL"),
        (
            {"tensorflow 2.21.0": 572, "nvidia-cudnn-cu12 9.28.0.42": 717},
            "require tensorflow without [and-cuda]",
        ),
        ({"xgboost 2.1.4": 224, "nvidia-nccl-cu12 2.32.3": 352}, "--drop nvidia-nccl-cu12, which xgboost"),
        ({"onnxruntime-gpu 1.23.2": 301}, "require onnxruntime in place of onnxruntime-gpu"),
        ({"cupy-cuda12x 13.3.0": 201}, "require builds for CPUs of what needs them"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_that_brings_cuda_has_its_own_way_out(sizes, remedy):
    warning = cuda_warning(pins(sizes | NUMPY))
    assert remedy in warning
    assert warning.count(": ") == 1


def test_torch_and_xgboost_have_both_ways_out():
    warning = cuda_warning(pins(TORCH_2_1 | {"xgboost 2.1.4": 224, "nvidia-nccl-cu12 2.18.1": 210}))
    assert "torch==2.1.2+cpu" in warning
    assert "--drop nvidia-nccl-cu12" in warning


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        NUMPY,
        {"torch 2.1.2+cpu": 185, "torchvision 0.16.2+cpu": 2},
        {"torch 2.1.2": 84},  # PyPI's for aarch64 is for CPUs
        {"tensorflow 2.21.0": 572, "xgboost 1.7.6": 200, "lightgbm 4.6.0": 4},
        {"nvidia-ml-py 12.0": 1, "cuda-python 12.0": 30},
    ],
)
def test_nothing_is_said_of_what_is_for_cpus_or_small(sizes):
    assert cuda_warning(pins(sizes)) is None


def test_an_index_that_tells_no_sizes_hides_nothing():
    unknown = dict.fromkeys(TORCH_2_1, None)
    assert cuda_warning(pins(unknown)).startswith("4 wheels are for CUDA (")
    known = unknown | {"nvidia-cudnn-cu12 8.9.2.26": 732}
    assert cuda_warning(pins(known)).startswith("4 wheels of 732 MB or more are for CUDA (nvidia-cudnn-cu12, ")


def page(handler, data):
    handler.answer(200, {"Content-Type": "text/html"}, data)


@pytest.fixture
def bundle(tmp_path, cache):
    """Run ``bundle`` with an index that tells no sizes, as many inside of companies do."""
    site = Site()
    for path in (
        make_wheel(tmp_path / "shelf", "app", "1.0", requires=["nvidia-nccl-cu12"]),
        make_wheel(tmp_path / "shelf", "nvidia_nccl_cu12", "2.0", filename="nvidia_nccl_cu12-2.0-py3-none-any.whl"),
    ):
        project = path.name.partition("-")[0].replace("_", "-")
        site.add(f"/files/{path.name}", path.read_bytes())
        site.add(f"/simple/{project}/", f'<a href="/files/{path.name}">{path.name}</a>'.encode(), *[page] * 9)
    (tmp_path / "target.json").write_text(json.dumps(target_of("3.7").to_json()))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ["PIP_CONFIG_FILE"] = os.devnull

    def run(*arguments):
        more = ("--target", "target.json", "--cache-dir", cache.root)
        return commands.bundle(*arguments, *more, cwd=tmp_path, env=environ)

    with serving(site):
        yield lambda *arguments: run(*arguments, "--index-url", f"{site.base}/simple")


def test_lock_and_create_say_it_once_and_drop_is_the_end_of_it(bundle):
    said = "warning: 1 wheel is for CUDA (nvidia-nccl-cu12), and an image for CPUs has no GPU"
    for arguments in (
        ("lock", "app", "-o", "pylock.toml"),
        ("create", "app", "-o", "one", "--format", "packed", "--compile", "never"),
        ("create", "--lock", "pylock.toml", "-o", "two", "--format", "packed", "--compile", "never", "-q"),
    ):
        answer = bundle(*arguments)
        assert answer.returncode == 0, answer.stderr
        assert answer.stderr.count(said) == 1, answer.stderr
    answer = bundle("lock", "app", "--drop", "nvidia-nccl-cu12", "-o", "pylock.toml")
    assert answer.returncode == 0, answer.stderr
    assert "CUDA" not in answer.stderr


def test_what_it_says_to_type_for_torch_is_taken_in_place_of_what_was_required(tmp_path, cache):
    """A requirements file that says ``torch==2.1.2`` stays as it is."""
    make_wheel(tmp_path / "pypi", "torch", "2.1.2", requires=["nvidia-cudnn-cu12"])
    make_wheel(tmp_path / "cpu", "torch", "2.1.2+cpu", tag="cp37-cp37m-linux_x86_64")
    (tmp_path / "requirements.txt").write_text("torch==2.1.2\n")
    (tmp_path / "target.json").write_text(json.dumps(target_of("3.7").to_json()))
    arguments = "lock -r requirements.txt torch==2.1.2+cpu --no-index -f pypi -f cpu --target target.json --cache-dir"
    answer = commands.bundle(*arguments.split(), cache.root, "-o", "pylock.toml", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "torch-2.1.2+cpu-cp37-cp37m-linux_x86_64.whl" in (tmp_path / "pylock.toml").read_text().replace("%2B", "+")
