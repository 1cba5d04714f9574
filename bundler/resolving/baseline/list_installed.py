"""What an interpreter has installed → JSON on standard output.

Another interpreter runs this as text (``python -I -c``), so it imports the standard library only and is valid Python
3.6, which knows no ``importlib.metadata``. It only reads: what the files mean is for ``baselines``.
* Of two distributions of a name, the first on ``sys.path`` counts, as it does for an import: that order is kept.
* Of METADATA, the headers are given; of an egg also its ``requires.txt``.
"""

import json
import os
import sys
from typing import Dict, Iterator, Optional


def installed() -> Iterator[Dict[str, Optional[str]]]:
    """Yield the headers, and for an egg the requirements, of each distribution on ``sys.path``."""
    for directory in sys.path:
        try:
            names = sorted(os.listdir(directory or "."))
        except OSError:
            continue
        for name in names:
            path = os.path.join(directory, name)
            if name.endswith(".dist-info"):
                yield {"headers": headers(os.path.join(path, "METADATA")), "requires": None}
            elif name == "EGG-INFO" or (name.endswith(".egg-info") and os.path.isdir(path)):
                requires = text(os.path.join(path, "requires.txt"))
                yield {"headers": headers(os.path.join(path, "PKG-INFO")), "requires": requires}
            elif name.endswith(".egg-info"):
                yield {"headers": headers(path), "requires": ""}


def headers(path: str) -> str:
    """Return what stands before the description."""
    return text(path).partition("\n\n")[0]


def text(path: str) -> str:
    """Return the text of a file, empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    json.dump({"python": "{}.{}.{}".format(*sys.version_info), "distributions": list(installed())}, sys.stdout)
