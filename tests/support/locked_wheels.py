"""Three wheels and their lock: one needs another, one has scripts, one is big enough for a layer of its own."""

from __future__ import annotations

import random

from support.interpreters import target_of
from support.wheel_factory import make_wheel, pin_of

from bundler.fetching.index_options import IndexOptions
from bundler.locks import Lock
from bundler.options import Options


def three_wheels(directory):
    directory.mkdir()
    generator = random.Random(5)
    return [
        make_wheel(
            directory, "alpha", "1.0", {"alpha.py": b"import beta\nvalue = beta.value + 1\n"}, requires=["beta"]
        ),
        make_wheel(
            directory,
            "beta",
            "2.0",
            {
                "beta/__init__.py": b"value = 41\n",
                "beta/cli.py": b"def main():\n    print('tool')\n",
                "beta/data.txt": b"text",
                "beta-2.0.data/scripts/beta-tool": b"#!python\nprint('tool')\n",
            },
            entry_points="[console_scripts]\nbeta = beta.cli:main\n",
        ),
        make_wheel(directory, "big", "3.0", {"big.bin": generator.randbytes(3 << 20), "big.py": b"x = 1\n"}),
    ]


def lock_of(wheels):
    return Lock(target=target_of("3.7"), pins=tuple(sorted(map(pin_of, wheels), key=lambda pin: pin.name)))


def options(cache, **changes):
    return Options(target=target_of("3.7"), indexes=lambda: IndexOptions(no_index=True), cache=cache, **changes)
