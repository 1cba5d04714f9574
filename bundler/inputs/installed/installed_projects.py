"""An entry of ``site-packages`` → the project that it says is installed, or what is wrong with it.

* ``NAME-VERSION.dist-info`` is what pip, uv and conda write; ``.egg-info`` and ``.egg`` are of setuptools' own
  installer, and list no hashes.
* Its contents are a stranger's: a link is not followed, a name or version is one of the standard's.
* ``direct_url.json`` says where it came from, if it was no index.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.installed_distributions import MAX_METADATA, Distribution
from bundler.locks import is_plain_url
from bundler.pins import COMMIT, HEX
from bundler.runtime.errors import BundleError, ContentError
from bundler.small_files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName

DIST_INFO = ".dist-info"
_DOCUMENTS = ("METADATA", "PKG-INFO", "WHEEL", "RECORD", "INSTALLER", "direct_url.json", "entry_points.txt")
_PLAIN = re.compile(r"[!-~]+")  # no spaces, nothing that cannot be seen
_SCHEMES = ("https://", "http://", "ssh://", "file://")
_REINSTALL = "reinstall it there, or remove what is left of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUrl:
    """Where a project was installed from (PEP 610): a URL, and what of it."""

    url: str
    editable: bool = False
    commit: str | None = None
    subdirectory: str = ""
    sha256: str | None = None

    @classmethod
    def parse(cls, data: bytes, where: object) -> DirectUrl:
        """Read ``direct_url.json``; raise ``ContentError`` if it is none, or names no plain URL."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        fields: dict[str, Any] = document if isinstance(document, dict) else {}
        url, subdirectory = fields.get("url"), fields.get("subdirectory", "")
        archive, directory, vcs = (_table(fields, key) for key in ("archive_info", "dir_info", "vcs_info"))
        commit = vcs.get("commit_id")
        texts = [text for text in (url, subdirectory or ".") if isinstance(text, str) and _PLAIN.fullmatch(text)]
        git = not vcs or (vcs.get("vcs") == "git" and isinstance(commit, str) and COMMIT.fullmatch(commit))
        if len(texts) != 2 or not is_plain_url(texts[0]) or not texts[0].startswith(_SCHEMES) or not git:  # noqa: PLR2004 - both
            raise ContentError(where, "names no place that can be used", hint="reinstall it from an index", rule="B15")
        return cls(
            url=texts[0],
            editable=directory.get("editable") is True,
            commit=commit,
            subdirectory=str(subdirectory),
            sha256=_sha256(archive),
        )

    @property
    def path(self) -> str | None:
        """The path on this host, if it is one."""
        return url2pathname(urlsplit(self.url).path) if urlsplit(self.url).scheme == "file" else None

    def requirement(self, name: str) -> str:
        """Return the requirement line for the project *name* from there."""
        if self.commit is not None:
            fragment = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
            return f"{name} @ git+{self.url}@{self.commit}{fragment}"
        filename = unquote(urlsplit(self.url).path).rpartition("/")[2]
        if self.sha256 is None:
            return f"{name} @ {self.url}"
        if filename.endswith(".whl"):
            return f"{name} @ {self.url}#sha256={self.sha256}"
        return f"{name} @ {self.url.partition('#')[0]}#sha256={self.sha256}"


def _table(fields: dict[str, Any], key: str) -> dict[str, Any]:
    value = fields.get(key)
    return value if isinstance(value, dict) else {}


def _sha256(archive: dict[str, Any]) -> str | None:
    """Return the sha256 of *archive*, in its new form or its old one."""
    found = _table(archive, "hashes").get("sha256") or str(archive.get("hash", "")).removeprefix("sha256=")
    return found if isinstance(found, str) and HEX.fullmatch(found) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProject:
    """A project that is installed: *info* is its metadata directory or file, *installer* who says to have done it."""

    name: NormalizedName
    version: Version
    distribution: Distribution
    installer: str
    direct_url: DirectUrl | None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def info(self) -> Path:
        """Its metadata directory, or file."""
        return self.distribution.info

    @property
    def is_egg(self) -> bool:
        """Whether setuptools itself has installed it, without a RECORD."""
        return self.info.suffix != DIST_INFO

    @classmethod
    def read(cls, info: Path) -> InstalledProject:
        """Read *info*, a ``.dist-info``, ``.egg-info`` or ``.egg``; raise ``ContentError`` if it cannot be trusted."""
        inside = info / "EGG-INFO" if info.suffix == ".egg" and info.is_dir() else info
        for path in (info, inside, *(inside / name for name in _DOCUMENTS)):
            if path.is_symlink():
                hint = "reinstall it with files of its own (uv: --link-mode copy)"
                raise ContentError(path, "is a symbolic link, which is not followed", hint=hint, rule="A7")
        distribution = Distribution.read(inside)
        name, version = distribution.metadata.get("Name"), distribution.metadata.get("Version")
        if not name or not version:
            what = "has no METADATA with a name and a version"
            raise ContentError(info, what, hint=_REINSTALL, rule="A2")
        try:
            project, parsed = canonicalize_name(str(name), validate=True), Version(str(version))
        except (InvalidName, InvalidVersion, ValueError):
            what, got = "has a name or version that is none", ascii(f"{name} {version}")[:200]
            raise ContentError(info, what, got=got, hint=_REINSTALL, rule="A2") from None
        return cls(
            name=project,
            version=parsed,
            distribution=replace(distribution, info=info),
            installer=_small(inside / "INSTALLER").decode("utf-8", "replace").strip()[:40],
            direct_url=_direct_url(inside / "direct_url.json"),
        )


def _direct_url(file: Path) -> DirectUrl | None:
    return DirectUrl.parse(_small(file), file) if file.is_file() else None


def _small(file: Path) -> bytes:
    """Return the bytes of *file*; none if it is no file."""
    if not file.is_file():
        return b""
    try:
        return read_bytes(file, MAX_METADATA)
    except BundleError as error:
        raise ContentError(file, error.what, want=error.want, rule="A6") from None
