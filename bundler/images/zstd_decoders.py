"""Target → the zstd decoder that its bundles carry: one extension module without anything around it.

* It comes from a wheel that is pinned (``decoder_wheels``); it never appears on ``sys.path``.
* Only what the dynamic loader maps is kept: wheels of ``zstandard`` carry ten times as much debug information.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from bundler.fetching.fetch import fetch
from bundler.images.decoder_wheels import TABLE, NotOfferedError, find_decoders, wheel_for
from bundler.reporters import Reporter
from bundler.runtime.errors import BundleError, ContentError
from bundler.wheels.wheel_reader import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.caching.build_cache import Cache
    from bundler.fetching.index_options import IndexOptions
    from bundler.images.decoder_wheels import DecoderWheel
    from bundler.runtime.targets import Target

NAME = "decoder.so"


def decoder_for(target: Target, *, cache: Cache, indexes: Callable[[], IndexOptions], offline: bool) -> bytes | None:
    """Return the decoder for *target*, from the cache if it is there; None if *target* needs none.

    Raise ``TargetError`` if there is no decoder for *target*.
    """
    wheel = wheel_for(target)
    if wheel is None:
        return None
    key = cache_key(target)
    if directory := cache.layer(key):
        return (directory / NAME).read_bytes()
    try:
        decoder = _from_wheel(wheel, cache, indexes(), offline=offline)
    except NotOfferedError:
        raise
    except BundleError as error:
        what = f"the wheel with the zstd decoder, which each bundle carries, cannot be fetched: {error.fault}"
        raise BundleError("decoder", what, hint=error.hint) from error
    with cache.new_layer(key) as new:
        (new.path / NAME).write_bytes(decoder)
        new.publish()
    return decoder


def cache_key(target: Target) -> str:
    """Return the name, 64 hex digits, under which the decoder for *target* is cached."""
    return hashlib.sha256(TABLE.read_bytes() + str(target).encode()).hexdigest()


def _from_wheel(wheel: DecoderWheel, cache: Cache, indexes: IndexOptions, *, offline: bool) -> bytes:
    silent = Reporter()  # the decoder is no package of the user's
    pins = find_decoders([wheel], cache=cache, indexes=indexes, offline=offline)
    ((pin, path),) = fetch(pins, cache=cache, indexes=indexes, jobs=1, offline=offline, reporter=silent)
    with Wheel.open(path, pin, warn=silent.warning) as opened:
        (entry,) = (entry for entry in opened.entries if entry.path.startswith("zstandard/backend_c."))
        return loadable_part(b"".join(opened.chunks(entry)), pin.filename)


def loadable_part(elf: bytes, where: str) -> bytes:
    """Return *elf*, a 64-bit shared object, without what no program header covers, such as debug information."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - needed once for each target
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    try:
        file = ELFFile(io.BytesIO(elf))
        end = max((part["p_offset"] + part["p_filesz"] for part in file.iter_segments()), default=0)
    except (ELFError, ValueError):
        file, end = None, 0
    if file is None or not end or (file.elfclass, file.little_endian) != (64, True):
        raise ContentError(where, "is not a 64-bit little-endian shared object")
    for field in ("e_shoff", "e_shnum", "e_shstrndx"):  # no section headers
        file.header[field] = 0
    header: bytes = file.structs.Elf_Ehdr.build(file.header)
    return header + elf[len(header) : end]
