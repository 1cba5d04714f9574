"""Print the target that the running interpreter is, as JSON: ``python probe.py > target.json``.

Needs this file only, and Python 3.6 or newer; ``bundle create --target target.json`` takes what it prints.
"""

import os
import sys


def probe() -> "dict[str, str]":
    """Return implementation, complete version, ABI, architecture, libc and its version, all of them text."""
    major, minor, micro = sys.version_info[:3]
    name = sys.implementation.name
    short = {"cpython": "cp", "pypy": "pp"}.get(name, name)
    machine = os.uname().machine
    libc, libc_version = _libc(machine)
    return {
        "implementation": name,
        "python": "%d.%d.%d" % (major, minor, micro),
        "abi": "%s%d%d%s" % (short, major, minor, getattr(sys, "abiflags", "")),
        "arch": machine if sys.maxsize > 2**32 else machine + " (32-bit Python)",
        "libc": libc,
        "libc_version": libc_version,
    }


def _libc(machine: str) -> "tuple[str, str]":
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (AttributeError, OSError, ValueError):
        pass
    else:
        return name, ".".join(version.split(".")[:2])
    loader = "/lib/ld-musl-%s.so.1" % machine
    return ("musl", _musl_version(loader)) if os.path.exists(loader) else ("unknown", "0.0")


def _musl_version(loader: str) -> str:
    """Ask the loader, which says it only to whoever starts it without a program."""
    import re
    import subprocess

    try:
        text = subprocess.Popen([loader], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE).communicate()[1]
    except OSError:
        return "0.0"
    found = re.search(r"Version (\d+\.\d+)", text.decode("ascii", "replace"))
    return found.group(1) if found else "0.0"


if __name__ == "__main__":
    import json

    sys.stdout.write(json.dumps(probe(), indent=2) + "\n")
