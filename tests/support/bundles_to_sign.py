"""A bundle in every form, and two keys to sign it with."""

from __future__ import annotations

import shutil

from support.signature_factory import OTHER, PRIVATE, key_of

from bundler.images.carriers import write_carrier
from bundler.layers.packing import decode
from bundler.signing.private_keys import PrivateKey

FORMS = {"pyz": "deps.pyz", "packed": "packed", "tree": "tree"}
MINE = PrivateKey(public=key_of(PRIVATE), private=PRIVATE)
THEIRS = PrivateKey(public=key_of(OTHER, "other.pub"), private=OTHER)


def copy(source, directory):
    target = directory / source.name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    return target


def write_forms(directory, image):
    """Write *image* in every form, unsigned, to *directory*, and return that."""
    for form, name in FORMS.items():
        write_carrier(image, directory / name, form=form, force=False, decode=decode, jobs=1)
    return directory
