"""``bundle inspect``: what is inside an artifact."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from bundler.locks import read_embedded
from bundler.runtime.carriers import open_carrier
from bundler.runtime.errors import ContentError
from bundler.runtime.images import load_image
from bundler.runtime.signatures import parse_signature

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bundler.locks import Lock
    from bundler.pins import Build
    from bundler.runtime.carriers import Carrier
    from bundler.runtime.images import Image

HELP = "show the target, the packages and the digests of a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="PATH", help="a .pyz, a packed directory or a tree")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Show what is in a bundle; return the exit code."""
    with open_carrier(options.path) as carrier:
        image = load_image(carrier)
        locked = read_embedded(carrier, image)
        signers = list(_claimed_signers(carrier, image))
    if options.json:
        print(json.dumps(_to_json(image, locked, signers), indent=2))
        return 0
    index = image.tree
    stored = sum(layer.size for layer in image.manifest.layers)
    print(f"target       {index.target}")
    print(f"bytecode     {f'CPython {index.bytecode}' if index.bytecode else 'none'}")
    print(f"digest       {image.digest}")
    print(f"tree digest  {image.config.tree_digest}")
    if image.config.serial:
        print(f"serial       {image.config.serial}")
    for signer in signers:
        print(f"signature    says it is by {signer}; bundle verify --key checks that")
    print(f"layers       {len(image.manifest.layers)}, {stored / 1e6:.1f} MB")
    print(f"files        {len(index.files) + 1}, {sum(file.size for file in index.files) / 1e6:.1f} MB")
    if locked.provided:
        print(f"the image's  {', '.join(map(str, locked.provided))}")
    if locked.dropped:
        print(f"dropped      {', '.join(map(str, locked.dropped))}")
    width = max((len(item.name) for item in index.distributions), default=0)
    for item in index.distributions:
        print(f"  {item.name:<{width}}  {item.version:<12} {item.size / 1e6:>8.1f} MB  {item.wheel}")
    for line in _origins(locked):
        print(line)
    for allowance in index.allowances:
        print(f"{allowance.why}: {allowance.name} [{allowance.rule}] sha256:{allowance.sha256}")
    return 0


def _origins(locked: Lock) -> Iterator[str]:
    """Yield a line for each wheel that is no index's."""
    for pin in locked.pins:
        if pin.build is not None:
            yield f"built        {pin.name} {pin.version}, by CPython {pin.build.python}, from {_source(pin.build)}"
        if pin.environment is not None:
            yield f"as installed {pin.name} {pin.version}, in {pin.environment.name}"


def _source(build: Build) -> str:
    """Say what a wheel was built of."""
    if build.repository is not None:
        return f"{build.repository.url}@{build.repository.commit}"
    return f"{'the directory ' if build.is_directory else ''}{build.source.filename} sha256:{build.source.sha256}"


def _claimed_signers(carrier: Carrier, image: Image) -> Iterator[str]:
    """Yield, for each signature of *image*, the fingerprint of the key that it names; nobody has verified it."""
    for where, data in carrier.signatures():
        with contextlib.suppress(ContentError):
            yield parse_signature(data, image.digest, where).claimed or "a key that it does not name"


def _to_json(image: Image, locked: Lock, signers: Sequence[str]) -> dict[str, Any]:
    index = image.tree
    return {
        "digest": image.digest,
        "tree_digest": image.config.tree_digest,
        "serial": image.config.serial or None,
        "signatures": [{"claimed_key": signer} for signer in signers],
        "target": index.target.to_json(),
        "libc_version": index.libc_version,
        "bytecode": index.bytecode,
        "files": len(index.files) + 1,
        "size": sum(file.size for file in index.files),
        "distributions": [item._asdict() for item in index.distributions],
        "provided": [{"name": item.name, "version": str(item.version)} for item in locked.provided],
        "dropped": [{"name": item.name, "version": str(item.version)} for item in locked.dropped],
        "built": [
            {"name": pin.name, "version": str(pin.version), "python": pin.build.python, "source": _source(pin.build)}
            for pin in locked.pins
            if pin.build is not None
        ],
        "as_installed": [
            {"name": pin.name, "version": str(pin.version), "environment": pin.environment.name}
            for pin in locked.pins
            if pin.environment is not None
        ],
        "console_scripts": index.console_scripts,
        "allowances": [item._asdict() for item in index.allowances],
        "layers": [
            {"digest": layer.digest, "size": layer.size, "frames": len(layer.frames)} for layer in image.manifest.layers
        ],
    }
