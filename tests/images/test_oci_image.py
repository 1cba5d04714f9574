"""Layers become one image: what two of them have is one file, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.images.oci_image import _merge_layers
from bundler.layers.packing import BuiltLayer, Packed
from bundler.runtime.documents import ZSTD_LAYER_TYPE, Descriptor
from bundler.runtime.errors import ContentError
from bundler.runtime.indexes import Distribution, File

SOURCE, PYC = "site-packages/mod.py", "site-packages/__pycache__/mod.cpython-37.pyc"


def layer(name, **contents):
    """Return a layer with a file for each of *contents*: path → one digit that stands for its sha256."""
    files = tuple(File(path, 1, digit * 64, False, 512) for path, digit in contents["files"].items())
    digest = "sha256:" + "0" * 64
    packed = Packed(descriptor=Descriptor(ZSTD_LAYER_TYPE, digest, 1, ()), crc=0, diff_id=digest, size=1, files=files)
    distribution = Distribution(name, "1.0", f"{name}-1.0-py3-none-any.whl", "0" * 64, 0, 1, ())
    return BuiltLayer(
        name=name,
        packed=packed,
        owners=(0,) * len(files),
        distributions=(distribution,),
        console_scripts={},
        allowances=(),
        blob=Path(name),
        cached=False,
    )


def test_a14_the_pyc_of_one_source_is_one_file_though_its_bytes_depend_on_what_was_compiled_beside_it():
    """mlflow and mlflow-skinny have the same sources, in layers of their own."""
    first, second = layer("one", files={SOURCE: "1", PYC: "2"}), layer("two", files={SOURCE: "1", PYC: "3"})
    merged = _merge_layers((first, second))
    assert [[file.path for file in each.files] for each in merged] == [[SOURCE, PYC], []]
    assert merged[0].files[1].sha256 == "2" * 64


def test_a14_sources_that_differ_are_refused_with_both_owners():
    with pytest.raises(ContentError, match=r"one 1\.0 and two 1\.0") as caught:
        _merge_layers((layer("one", files={SOURCE: "1", PYC: "2"}), layer("two", files={SOURCE: "4", PYC: "3"})))
    assert caught.value.rule == "A14"
