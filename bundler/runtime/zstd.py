"""zstd frames on any Python from 3.7 on.

A frame is checked before a decoder sees it (rule C20): exactly one frame, no dictionary, no skippable frame, the
content size declared and equal to what the manifest says, a window of at most 8 MiB unless it is the content itself,
and blocks that end exactly where the bytes end. Then any decoder will do; the first of these that loads is used:
``compression.zstd`` (3.14), the decoder that the bundle carries for its target, the system's ``libzstd.so.1``.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Optional, Tuple

from .errors import ContentError

Decoder = Callable[[bytes, int], Any]
"""Takes a checked frame and its raw size in bytes, returns that many bytes (bytes-like)."""

MAX_WINDOW = 8 << 20
_MAGIC = b"\x28\xb5\x2f\xfd"


def check_frame(data: bytes, raw: int, where: str) -> None:
    """Refuse *data* unless it is one complete zstd frame of *raw* bytes (rule C20)."""
    fault = _fault_of(data, raw)
    if fault:
        raise ContentError(where, f"is not the zstd frame that was promised: {fault}", rule="C20")


def _fault_of(data: bytes, raw: int) -> Optional[str]:
    if data[:4] != _MAGIC or len(data) < 9:  # noqa: PLR2004 - magic, descriptor, size, one block
        return "no zstd frame"
    descriptor = data[4]
    single = descriptor & 0x20
    if descriptor & 0x1B:
        return "it uses a dictionary or reserved bits"
    at = 5
    window = 0
    if not single:
        exponent, mantissa = data[5] >> 3, data[5] & 7
        window = (1 << (10 + exponent)) + ((1 << (10 + exponent)) >> 3) * mantissa
        at = 6
    width = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    if not width:
        return "it does not say its size"
    declared = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)  # noqa: PLR2004
    if declared != raw:
        return f"it says {declared} bytes, not {raw}"
    if window > MAX_WINDOW:
        return f"its window is {window} bytes"
    at += width
    end = len(data) - (4 if descriptor & 4 else 0)
    last = 0
    while not last:
        if at + 3 > end:
            return "it is truncated"
        header = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind == 3:  # noqa: PLR2004 - reserved
            return "it has a reserved block type"
        at += 3 + (1 if kind == 1 else size)
    return None if at == end else "it does not end where its bytes end"


def find_decoder(carried: Optional[bytes], scratch: Optional[str] = None) -> Tuple[Optional[Decoder], str]:
    """Return a decoder and where it comes from, or None.

    *carried* is the bundle's own extension module; *scratch* is a directory that may be written to, for systems
    without anonymous files.
    """
    decoder: Optional[Decoder] = None
    source = "none"
    if sys.version_info >= (3, 14):
        decoder, source = _load_standard(), "compression.zstd"
    if decoder is None and carried is not None:
        decoder, source = _load_carried(carried, scratch), "carried"
    if decoder is None:
        decoder, source = _load_system(), "libzstd.so.1"
    return decoder, source if decoder else "none"


def _load_standard() -> Optional[Decoder]:
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:  # built without it
        return None
    return lambda data, _: zstd.decompress(data)


def _load_carried(code: bytes, scratch: Optional[str]) -> Optional[Decoder]:
    """Load an extension module from memory: no place to write is needed, and ``noexec`` does not matter."""
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    name = "backend_c"
    fd, path = _memory_file(code)
    if not os.path.exists(path) and scratch is not None:  # no memfd or no /proc
        path = os.path.join(scratch, name)
        with open(path, "xb") as file:
            file.write(code)
    try:
        loader = ExtensionFileLoader(name, path)
        module: Any = loader.create_module(ModuleSpec(name, loader, origin=path))
        loader.exec_module(module)
    except ImportError:
        return None
    finally:
        sys.modules.pop(name, None)
        if fd >= 0:
            os.close(fd)
        if scratch is not None and path.startswith(scratch):
            os.unlink(path)
    return lambda data, raw: module.ZstdDecompressor().decompress(data, max_output_size=raw)


def _memory_file(data: bytes) -> Tuple[int, str]:
    """Return the descriptor of an anonymous file that holds *data*, and its path; -1 if there is none."""
    try:
        if hasattr(os, "memfd_create"):  # 3.8
            fd = os.memfd_create("bundle-decoder")
        else:
            import ctypes

            number = {"x86_64": 319, "aarch64": 279}[os.uname().machine]
            fd = ctypes.CDLL(None).syscall(number, b"bundle-decoder", 1)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    except (KeyError, OSError, ImportError):
        return -1, ""
    return fd, f"/proc/self/fd/{fd}"


def _load_system() -> Optional[Decoder]:
    try:
        import ctypes

        decompress = ctypes.CDLL("libzstd.so.1").ZSTD_decompress
    except (AttributeError, ImportError, OSError):
        return None
    decompress.restype = ctypes.c_size_t
    decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

    def decode(data: bytes, raw: int) -> Any:  # noqa: ANN401 - a view of a ctypes buffer
        out = (ctypes.c_char * raw)()
        size = decompress(out, raw, data, len(data))
        return memoryview(out).cast("B")[: size if size <= raw else 0]  # an error is a huge number

    return decode
