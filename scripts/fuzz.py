"""Targets of tests/fuzzing → inputs that break them, found by atheris with coverage feedback.

* Each target runs in a process of its own, one after the other, with a limit of time and memory for each input.
* Inputs that reach new code are kept, and the next run begins with them.
* An input that breaks a target is written down and printed; it belongs into the corpus of tests/hostile.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
LIMITS = ["-timeout=10", "-rss_limit_mb=1500", "-max_len=20000", "-print_final_stats=1"]


def run_target(name: str, arguments: list[str]) -> None:
    """Fuzz in this process; it ends with libFuzzer."""
    import atheris  # noqa: PLC0415 - first of all, in the process that fuzzes

    with atheris.instrument_imports(include=["bundler", "packaging"]):
        from fuzzing.targets import TARGETS  # noqa: PLC0415 - instrumented while it is imported
    target = TARGETS[name]
    corpus = Path(arguments[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    if target.dictionary:
        words = corpus.with_suffix(".dict")
        lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.dictionary]
        words.write_text("\n".join(lines) + "\n")
        arguments = [*arguments, f"-dict={words}"]
    atheris.Setup(arguments, lambda data: 0 * target.run(data))
    atheris.Fuzz()


def fuzz(
    name: str, corpus: Path, *, seconds: float | None = None, runs: int | None = None, seed: int = 0
) -> str | None:
    """Fuzz the target *name* in a process of its own; return what it says if it fails."""
    findings = corpus.parent / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds:.0f}"] if seconds else [f"-runs={runs}"]
    command = [sys.executable, __file__, "--run", name, str(corpus), *LIMITS, *limits, f"-seed={seed}"]
    command.append(f"-artifact_prefix={findings}/{name}-")
    with tempfile.TemporaryDirectory(prefix="bundler-fuzz-", dir="/dev/shm") as scratch:
        environ = {**os.environ, "BUNDLER_FUZZ_SCRATCH": scratch}
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environ)
    stats = [line for line in answer.stderr.splitlines() if line.startswith("stat::number_of_executed_units")]
    covered = [part for part in answer.stderr.splitlines() if " cov: " in part]
    print(name, *stats, *covered[-1:], flush=True)
    if answer.returncode == 0:
        return None
    lines = (answer.stdout + answer.stderr).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("INFO:", "WARNING:", "#", "stat::", "0x")))[-6000:]


def main() -> int:
    """Run the command; exit with 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", metavar="TARGET", nargs="*")
    parser.add_argument("--minutes", type=float, default=5, help="for each target (default: 5)")
    parser.add_argument("--runs", type=int, help="so many inputs for each target, instead of minutes")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time (default)")
    parser.add_argument("--corpus", type=Path, default=ROOT / ".cache" / "fuzz", help="what earlier runs have learnt")
    options = parser.parse_args()
    from fuzzing.targets import TARGETS  # noqa: PLC0415 - not in a process that fuzzes

    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"unknown targets {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = []
    for name in options.targets or TARGETS:
        seconds = None if options.runs else 60 * options.minutes
        said = fuzz(name, options.corpus / name, seconds=seconds, runs=options.runs, seed=options.seed)
        if said is not None:
            print(said)
            failed.append(name)
    if failed:
        print(f"found something: {', '.join(failed)}; the inputs lie in {options.corpus / 'findings'}")
    return int(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run_target(sys.argv[2], [sys.argv[0], *sys.argv[3:]])
    sys.exit(main())
