"""Target → the wheel that has its zstd decoder: one of those that ``decoders.toml`` pins by their sha256.

* They are looked for at the user's indexes, by their file names and apart from the user's requirements. What an index
  says of their hashes is not believed.
* A host with no network is offered them beforehand: ``fetch_decoders`` fills a directory for ``--find-links``, and
  ``DecoderWheel.pip_download`` is the command that does it with pip alone.
* CPython 3.7 on musl and free-threaded 3.13 have none. Free-threaded 3.14 needs none: zstd is in its standard library.
"""

from __future__ import annotations

import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import places
from bundler.locks import place_of
from bundler.pins import Pin
from bundler.resolving.wheel_versions import find_wheels
from bundler.runtime.errors import BundleError, TargetError
from bundler.small_files import write_bytes
from bundler.targets import compatibility_tags, find_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.tags import Tag
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.caching.build_cache import Cache
    from bundler.fetching.index_options import IndexOptions
    from bundler.reporters import Reporter
    from bundler.runtime.targets import Target

TABLE = Path(__file__).with_name("decoders.toml")
_STANDARD_SINCE = (3, 14)


class NotOfferedError(BundleError):
    """A wheel with a decoder is at none of the user's places."""


@dataclass(frozen=True, slots=True)
class DecoderWheel:
    """A wheel with a decoder."""

    filename: str
    sha256: str

    @property
    def name(self) -> NormalizedName:
        """The project that has made it."""
        return parse_wheel_filename(self.filename)[0]

    @property
    def version(self) -> Version:
        """Its version."""
        return parse_wheel_filename(self.filename)[1]

    @property
    def tags(self) -> frozenset[Tag]:
        """What it is for."""
        return parse_wheel_filename(self.filename)[3]

    @property
    def target(self) -> Target:
        """The oldest target that it is for."""
        interpreter, _, platform = self._first_tag()
        return find_target(None, f"3.{interpreter.removeprefix('cp3')}.0", platform)

    def pip_download(self, directory: str) -> str:
        """Return the command that fetches it into *directory*, with any pip on any system."""
        interpreter, abi, platform = self._first_tag()
        return (
            f"pip download {self.name}=={self.version} --no-deps --only-binary :all: "
            f"--python-version 3.{interpreter.removeprefix('cp3')} --implementation cp --abi {abi} "
            f"--platform {platform} --dest {directory}"
        )

    def _first_tag(self) -> tuple[str, str, str]:
        interpreter, abi, platforms = self.filename.removesuffix(".whl").split("-")[-3:]
        return interpreter, abi, platforms.partition(".")[0]


def decoder_wheels() -> list[DecoderWheel]:
    """Return all wheels that have a decoder."""
    return [DecoderWheel(*item) for item in tomllib.loads(TABLE.read_text(encoding="utf-8"))["wheels"].items()]


def wheel_for(target: Target) -> DecoderWheel | None:
    """Return the wheel with the decoder for *target*; None if *target* needs none.

    Raise ``TargetError`` if there is no decoder for *target*.
    """
    if target.python_minor >= _STANDARD_SINCE and target.abi.endswith("t"):
        return None
    wheels = decoder_wheels()
    for tag in compatibility_tags(target):
        for wheel in wheels:
            if tag in wheel.tags:
                return wheel
    raise TargetError(
        "decoder",
        "there is no zstd decoder for this target",
        got=target,
        hint="choose a newer Python or libc: 3.7 on musl and free-threaded ones before 3.14 have none",
    )


def find_decoders(wheels: Sequence[DecoderWheel], *, cache: Cache, indexes: IndexOptions, offline: bool) -> list[Pin]:
    """Return the pins of *wheels*; raise ``NotOfferedError`` if one of them is nowhere."""

    def find(wheel: DecoderWheel) -> Pin | None:
        packages = find_wheels(
            {wheel.name: wheel.version},
            target=wheel.target,
            indexes=indexes,
            cache_dir=cache.root / "uv",
            offline=offline,
            fitting=True,
        )
        offered = [found for package in packages.values() for found in package.wheels or ()]
        place = next((place_of(found, Path()) for found in offered if found.filename == wheel.filename), None)
        return place and Pin(
            name=wheel.name,
            version=wheel.version,
            filename=wheel.filename,
            sha256=wheel.sha256,
            url=place[0],
            path=place[1],
        )

    found = {wheel: find(wheel) for wheel in wheels[:1]}  # alone: uv makes its cache when it first runs
    with ThreadPoolExecutor(os.cpu_count() or 1, "decoders") as executor:
        found.update(zip(wheels[1:], executor.map(find, wheels[1:]), strict=True))
    if missing := [wheel for wheel, pin in found.items() if pin is None]:
        raise _not_offered(missing, indexes, offline=offline)
    return [pin for pin in found.values() if pin is not None]


def fetch_decoders(
    wheels: Sequence[DecoderWheel],
    directory: Path,
    *,
    cache: Cache,
    indexes: IndexOptions,
    offline: bool,
    reporter: Reporter,
) -> int:
    """Put *wheels* into *directory*, which need not exist; return their size in bytes."""
    size = 0
    with cache.in_use():
        pins = find_decoders(wheels, cache=cache, indexes=indexes, offline=offline)
        jobs = os.cpu_count() or 1
        found = list(fetch(pins, cache=cache, indexes=indexes, jobs=jobs, offline=offline, reporter=reporter))
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BundleError(directory, f"cannot be made: {error.strerror}") from error
        for pin, path in found:
            data = path.read_bytes()
            write_bytes(directory / pin.filename, data)
            size += len(data)
    return size


def _not_offered(missing: Sequence[DecoderWheel], indexes: IndexOptions, *, offline: bool) -> NotOfferedError:
    first = missing[0]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    where = "in the cache" if offline else f"at {places(indexes)}"
    return NotOfferedError(
        "decoder",
        f"the wheel with the zstd decoder, which each bundle carries beside its packages, is not {where}",
        want=f"{first.filename}{more}",
        hint=(
            f"{'run it once without --offline, or offer' if offline else 'offer'} this wheel, for example by "
            "--find-links decoders. Where there is a network, either of these fetches it:\n"
            f"  {first.pip_download('decoders')}\n"
            "  bundle decoders decoders    (for all targets)"
        ),
    )
