"""The runtime → a verifier of its own: a ``.pyz``, a package directory or a wheel, without any bundle.

* Whoever can rewrite an artifact can rewrite the runtime inside it, too. A verifier that comes from elsewhere (the
  image, the score folder, another channel) is what to use against that.
* The same version gives the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from wheel.wheelfile import WheelFile

import bundler.runtime
from bundler.archives.zip_writer import ZipWriter
from bundler.runtime.errors import BundleError, UsageError
from bundler.runtime.places import Staging
from bundler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = "bundle_runtime"
PROJECT = "bundler_runtime"
_MAIN = b"""\
import sys

if sys.version_info < (3, 7):
    sys.exit("error: the verifier needs Python 3.7 or newer, not %d.%d" % sys.version_info[:2])

from bundle_runtime.cli import main

sys.exit(main(None))
"""
_DATE = (1980, 1, 1, 0, 0, 0)


def write_verifier(out: Path, *, force: bool = False) -> int:
    """Write the verifier to *out*: a zip if its name ends in ``.pyz``, else a package directory. Return its bytes."""
    if out.suffix == ".pyz":
        return _write_file(out, _write_pyz, force=force)
    if out.name != PACKAGE:
        raise UsageError(out, "is no name for it", want=f"NAME.pyz, or a directory called {PACKAGE}")
    if os.path.lexists(out) and not (force and (out / "startup.py").is_file()):
        raise BundleError(out, "exists already", hint="replace it with --force, if it is one, or choose another place")
    with _report_os_errors(out), Staging(str(out.absolute())) as staging:
        for name, data in _modules().items():
            Path(staging.path, name).write_bytes(data)
        staging.publish(replace=out.exists())
    return sum(map(len, _modules().values()))


def write_wheel(directory: Path, *, force: bool = False) -> Path:
    """Write the verifier as a wheel into *directory*; it brings the command ``bundle``. Return its path."""
    out = directory / f"{PROJECT}-{__version__}-py3-none-any.whl"
    _write_file(out, _write_wheel, force=force)
    return out


def _write_file(out: Path, write: Callable[[Path], None], *, force: bool) -> int:
    if os.path.lexists(out) and (not force or out.is_dir()):
        raise BundleError(out, "exists already", hint="replace it with --force, or choose another name")
    # WheelFile reads the project and version from the name.
    temporary = out.with_name(f".{secrets.token_hex(8)}.partial") / out.name
    with _report_os_errors(out):
        temporary.parent.mkdir()
        try:
            write(temporary)
            size = temporary.stat().st_size
            temporary.replace(out)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            temporary.parent.rmdir()
    return size


@contextlib.contextmanager
def _report_os_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(out, f"cannot be written: {error.strerror}", hint="nothing was left behind") from error


def _modules() -> dict[str, bytes]:
    directory = Path(bundler.runtime.__file__).parent
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.py"))}


def _write_pyz(path: Path) -> None:
    members = {"__main__.py": _MAIN, **{f"{PACKAGE}/{name}": data for name, data in _modules().items()}}
    with path.open("xb") as file:
        writer = ZipWriter(file)
        for name, data in members.items():
            writer.add(name, len(data), zlib.crc32(data), [data])
        writer.finish()


def _write_wheel(path: Path) -> None:
    info = f"{PROJECT}-{__version__}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {PROJECT.replace('_', '-')}\nVersion: {__version__}\n"
    metadata += "Summary: Verifies, unpacks and mounts the bundles of bundler\nRequires-Python: >=3.7\n"
    tags = "Wheel-Version: 1.0\nGenerator: bundler\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {f"{PACKAGE}/{name}": data for name, data in _modules().items()}
    members[f"{info}/METADATA"] = metadata.encode()
    members[f"{info}/WHEEL"] = tags.encode()
    members[f"{info}/entry_points.txt"] = f"[console_scripts]\nbundle = {PACKAGE}.cli:console\n".encode()
    with WheelFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in members.items():
            wheel.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
