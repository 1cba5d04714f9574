"""A lock beside the file that it was made of → whether that has changed since, as the tool itself would tell.

* Poetry and pipenv write a hash of what matters of their file into the lock. It is made again here, and compared.
* Only a warning comes of it: another version of the tool may hash more.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from typing import TYPE_CHECKING, Any

from bundler.inputs.documents import Table
from bundler.runtime.errors import BundleError
from bundler.small_files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_LEGACY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
_NO_PACKAGES = ("source", "requires", "packages", "dev-packages", "pipenv", "scripts")


def warn_of_poetry(project: Path, content_hash: str) -> tuple[str, ...]:
    """Return what to say if a ``poetry.lock`` with *content_hash* was not made of the ``pyproject.toml`` *project*."""
    root = _read(project)
    if root is None or not content_hash:
        return ()
    hashes = (_sha256(json.dumps(content, sort_keys=True)) for content in _poetry_contents(root))
    return _warning(hashes, content_hash, f"{project.name} has changed since: poetry lock")


def warn_of_pipenv(pipfile: Path, sha256: str) -> tuple[str, ...]:
    """Return what to say if a ``Pipfile.lock`` with *sha256* was not made of *pipfile*."""
    root = _read(pipfile)
    if root is None or not sha256 or "source" not in root:  # pipenv has an index of its own to put there
        return ()
    content = {
        "_meta": {"sources": root.fields.get("source", []), "requires": root.fields.get("requires", {})},
        "default": root.fields.get("packages", {}),
        "develop": root.fields.get("dev-packages", {}),
        **{key: value for key, value in root.fields.items() if key not in _NO_PACKAGES},
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return _warning([_sha256(text)], sha256, f"{pipfile.name} has changed since: pipenv lock")


def _poetry_contents(root: Table) -> Iterator[dict[str, Any]]:
    """Yield what Poetry hashes of a project: from 2.2 on, and before."""
    project = {key: root.fields["project"][key] for key in _PROJECT_KEYS if key in root.table("project")}
    poetry = root.table("tool").table("poetry")
    relevant = {key: poetry.fields[key] for key in (*_LEGACY_KEYS, "group") if key in poetry}
    if not project:
        yield {**dict.fromkeys(_LEGACY_KEYS), **relevant}
    groups = root.fields.get("dependency-groups")
    with_tool = {"project": project, "tool": {"poetry": relevant}}
    yield with_tool if project else relevant
    yield {"dependency-groups": groups, **{key: value for key, value in with_tool.items() if value}}


def _warning(hashes: Iterable[str], wanted: str, text: str) -> tuple[str, ...]:
    return () if wanted in hashes else (text,)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> Table | None:
    """Return the contents of the TOML at *path*; None if there is none that can be compared."""
    try:
        root = tomllib.loads(read_text(path))
        json.dumps(root)
    except (BundleError, ValueError, TypeError, RecursionError):
        return None
    return Table(fields=root, where=path.name)
