"""The commands as a user types them, each in a process of its own.

Its process is forked from one that has imported the commands: to import them takes longer than to run most of them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "fixtures" / "requirements"


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([f"bundler.cli.{name}" for name in ("create", "configured", "check", "verify", "push")])


def bundle(*arguments, builder=None, cwd=None, env=None, **options):
    if builder is not None or options:
        command = [builder or sys.executable, "-m", "bundler", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env, **options)
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory, name) for name in ("stdout", "stderr")]
        typed = tuple(map(str, arguments))
        process = _FORKS.Process(target=_run, args=(typed, cwd or Path.cwd(), dict(env or os.environ), paths))
        process.start()
        process.join()
        said = [path.read_text(encoding="utf-8") if path.exists() else "" for path in paths]
        return subprocess.CompletedProcess(typed, process.exitcode, *said)


def _run(arguments, directory, environment, paths):
    """Run the command in this process, which was forked for it."""
    from bundler.cli import main

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(paths, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # multiprocessing gives a child other streams.
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - they are numbers
    sys.exit(main(list(arguments)))


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
