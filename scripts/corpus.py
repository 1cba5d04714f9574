"""Requirements files as people have them → which of them become bundles that can be imported, and which are refused.

* What each file should come to is in ``fixtures/requirements/real/verdicts.toml``; the exit code is 1 if one comes to
  anything else.
* A file is created as a user would: ``bundle create -r FILE``, for the target that the table or the file names. Then
  the target's own interpreter mounts the bundle without a network, in a new virtual environment, and imports.
* All happens in a copy, in which the folders ``NAME.tar.gz``, ``NAME.zip``, ``NAME.whl`` and ``NAME.git`` have become
  archives, wheels and repositories. ``${HERE}`` is the file's folder there, ``${FEED}`` the same folder over HTTP on
  loopback, ``${INDEX_URL}`` the index that pip uses.
* One at a time, and nothing stays but the cache, which is kept below 6 GB.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from pip._internal.models.index import PyPI

from bundler.caching.build_cache import Cache
from bundler.fetching.index_options import index_options
from bundler.interpreters import find_interpreter
from bundler.runtime.errors import BundleError
from bundler.runtime.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REAL = Path(__file__).parent.parent / "fixtures" / "requirements" / "real"
_SECONDS = 1800
_CACHE_SIZE = 6_000_000_000
_GIT = ("git", "-c", "user.name=corpus", "-c", "user.email=corpus@localhost", "-c", "init.defaultBranch=main")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, and what it should come to: a bundle with the modules *imports*, or a refusal that *says* something.

    *holds* is an expression that is true once the modules are imported.
    *target* is a preset; None: what the file itself says. *needs* is a place without which it cannot be tried.
    """

    file: str
    target: str | None = None
    imports: tuple[str, ...] = ()
    holds: str = "True"
    says: str | None = None
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    needs: str | None = None

    @property
    def expected(self) -> str:
        """``created`` or ``refused``."""
        return "created" if self.says is None else "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What *entry* came to: a verdict, and what there is to say of it."""

    entry: Entry
    verdict: str
    facts: str
    seconds: float

    @property
    def is_expected(self) -> bool:
        """Whether it is what the table says."""
        if self.verdict == "refused" and self.entry.says is not None:
            return self.entry.says in self.facts
        return self.verdict in (self.entry.expected, "not tried")

    def __str__(self) -> str:
        mark = "" if self.is_expected else "UNEXPECTED: "
        return f"{self.verdict:<10}{self.seconds:>6.1f} s  {self.entry.file}: {mark}{self.facts}"


def read_entries(path: Path = REAL / "verdicts.toml") -> list[Entry]:
    """Return the table's entries in its order."""
    table = tomllib.loads(path.read_text())
    return [
        Entry(
            file=file,
            target=f"azureml-{fields['target']}" if "target" in fields else None,
            imports=tuple(fields.get("imports", "").split()),
            holds=fields.get("holds", "True"),
            says=fields["says"] if verdict == "refused" else None,
            options=tuple(fields.get("options", "").split()),
            environ=fields.get("environ", {}),
            needs=fields.get("needs"),
        )
        for verdict in ("created", "refused")
        for file, fields in table[verdict].items()
    ]


class Corpus:
    """A copy of the files below *directory*, and the virtual environments that their bundles are imported in."""

    def __init__(self, directory: Path, feed: str, cache: Path) -> None:
        self._directory = directory
        self._files = directory / "files"
        self._feed = feed
        self._cache = cache
        self._pythons: dict[Target, Path] = {}
        self._index = index_options().index_url or PyPI.simple_url

    def make_files(self) -> None:
        """Copy the files; make archives, wheels and repositories of the folders with such names."""
        shutil.copytree(REAL, self._files)
        for path in sorted(self._files.rglob("*.*"), reverse=True):
            if path.is_dir() and path.name.endswith((".tar.gz", ".zip", ".whl", ".git")):
                source = path.rename(path.with_name(f"{path.name}.folder"))
                _make(path, source)

    def try_entry(self, entry: Entry) -> Outcome:
        """Create the bundle of *entry* and import it."""
        start = time.monotonic()
        if entry.needs and not _answers(entry.needs):
            return Outcome(entry=entry, verdict="not tried", facts=f"needs {entry.needs}", seconds=0)
        out = self._directory / "bundle"
        try:
            verdict, facts = self._try(entry, out)
        finally:
            for path in (out, self._directory / "trees"):
                _remove(path)
            with contextlib.suppress(BundleError):  # while another process uses it
                Cache(self._cache).prune(max_bytes=_CACHE_SIZE)
        return Outcome(entry=entry, verdict=verdict, facts=facts, seconds=round(time.monotonic() - start, 1))

    def _try(self, entry: Entry, out: Path) -> tuple[str, str]:
        path = self._files / entry.file
        folder = path.parent.relative_to(self._files).as_posix()
        command = [
            sys.executable,
            "-m",
            "bundler",
            "create",
            "--json",
            "-r",
            path.name,
            "-o",
            out,
            "--format",
            "packed",
        ]
        command += ["--compile", "never", "--level", "1", "--cache-dir", self._cache, *entry.options]
        command += ["--target", entry.target] if entry.target else []
        variables = {"HERE": str(path.parent), "FEED": f"{self._feed}/{folder}".removesuffix("/."), **entry.environ}
        environ = {**os.environ, "INDEX_URL": self._index, **variables}
        answer = _run(command, cwd=path.parent, env=environ)
        if answer.returncode != 0:
            return "refused", _error_of(answer.stderr)
        made = json.loads(answer.stdout)
        facts = f"{len(made['packages'])} packages, {made['size'] / 1e6:.1f} MB"
        if not entry.imports:
            return "created", facts
        python = self._python(Target.from_json(made["target"]))
        code = f"import {', '.join(entry.imports)}; assert {entry.holds}, {entry.holds!r}"
        run = [python, out, "run", "--expect", made["digest"], "--", "python", "-c", code]
        answer = _run([*_without_network(), *run], env={**os.environ, "BUNDLE_CACHE": str(self._directory / "trees")})
        if answer.returncode != 0:
            return "broken", f"{facts}: {answer.stderr.strip().splitlines()[-1]}"
        return "created", f"{facts}; imported {' '.join(entry.imports)}"

    def _python(self, target: Target) -> Path:
        """Return the program of a new virtual environment of *target*: pip and setuptools as its Python brings them."""
        if target not in self._pythons:
            interpreter = find_interpreter(target, python=None, environ=os.environ)
            if interpreter is None:
                sys.exit(f"error: {target}: there is no interpreter; install it, for example with pyenv")
            place = self._directory / f"python{len(self._pythons)}"
            subprocess.run([interpreter.path, "-m", "venv", place], check=True)
            self._pythons[target] = place / "bin" / "python"
        return self._pythons[target]


def _make(path: Path, source: Path) -> None:
    """Make at *path* what its name says of the folder *source*."""
    if path.suffix == ".whl":
        _make_wheel(path, source)
    elif path.suffix == ".git":
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"], ["tag", "v1.4"]):
            subprocess.run([*_GIT, *command], cwd=source, check=True)
        source.rename(path)
    else:
        form = "zip" if path.suffix == ".zip" else "gztar"
        shutil.make_archive(str(path).removesuffix(".tar.gz").removesuffix(".zip"), form, source)


def _make_wheel(path: Path, source: Path) -> None:
    """Write the files of *source* as a wheel, with their RECORD."""
    record = ""
    with zipfile.ZipFile(path, "w") as wheel:
        for file in sorted(file for file in source.rglob("*") if file.is_file()):
            name, data = file.relative_to(source).as_posix(), file.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},{len(data)}\n"
            wheel.writestr(name, data)
        place = next(source.glob("*.dist-info")).name + "/RECORD"
        wheel.writestr(place, f"{record}{place},,\n")


def _run(command: list[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS, **options)  # type: ignore[call-overload]


def _error_of(text: str) -> str:
    """Return the error in *text* and its hint, in one line."""
    lines = [line for line in text.splitlines() if not line.startswith(("warning: ", "building "))]
    start = next((number for number, line in enumerate(lines) if line.startswith("error: ")), 0)
    return " | ".join(line.strip() for line in lines[start:])


def _without_network() -> list[str]:
    """Return what runs a command without network; nothing where that is not allowed."""
    allowed = shutil.which("unshare") and subprocess.run(["unshare", "-rn", "true"], check=False).returncode == 0
    return ["unshare", "-rn"] if allowed else []


def _answers(place: str) -> bool:
    """Tell whether the URL *place*, or that in the variable ``${PLACE}``, answers."""
    url = os.path.expandvars(place)
    with contextlib.suppress(ValueError):
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True
    return False


def _remove(path: Path) -> None:
    """Remove *path*, which may be a finished tree: those are read-only."""
    for directory, _, _ in os.walk(path):
        Path(directory).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _served(directory: Path) -> Iterator[str]:
    """Serve *directory* on loopback; give its URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def summary(outcomes: list[Outcome]) -> str:
    """Return the counts, and which files came to something else than they should."""
    tried = [outcome for outcome in outcomes if outcome.verdict != "not tried"]
    lines = []
    for verdict, words in (("created", "make a bundle that imports"), ("refused", "be refused")):
        of = [outcome for outcome in tried if outcome.entry.expected == verdict]
        good = sum(outcome.is_expected for outcome in of)
        if of:
            lines.append(f"{good} of {len(of)} that should {words}: {good / len(of):.1%}")
    lines += [f"{len(outcomes) - len(tried)} not tried"] if len(tried) < len(outcomes) else []
    lines += [f"not as expected: {outcome.entry.file}" for outcome in tried if not outcome.is_expected]
    return "\n".join(lines)


def try_entries(entries: list[Entry], cache: Path) -> Iterator[Outcome]:
    """Try *entries* one after the other."""
    with tempfile.TemporaryDirectory(prefix="corpus-") as name, _served(Path(name, "files")) as feed:
        corpus = Corpus(Path(name), feed, cache)
        corpus.make_files()
        for entry in entries:
            yield corpus.try_entry(entry)


def main() -> int:
    """Run the command; exit with 1 if a file came to something else than it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help="files or folders below real/ (default: all)")
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache/corpus"), help="the builder's cache")
    options = parser.parse_args()
    known = read_entries()
    chosen = [
        entry for entry in known if not options.names or {entry.file, entry.file.split("/")[0]} & {*options.names}
    ]
    if not chosen:
        parser.error(f"none of these is in the table: {' '.join(options.names)}")
    outcomes = []
    for outcome in try_entries(chosen, options.cache_dir.absolute()):
        print(outcome, flush=True)
        outcomes.append(outcome)
    print(summary(outcomes))
    return int(not all(outcome.is_expected for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
