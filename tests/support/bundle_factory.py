"""Bundles on disk made of random files, without wheels, for the tests of what stores and moves them."""

from __future__ import annotations

import random

from support.image_factory import make_image

from bundler.images.carriers import write_carrier
from bundler.layers.packing import decode


def make_bundle(out, *sizes, seed=0, form="pyz", scratch=None):
    """Write a bundle with a layer of so many random bytes for each of *sizes*; return its digest."""
    generator = random.Random(seed)
    layers = [{f"site-packages/m{n}/data.bin": generator.randbytes(size)} for n, size in enumerate(sizes)]
    image = make_image(scratch or out.parent / f".layers-of-{out.name}", *layers)
    write_carrier(image, out, form=form, force=True, decode=decode, jobs=2)
    return image.digest


def contents_of(path):
    """Return the bytes of a file, or of every file of a directory by its path there."""
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
