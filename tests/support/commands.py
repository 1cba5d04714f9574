"""The commands as a user types them, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "fixtures" / "requirements"


def bundle(*arguments, builder=sys.executable, **options):
    command = [builder, "-c", "import sys; from bundler.cli import main; sys.exit(main())", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def create(out, *arguments, cache, **options):
    """Create a bundle; return what ``--json`` says of it."""
    answer = bundle("create", "--json", "-o", out, "--cache-dir", cache, *arguments, **options)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def without_network(*command, **options):
    """Run *command* where there is no interface but loopback, as a user that owns nothing."""
    return subprocess.run(
        ["unshare", "-rn", *map(str, command)], capture_output=True, text=True, check=False, timeout=300, **options
    )
