"""A project in a directory, a repository or an archive → the source that the builder takes: one file with its sha256.

* Of a directory an archive is made: its files, sorted, without what builds and tools have left there, the same bytes
  wherever and whenever it is made.
* Of a repository one commit is taken, and named; what a branch or a tag names today, a lock names by its commit.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.fetching.index_options import redacted, redacted_text
from bundler.pins import Pin, Repository
from bundler.runtime.errors import BundleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.caching.build_cache import Cache

_ARCHIVAL = ".git_archival.txt"
_LEFT_BEHIND = (
    *(".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "build", "dist", "node_modules"),
    *("__pycache__", "*.egg-info", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
)
UNKNOWN = Version("0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A source whose name and version are not known before it is built, and where it is from."""

    source: Pin
    where: str
    repository: Repository | None = None
    is_directory: bool = False


def directory_project(directory: Path, cache: Cache) -> Project:
    """Return the project in *directory*, whose archive is put into *cache*."""
    if not any((directory / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
        hint = None
        if (directory / "pyvenv.cfg").is_file():
            hint = "it is a virtual environment: name what it holds, for example by its pip freeze"
        raise UsageError(directory, "is a directory without pyproject.toml or setup.py", hint=hint)
    pin = _archived(directory, directory.name or "project", cache, path=directory.absolute())
    return Project(source=pin, where=str(directory), is_directory=True)


def archive_project(path: Path) -> Project:
    """Return the project in the source distribution *path*."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise BundleError(path, f"cannot be read: {error.strerror}") from None
    name = canonicalize_name(path.name.partition("-")[0] or "project")
    pin = Pin(name=name, version=UNKNOWN, filename=path.name, sha256=sha256, size=size, path=path.absolute())
    return Project(source=pin, where=str(path))


def git_project(url: str, revision: str | None, subdirectory: str, cache: Cache) -> Project:
    """Return the project at *revision* (default: the branch that a clone checks out) of the git repository *url*."""
    where = redacted(url)
    with tempfile.TemporaryDirectory(prefix="bundle-git-") as scratch:
        clone = Path(scratch, "clone")
        _git(where, "clone", "--quiet", "--no-checkout", "--", url, str(clone))
        commit = _commit_of(clone, revision or "HEAD", where)
        _git(where, "-C", str(clone), "-c", "advice.detachedHead=false", "checkout", "--quiet", commit)
        directory = clone / subdirectory
        if not directory.resolve().is_relative_to(clone.resolve()) or not directory.is_dir():
            raise UsageError(where, "has no such directory", got=subdirectory)
        _describe(clone, directory, commit)
        name = url.rstrip("/").rpartition("/")[2].removesuffix(".git") or "project"
        pin = _archived(directory, name, cache, url=where)
    repository = Repository(url=where, commit=commit, subdirectory=subdirectory)
    return Project(source=pin, where=f"{where}@{commit[:12]}", repository=repository)


def _commit_of(clone: Path, revision: str, where: str) -> str:
    """Return the commit that *revision*, a commit, tag or branch, names."""
    for name in (revision, f"origin/{revision}"):
        if name.startswith("-"):
            break
        command = ["git", "-C", str(clone), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return answer.stdout.strip()
    raise BundleError(where, "has no such commit, tag or branch", got=revision)


def _describe(clone: Path, directory: Path, commit: str) -> None:
    """Write to *directory* of *clone* what projects that take their version from git read where there is no ``.git``.

    setuptools_scm, and hatch-vcs with it, call it ``.git_archival.txt``; ``git archive`` would fill it in.
    """
    described = _asked(clone, "describe", "--tags", "--long", "--match", "*[0-9]*", commit)
    date = _asked(clone, "show", "--no-patch", "--format=%cI", commit)
    lines = [f"node: {commit}", f"node-date: {date}", *([f"describe-name: {described}"] if described else [])]
    (directory / _ARCHIVAL).unlink(missing_ok=True)  # it may be a link
    (directory / _ARCHIVAL).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _asked(clone: Path, *arguments: str) -> str:
    """Return what git answers about *clone*; empty if it has no answer."""
    answer = subprocess.run(
        ["git", "-C", str(clone), *arguments], capture_output=True, text=True, check=False, errors="replace"
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _git(where: str, *arguments: str) -> None:
    """Run git; it asks nobody for a password."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        answer = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, env=environment, errors="replace"
        )
    except FileNotFoundError:
        raise BundleError(where, "needs git, which is not installed", hint="apt-get install git") from None
    if answer.returncode != 0:
        reason = redacted_text(answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "no reason")
        raise BundleError(where, f"cannot be cloned: {reason}")


def _archived(directory: Path, name: str, cache: Cache, *, path: Path | None = None, url: str | None = None) -> Pin:
    """Put an archive of *directory* into *cache*; return its pin."""
    with tempfile.TemporaryFile() as file:
        _write_archive(directory, file)
        size = file.tell()
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        with cache.in_use(), cache.new_wheel(sha256) as new:
            with new.path.open("wb") as out:
                while chunk := file.read(1 << 20):
                    out.write(chunk)
            new.publish()
    normal = canonicalize_name(name)
    return Pin(name=normal, version=UNKNOWN, filename=f"{name}.tar", sha256=sha256, size=size, path=path, url=url)


def _write_archive(directory: Path, file: BinaryIO) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(directory):
            info = tarfile.TarInfo(f"source/{path.relative_to(directory).as_posix()}")
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            info.size = path.stat().st_size
            with path.open("rb") as content:
                tar.addfile(info, content)


def _files(directory: Path) -> Iterator[Path]:
    """Yield the files of *directory*, sorted; links to files are followed, those to directories are not."""
    for where, directories, names in os.walk(directory):
        directories[:] = sorted(each for each in directories if not _is_left_behind(each))
        for name in sorted(names):
            path = Path(where, name)
            if path.is_file() and not _is_left_behind(name):
                yield path


def _is_left_behind(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _LEFT_BEHIND)
