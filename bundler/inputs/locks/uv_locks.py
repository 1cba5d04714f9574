"""``uv.lock`` → the versions in it, with their hashes, as ``uv export`` writes them.

* uv reads its own format, as it is: ``--frozen``, without the network. It runs nothing of the project then.
* The project itself is left out, and so are the groups that are only on by default.
* Which extras and groups there are, and where each package stands, is read from the file.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.fetching.index_options import IndexOptions
from bundler.inputs.documents import Table, header_lines, line_of, read_document
from bundler.inputs.listings import Input, Listing
from bundler.inputs.locks.pylocks import locked_lines
from bundler.inputs.python_versions import WantedPython
from bundler.locks import parse_pylock
from bundler.resolving.uv.unsolved import Unsolved
from bundler.resolving.uv.uv_command import run_uv, uv_environment
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from packaging.pylock import Pylock
    from packaging.utils import NormalizedName

    from bundler.inputs.listings import Chosen

_EXPORT = (
    *("export", "--quiet", "--color", "never", "--frozen", "--offline", "--no-config", "--no-cache"),
    *("--no-python-downloads", "--no-default-groups", "--no-emit-project", "--no-header", "--format", "pylock.toml"),
)


def read_uv_lock(path: Path, chosen: Chosen) -> Input:
    """Return what the ``uv.lock`` at *path* locks; raise ``UsageError`` if uv cannot read it."""
    text, root = read_document(path)
    packages = root.tables("package")
    numbers = header_lines(text, "package", len(packages))
    extras, groups = _choices(root, packages)
    python = None
    if "requires-python" in root:
        versions = root.text("requires-python")
        where = f"{path.name}:{line_of(text, 'requires-python')}"
        python = WantedPython.of(versions, text=f"requires-python {versions}", where=where)
    if not (path.parent / "pyproject.toml").is_file():
        raise UsageError(path, "has no pyproject.toml beside it, which says what of it is needed")
    with tempfile.TemporaryDirectory(prefix="bundle-uv-lock-") as directory:
        # Relative paths in the answer are relative to where it lies.
        scratch = Path(directory).resolve()
        pylock = _export(path, scratch / "pylock.toml", sorted(chosen.extras & extras), sorted(chosen.groups & groups))
        at = {
            (canonicalize_name(package.text("name")), package.text("version")): number
            for package, number in zip(packages, numbers, strict=True)
        }
        keys = [(package.name, str(package.version or "")) for package in pylock.packages]
        lines = locked_lines(pylock, path, scratch, lambda index: at.get(keys[index], 1))
    return Input(
        path=path,
        requirements=Listing(path=path, lines=lines),
        python=python,
        is_lock=True,
        extras=extras,
        groups=groups,
    )


def _choices(root: Table, packages: list[Table]) -> tuple[frozenset[NormalizedName], frozenset[NormalizedName]]:
    """Return the names of the extras and of the groups of the project itself, or of a workspace without one."""
    extras: set[str] = set()
    groups = {*root.table("manifest").table("dependency-groups").fields}
    for package in packages:
        source = package.table("source")
        if "." in (source.fields.get("virtual"), source.fields.get("editable"), source.fields.get("directory")):
            metadata = package.table("metadata")
            extras |= {*package.table("optional-dependencies").fields, *metadata.texts("provides-extras")}
            groups |= {*package.table("dev-dependencies").fields, *metadata.table("requires-dev").fields}
    return frozenset(map(canonicalize_name, extras)), frozenset(map(canonicalize_name, groups))


def _export(path: Path, out: Path, extras: list[str], groups: list[str]) -> Pylock:
    """Return what uv exports of the lock at *path*, by way of the file *out*."""
    chosen = [argument for extra in extras for argument in ("--extra", extra)]
    chosen += [argument for group in groups for argument in ("--group", group)]
    command = [*_EXPORT, "--project", str(path.parent.absolute()), "--output-file", str(out), *chosen]
    try:
        run_uv(command, uv_environment(IndexOptions(), os.environ))
        return parse_pylock(out.read_text(encoding="utf-8"), path)
    except Unsolved as unsolved:
        reason = " ".join(line.strip() for line in str(unsolved).splitlines() if line.strip())
        raise UsageError(path, f"is not read by uv: {reason}", hint="lock the project again: uv lock") from None
    except OSError as error:
        raise UsageError(path, f"is not read by uv: {error.strerror}") from None
