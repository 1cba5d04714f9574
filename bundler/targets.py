"""Target → what resolvers and installers ask of an interpreter: marker variables and compatibility tags.

* A target is data. Nothing here looks at the interpreter that runs the builder.
* All marker variables are given, every time: whoever leaves one out gets the host's. ``platform_release`` and
  ``platform_version`` are unknown before boot, so a marker that uses them is refused (see ``locks``).
* Compatibility tags are listed from the most to the least specific, as pip does on the target itself.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.runtime.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT_TARGET = "azureml-py37"
PRESETS = {
    "azureml-py37": Target("cpython", "3.7.16", "cp37m", "x86_64", "glibc", "2.27"),
    "azureml-py38": Target("cpython", "3.8.18", "cp38", "x86_64", "glibc", "2.27"),
    "azureml-py39": Target("cpython", "3.9.18", "cp39", "x86_64", "glibc", "2.31"),
    "azureml-py310": Target("cpython", "3.10.13", "cp310", "x86_64", "glibc", "2.31"),
    "azureml-py311": Target("cpython", "3.11.7", "cp311", "x86_64", "glibc", "2.31"),
    "azureml-py312": Target("cpython", "3.12.1", "cp312", "x86_64", "glibc", "2.31"),
}
ARCHITECTURES = ("x86_64", "aarch64")
MINORS = range(7, 15)
_LAST_WITH_PYMALLOC = 7
_FIRST_FREE_THREADED = 13
# The oldest glibc that manylinux knows on each architecture, and the names from before PEP 600.
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_PLATFORM = re.compile(
    r"(?P<libc>manylinux|musllinux)_(?P<major>[0-9]+)_(?P<minor>[0-9]+)_(?P<arch>x86_64|aarch64)", re.ASCII
)
_PYTHON = re.compile(r"3\.(?P<minor>[0-9]+)\.[0-9]+(?P<threads>t?)", re.ASCII)
UNKNOWN_MARKERS = ("platform_release", "platform_version")


def marker_environment(target: Target) -> dict[str, str]:
    """Return every marker variable of *target* but *extra*."""
    major, minor = target.python_minor
    return {
        "implementation_name": target.implementation,
        "implementation_version": target.python,
        "os_name": "posix",
        "platform_machine": target.arch,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": target.python,
        "python_version": f"{major}.{minor}",
        "sys_platform": "linux",
    }


def platforms(target: Target) -> tuple[str, ...]:
    """Return the platform tags of *target*, the newest first."""
    return (*_libc_platforms(target), f"linux_{target.arch}")


def _libc_platforms(target: Target) -> Iterator[str]:
    newest = int(target.libc_version.split(".")[1])
    if target.libc == "musl":
        yield from (f"musllinux_1_{minor}_{target.arch}" for minor in range(newest, -1, -1))
        return
    for minor in range(newest, _OLDEST_GLIBC[target.arch] - 1, -1):
        yield f"manylinux_2_{minor}_{target.arch}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{target.arch}"


def compatibility_tags(target: Target) -> tuple[Tag, ...]:
    """Return the compatibility tags of *target*, the most specific first."""
    version = target.python_minor
    names = platforms(target)
    interpreter = "cp{}{}".format(*version)
    return (
        *cpython_tags(version, [target.abi], names),
        *compatible_tags(version, interpreter, names),
    )


def find_target(name: str | None, python: str | None, platform: str | None) -> Target:
    """Return the target *name* (a preset or a JSON file; default ``azureml-py37``), changed by *python* and *platform*.

    Raise ``UsageError`` if one of them is not understood.
    """
    target = _named(name or DEFAULT_TARGET)
    if python is not None:
        match = _PYTHON.fullmatch(python)
        if match is None:
            raise UsageError(
                "--python",
                "is not a complete version",
                got=python,
                want="X.Y.Z",
                hint="ask the target's interpreter: python -V. '3.7' would mean 3.7.0, and lose what needs 3.7.1",
            )
        minor = int(match["minor"])
        abi = _abis(minor)[-1 if match["threads"] else 0]
        target = target._replace(python=python.removesuffix("t"), abi=abi)
    if platform is not None:
        target = target._replace(**_parse_platform(platform))
    return _supported(target, name or "--python")


def _parse_platform(platform: str) -> dict[str, str]:
    modern = platform
    for minor, legacy in _LEGACY.items():
        modern = modern.replace(f"{legacy}_", f"manylinux_2_{minor}_") if modern.startswith(f"{legacy}_") else modern
    match = _PLATFORM.fullmatch(modern)
    if match is None or match["major"] != ("2" if match["libc"] == "manylinux" else "1"):
        raise UsageError(
            "--platform",
            "is not understood",
            got=platform,
            want="manylinux_2_28_x86_64, manylinux2014_aarch64, musllinux_1_2_x86_64 or the like",
        )
    libc = "glibc" if match["libc"] == "manylinux" else "musl"
    return {"arch": match["arch"], "libc": libc, "libc_version": f"{match['major']}.{match['minor']}"}


def _named(name: str) -> Target:
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if path.suffix != ".json" and not path.exists():
        raise UsageError("--target", "is unknown", got=name, want=f"{', '.join(PRESETS)} or a JSON file")
    try:
        return Target.from_json(json.loads(path.read_bytes()), str(path))
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(path, f"is not JSON: {error}") from None
    except ContentError as error:
        raise UsageError(error.where, error.what, got=error.got, want=error.want) from None


def _supported(target: Target, where: str) -> Target:
    _, minor = target.python_minor
    abis = _abis(minor)
    for what, got, good, want in (
        ("implementation", target.implementation, target.implementation == "cpython", "cpython"),
        ("Python", target.python, minor in MINORS, f"3.{MINORS[0]} to 3.{MINORS[-1]}"),
        ("ABI", target.abi, target.abi in abis, " or ".join(abis)),
        ("architecture", target.arch, target.arch in ARCHITECTURES, " or ".join(ARCHITECTURES)),
        ("libc", target.libc, target.libc in ("glibc", "musl"), "glibc or musl"),
    ):
        if not good:
            raise UsageError(where, f"is for another {what} than can be built for", got=got, want=want)
    return target


def _abis(minor: int) -> tuple[str, ...]:
    """Return the ABIs of CPython 3.*minor*: with the GIL, then without where that exists."""
    if minor == _LAST_WITH_PYMALLOC:
        return (f"cp3{minor}m",)
    return (f"cp3{minor}", f"cp3{minor}t") if minor >= _FIRST_FREE_THREADED else (f"cp3{minor}",)


def needed_libc(target: Target, filenames: Iterable[str]) -> str:
    """Return the oldest libc that all the wheels *filenames* accept, of those that they say they accept."""
    oldest = (2, _OLDEST_GLIBC[target.arch]) if target.libc == "glibc" else (1, 0)
    needed = max((_oldest_libc(target, filename, oldest) for filename in filenames), default=oldest)
    return "{}.{}".format(*needed)


def _oldest_libc(target: Target, filename: str, oldest: tuple[int, int]) -> tuple[int, int]:
    accepted = []
    for tag in parse_wheel_filename(filename)[3]:
        if tag.platform == "any":
            accepted.append(oldest)
        elif tag.platform.startswith("linux_"):
            accepted.append(_numbers(target.libc_version))
        elif tag.platform.endswith(f"_{target.arch}"):
            parsed = _parse_platform(tag.platform)
            if parsed["libc"] == target.libc:
                accepted.append(_numbers(parsed["libc_version"]))
    return min(accepted, default=_numbers(target.libc_version))


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
