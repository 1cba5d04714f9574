"""Code folders for the tests of ``bundle doctor``: right by default, wrong in exactly one way on demand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard
from support.image_factory import make_image

from bundler.azureml.doctoring.deployments import Deployment
from bundler.images.carriers import write_carrier
from bundler.targets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.runtime.targets import Target

PY37 = PRESETS["azureml-py37"]
SCORE = "def init(): pass\ndef run(data): return data\n"


def make_folder(folder: Path, files: Mapping[str, object] | None = None) -> Path:
    """Write a code folder: text, bytes, None (a directory), or a ``Path`` that a symlink points to."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"score.py": SCORE, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def make_bundle(
    out: Path,
    *,
    form: str = "packed",
    target: Target = PY37,
    files: Mapping[str, bytes] | None = None,
    libc_version: str | None = None,
    pip: str | None = None,
    mounts: bool = True,
) -> Path:
    """Write a bundle of *files* to *out*; without *mounts* it lacks its ``sitecustomize.py``."""
    work = out.with_name(f".{out.name}.layers")
    tree = {"site-packages/alpha.py": b"value = 41\n", "site-packages/lib/native.so": b"\x7fELF", **(files or {})}
    image = make_image(work, tree, target=target, libc_version=libc_version)
    if pip is not None:
        image = _with_pip(work, tree, target, pip)

    def decode(data, raw):
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)

    write_carrier(image, out, form=form, force=False, decode=decode, jobs=1)
    if form == "packed" and not mounts:
        (out / "sitecustomize.py").unlink()
    for path in work.iterdir():
        path.unlink()
    work.rmdir()
    return out


def _with_pip(work, tree, target, version):
    from dataclasses import replace

    from support.image_factory import make_layer

    from bundler.images.oci_image import assemble

    layer = make_layer(work, "pip", tree)
    layer = replace(layer, distributions=(layer.distributions[0]._replace(version=version),))
    return assemble((layer,), target=target, libc_version=target.libc_version, bytecode=None, documents={})


def deployment(folder: Path, entry_script: str | None = "score.py", *, target: Target = PY37, inside=False, **settings):
    """Return the deployment of *folder* with *settings*."""
    return Deployment(
        folder=Path(os.path.abspath(folder)), entry_script=entry_script, settings=settings, target=target, inside=inside
    )


def dist_info(name: str, version: str = "1.0", *, tags=("py3-none-any",), **headers: str) -> dict[str, str]:
    """Return the metadata files of an installed project; ``requires_python`` and the like become headers."""
    lines = [f"{key.replace('_', '-').title()}: {value}" for key, value in headers.items()]
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
    wheel = "\n".join(["Wheel-Version: 1.0", "Root-Is-Purelib: true", *(f"Tag: {tag}" for tag in tags)])
    base = f"{name}-{version}.dist-info"
    return {f"{base}/METADATA": f"{metadata}\n\n", f"{base}/WHEEL": f"{wheel}\n"}
