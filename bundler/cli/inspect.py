"""``bundle inspect``: what is inside an artifact."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bundler.runtime.carriers import open_carrier
from bundler.runtime.images import load_image

if TYPE_CHECKING:
    import argparse

    from bundler.runtime.images import Image

NAME = "inspect"
HELP = "show the target, the packages and the digests of a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="PATH", help="a .pyz, a packed directory or a tree")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    with open_carrier(options.path) as carrier:
        image = load_image(carrier)
    if options.json:
        print(json.dumps(_to_json(image), indent=2))
        return 0
    index = image.tree
    stored = sum(layer.size for layer in image.manifest.layers)
    print(f"target       {index.target}")
    print(f"bytecode     {f'CPython {index.bytecode}' if index.bytecode else 'none'}")
    print(f"digest       {image.digest}")
    print(f"tree digest  {image.config.tree_digest}")
    print(f"layers       {len(image.manifest.layers)}, {stored / 1e6:.1f} MB")
    print(f"files        {len(index.files) + 1}, {sum(file.size for file in index.files) / 1e6:.1f} MB")
    width = max((len(item.name) for item in index.distributions), default=0)
    for item in index.distributions:
        print(f"  {item.name:<{width}}  {item.version:<12} {item.size / 1e6:>8.1f} MB  {item.wheel}")
    for allowance in index.allowances:
        print(f"{allowance.why}: {allowance.name} [{allowance.rule}] sha256:{allowance.sha256}")
    return 0


def _to_json(image: Image) -> dict[str, Any]:
    index = image.tree
    return {
        "digest": image.digest,
        "tree_digest": image.config.tree_digest,
        "target": index.target.to_json(),
        "libc_version": index.libc_version,
        "bytecode": index.bytecode,
        "files": len(index.files) + 1,
        "size": sum(file.size for file in index.files),
        "distributions": [item._asdict() for item in index.distributions],
        "console_scripts": index.console_scripts,
        "allowances": [item._asdict() for item in index.allowances],
        "layers": [
            {"digest": layer.digest, "size": layer.size, "frames": len(layer.frames)} for layer in image.manifest.layers
        ],
    }
