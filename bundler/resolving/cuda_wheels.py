"""The pins of a lock → a warning if much of them is for CUDA, with what to type for CPUs.

* For CUDA are NVIDIA's libraries, builds that say so in their name or version, and PyPI's torch for x86_64: that has no
  word of it in its name, and is three times as large as the build for CPUs.
* It is no fault: the image may have a GPU, of which a target says nothing.
* An index need not tell sizes. What is unknown counts as large, and the sum is then the least that it can be.
* No remedy is one that breaks an import: torch does not start without the libraries of its build.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundler.pins import Pin

MOST = 200_000_000
_TORCH_FOR_CPUS = 300_000_000  # larger than any build for CPUs, smaller than any with CUDA
_SHOWN = 3
_NVIDIA = re.compile(
    r"nvidia-(?:.*-cu[0-9]+|cublas|cuda-.*|cudnn.*|cufft|cufile|curand|cusolver|cusparse.*|nccl|nvjitlink|nvshmem|nvtx)"
)
_FOR_CUDA = re.compile(r"(?:triton|pytorch-triton|cuda-.*|.*-cuda[0-9]*x?|.*-cu1[0-9]|.*-gpu)")
_FOLLOWERS = ("torchvision", "torchaudio")  # native code that is linked against one build of torch
# Builds for GPUs → the same for CPUs.
_FOR_CPUS = {
    "faiss-gpu": "faiss-cpu",
    "onnxruntime-gpu": "onnxruntime",
    "paddlepaddle-gpu": "paddlepaddle",
    "tensorflow-gpu": "tensorflow-cpu",
}


def cuda_warning(pins: Sequence[Pin]) -> str | None:
    """Return the warning for *pins*; None if little of them is for CUDA."""
    named = {str(pin.name): pin for pin in pins}
    wheels = {name: pin for name, pin in named.items() if _is_for_cuda(pin)}
    total = sum(pin.size or 0 for pin in wheels.values())
    is_known = all(pin.size is not None for pin in wheels.values())
    if not wheels or (total <= MOST and is_known):
        return None
    largest = sorted(wheels, key=lambda name: (-(wheels[name].size or MOST), name))
    more = f" and {len(wheels) - _SHOWN} more" if len(wheels) > _SHOWN else ""
    count = "1 wheel" if len(wheels) == 1 else f"{len(wheels)} wheels"
    size = f" of {total / 1e6:.0f} MB{'' if is_known else ' or more'}" if total else ""
    return (
        f"{count}{size} {'is' if len(wheels) == 1 else 'are'} for CUDA ({', '.join(largest[:_SHOWN])}{more}), and an"
        f" image for CPUs has no GPU that would use them: {'; '.join(_remedies(named, wheels))}"
    )


def _is_for_cuda(pin: Pin) -> bool:
    local = pin.version.local or ""
    if _NVIDIA.fullmatch(pin.name) or _FOR_CUDA.fullmatch(pin.name) or re.fullmatch(r"cu[0-9]+", local):
        return True
    return pin.name == "torch" and not local and (pin.size or 0) > _TORCH_FOR_CPUS


def _remedies(pins: Mapping[str, Pin], wheels: Mapping[str, Pin]) -> Iterator[str]:
    """Yield what to require or to leave out, for each of *pins* that brings some of *wheels*."""
    libraries = [name for name in wheels if _NVIDIA.fullmatch(name)]
    explained = False
    if "torch" in wheels or ("torch" in pins and libraries and pins["torch"].version.local is None):
        builds = (f"{name}=={pins[name].version.public}+cpu" for name in ("torch", *_FOLLOWERS) if name in pins)
        yield f"add {' '.join(builds)} --extra-index-url URL, the index of PyTorch's builds for CPUs"
        explained = True
    if libraries and "tensorflow" in pins:
        yield "require tensorflow without [and-cuda]"
        explained = True
    if "xgboost" in pins:
        for name in libraries:
            if name.startswith("nvidia-nccl"):
                yield f"--drop {name}, which xgboost only loads to train on several GPUs"
                explained = True
    for name, other in _FOR_CPUS.items():
        if name in wheels:
            yield f"require {other} in place of {name}"
            explained = True
    if not explained:
        yield "require builds for CPUs of what needs them; --drop NAME leaves out what your code never loads"
