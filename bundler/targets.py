"""Target → what resolvers and installers ask of an interpreter: marker variables and compatibility tags.

* A target is data. Nothing here looks at the interpreter that runs the builder.
* All marker variables are given, every time: ``packaging`` takes a missing one from the host. ``platform_release`` and
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
_NUMBER = "(?:0|[1-9][0-9]{0,2})"
_PLATFORM = re.compile(
    rf"(?:(?P<manylinux>manylinux_2_)|musllinux_1_)(?P<minor>{_NUMBER})_(?P<arch>x86_64|aarch64)", re.ASCII
)
_PYTHON = re.compile(rf"3\.(?P<minor>{_NUMBER})\.{_NUMBER}(?P<threads>t?)", re.ASCII)
_LIBC_VERSION = {"glibc": re.compile(rf"2\.{_NUMBER}", re.ASCII), "musl": re.compile(rf"1\.{_NUMBER}", re.ASCII)}


def marker_environment(target: Target) -> dict[str, str]:
    """Return every marker variable of *target*. ``extra`` is none: it belongs to a requirement."""
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
    newest = _numbers(target.libc_version)[1]
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
    target = _load_target(name or DEFAULT_TARGET)
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
        abi = f"cp3{match['minor']}t" if match["threads"] else _abis(int(match["minor"]))[0]
        target = target._replace(python=python.removesuffix("t"), abi=abi)
    if platform is not None:
        target = target._replace(**_parse_platform(platform))
    return _check_supported(target, name or "--python")


def _parse_platform(platform: str) -> dict[str, str]:
    libc = _libc_of(platform)
    if libc is None:
        raise UsageError(
            "--platform",
            "is not understood",
            got=platform,
            want="manylinux_2_28_x86_64, manylinux2014_aarch64, musllinux_1_2_x86_64 or the like",
        )
    return libc


def _libc_of(platform: str) -> dict[str, str] | None:
    """Return architecture, libc and its version of the platform tag *platform*, if it is one of those."""
    for minor, legacy in _LEGACY.items():
        if platform.startswith(f"{legacy}_"):
            platform = f"manylinux_2_{minor}_{platform.removeprefix(f'{legacy}_')}"
    match = _PLATFORM.fullmatch(platform)
    if match is None:
        return None
    libc, major = ("glibc", 2) if match["manylinux"] else ("musl", 1)
    if libc == "glibc" and int(match["minor"]) < _OLDEST_GLIBC[match["arch"]]:
        return None
    return {"arch": match["arch"], "libc": libc, "libc_version": f"{major}.{match['minor']}"}


def _load_target(name: str) -> Target:
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


def _check_supported(target: Target, where: str) -> Target:
    python = _PYTHON.fullmatch(target.python)
    abis = _abis(int(python["minor"])) if python else ()
    libc_version = _LIBC_VERSION.get(target.libc)
    oldest = f"2.{_OLDEST_GLIBC.get(target.arch, 0)}" if target.libc == "glibc" else "1.0"
    for what, got, good, want in (
        ("implementation", target.implementation, target.implementation == "cpython", "cpython"),
        ("Python", target.python, python and int(python["minor"]) in MINORS, f"3.{MINORS[0]}.Z to 3.{MINORS[-1]}.Z"),
        ("ABI", target.abi, target.abi in abis, " or ".join(abis)),
        ("architecture", target.arch, target.arch in ARCHITECTURES, " or ".join(ARCHITECTURES)),
        ("libc", target.libc, libc_version, "glibc or musl"),
        (
            f"{target.libc} version",
            target.libc_version,
            libc_version
            and libc_version.fullmatch(target.libc_version)
            and _numbers(target.libc_version) >= _numbers(oldest),
            f"{oldest} or newer",
        ),
    ):
        if not good:
            raise UsageError(where, f"is for an unsupported {what}", got=got, want=want)
    return target


def _abis(minor: int) -> tuple[str, ...]:
    """Return the ABIs of CPython 3.*minor*: with the GIL, then without where that exists."""
    if minor == _LAST_WITH_PYMALLOC:
        return (f"cp3{minor}m",)
    return (f"cp3{minor}", f"cp3{minor}t") if minor >= _FIRST_FREE_THREADED else (f"cp3{minor}",)


def needed_libc(target: Target, filenames: Iterable[str]) -> str:
    """Return the oldest libc that all the wheels *filenames* accept, as far as their tags say."""
    fitting = frozenset(compatibility_tags(target))
    oldest = (2, _OLDEST_GLIBC[target.arch]) if target.libc == "glibc" else (1, 0)
    needed = (_oldest_libc(target, parse_wheel_filename(filename)[3] & fitting, oldest) for filename in filenames)
    return "{}.{}".format(*max(needed, default=oldest))


def _oldest_libc(target: Target, tags: Iterable[Tag], oldest: tuple[int, int]) -> tuple[int, int]:
    accepted = []
    for tag in tags:
        libc = _libc_of(tag.platform)
        if tag.platform == "any":
            accepted.append(oldest)
        elif libc is not None:
            accepted.append(_numbers(libc["libc_version"]))
    # linux_x86_64 says nothing: the target's own libc is what the wheel was built for.
    return min(accepted, default=_numbers(target.libc_version))


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
