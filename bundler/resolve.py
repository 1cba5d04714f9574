"""Requirements + target → lock, by ``uv pip compile``.

* uv knows some glibc versions only. For another one it resolves for the next newer, and a version without a fitting
  wheel is excluded and resolved again: the result is what a resolver would find that knew the exact target.
* uv ignores hashes in requirement files; they are enforced here.
* Only wheels. What uv says when there is no solution is shortened to what matters, and a project without a wheel is
  named together with the nearest versions that have one.
* No credentials in errors or in the lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uv
from packaging.utils import canonicalize_name, parse_wheel_filename

from bundler.indexes import redacted
from bundler.locks import Lock, parse_pylock, select_pins
from bundler.requirement_files import demanded_hashes
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.targets import compatibility_tags, marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.pylock import Package, PackageArchive, PackageWheel, Pylock
    from packaging.utils import NormalizedName

    from bundler.indexes import IndexOptions
    from bundler.locks import Pin
    from bundler.reporters import Reporter
    from bundler.requirement_files import HashDemand
    from bundler.runtime.targets import Target

_KNOWN_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_ROUNDS = 40
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"`<>)]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What uv is asked, apart from the platform."""

    requirements: tuple[str, ...]
    requirement_files: tuple[Path, ...]
    constraint_files: tuple[Path, ...]
    target: Target
    indexes: IndexOptions
    cache_dir: Path
    offline: bool


def resolve(
    requirements: Sequence[str],
    *,
    requirement_files: Sequence[Path] = (),
    constraint_files: Sequence[Path] = (),
    target: Target,
    indexes: IndexOptions,
    cache_dir: Path,
    offline: bool = False,
    reporter: Reporter,
) -> Lock:
    """Resolve *requirements* and *requirement_files* under *constraint_files* for *target*.

    Raise ``UsageError`` if nothing was asked for, ``ContentError`` if a hash differs, and ``BundleError`` otherwise.
    """
    if not requirements and not requirement_files:
        raise UsageError("requirements", "nothing was asked for", hint="name a requirement, or a file with -r FILE")
    demands = demanded_hashes([*requirement_files, *constraint_files], marker_environment(target))
    reporter.resolving(len(requirements) + len(requirement_files))
    question = _Question(
        requirements=tuple(requirements),
        requirement_files=tuple(path.absolute() for path in requirement_files),
        constraint_files=tuple(path.absolute() for path in constraint_files),
        target=target,
        indexes=indexes,
        cache_dir=cache_dir,
        offline=offline,
    )
    lock = Lock(target=target, pins=tuple(_pins_of(_fitting(question), demands, target)))
    reporter.resolved(lock)
    return lock


def _pins_of(pylock: Pylock, demands: Mapping[NormalizedName, list[HashDemand]], target: Target) -> list[Pin]:
    narrowed = replace(pylock, packages=[_with_demanded_hashes(package, demands) for package in pylock.packages])
    return [_with_local_size(pin) for pin in select_pins(narrowed, Path("pylock.toml").absolute(), target)]


def _with_local_size(pin: Pin) -> Pin:
    if pin.path is None or pin.size is not None or not pin.path.is_file():
        return pin
    return replace(pin, size=pin.path.stat().st_size)


def _with_demanded_hashes(package: Package, demands: Mapping[NormalizedName, list[HashDemand]]) -> Package:
    """Leave only those wheels of *package* that every requirement line with hashes accepts (rule A1)."""
    wheels, archive = list(package.wheels or ()), package.archive
    for demand in demands.get(package.name, ()):
        found = [wheel.hashes.get("sha256") for wheel in wheels] or [archive.hashes.get("sha256") if archive else None]
        wheels = [wheel for wheel in wheels if wheel.hashes.get("sha256") in demand.sha256]
        accepted = bool(wheels) or (archive is not None and archive.hashes.get("sha256") in demand.sha256)
        if not accepted:
            raise ContentError(
                demand.where,
                f"lists no hash of a wheel of {package.name} {package.version} that fits the target",
                got=", ".join(f"sha256:{sha256}" for sha256 in found),
                want=" or ".join(f"sha256:{sha256}" for sha256 in sorted(demand.sha256)[:3]),
                hint="if the wheel is right, add its hash to the line",
                rule="A1",
            )
    return replace(package, wheels=wheels or None) if package.wheels else package


def _fitting(question: _Question) -> Pylock:
    """Ask uv until every version it chooses has a wheel that fits the target exactly."""
    upper, lower = _uv_platforms(question.target)
    excluded: list[str] = []
    for _ in range(_ROUNDS):
        pylock = _compile(question, upper, excluded)
        unfitting = [package for package in pylock.packages if not _fits(package, question.target)]
        if not unfitting or upper == lower:
            return pylock
        excluded += [f"{package.name}!={package.version}" for package in unfitting]
    return _compile(question, lower, [])


def _uv_platforms(target: Target) -> tuple[str, str]:
    """Return the platforms of uv that are next above and next below *target*."""
    if target.libc == "musl":
        return (f"{target.arch}-unknown-linux-musl",) * 2
    minor = int(target.libc_version.split(".")[1])
    above = min((known for known in _KNOWN_GLIBC if known >= minor), default=_KNOWN_GLIBC[-1])
    below = max((known for known in _KNOWN_GLIBC if known <= minor), default=_KNOWN_GLIBC[0])
    return f"{target.arch}-manylinux_2_{above}", f"{target.arch}-manylinux_2_{below}"


def _fits(package: Package, target: Target) -> bool:
    if not package.wheels or package.marker is not None:
        return True  # direct, or perhaps not for this target at all: select_pins will see
    tags = frozenset(compatibility_tags(target))
    return any(tags & parse_wheel_filename(wheel.filename)[3] for wheel in package.wheels)


def _compile(question: _Question, platform: str, excluded: Iterable[str], *, options: Sequence[str] = ()) -> Pylock:
    """Run uv once; raise ``BundleError`` with what matters of its explanation."""
    with tempfile.TemporaryDirectory(prefix="bundle-resolve-") as directory:
        scratch = Path(directory)
        sources: list[str] = [str(path) for path in question.requirement_files]
        if question.requirements:
            lines = "".join(f"{_absolute(requirement)}\n" for requirement in question.requirements)
            (scratch / "requirements.txt").write_text(lines, encoding="utf-8")
            sources.append(str(scratch / "requirements.txt"))
        constraints = [str(path) for path in question.constraint_files]
        if excluded := list(excluded):
            (scratch / "excluded.txt").write_text("\n".join(excluded) + "\n", encoding="utf-8")
            constraints.append(str(scratch / "excluded.txt"))
        command = [
            *(uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-python-downloads"),
            *("--format", "pylock.toml", "--only-binary", ":all:", "--color", "never"),
            *("--python-version", question.target.python, "--python-platform", platform),
            *("--cache-dir", str(question.cache_dir), "--output-file", str(scratch / "pylock.toml")),
            *(argument for path in constraints for argument in ("--constraints", path)),
            *_index_arguments(question.indexes, offline=question.offline),
            *(*options, "--", *sources),
        ]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, check=False, env=_environment(question.indexes, os.environ)
            )
        except OSError as error:
            raise BundleError("uv", f"cannot be run: {error.strerror}", hint="reinstall bundler") from error
        if answer.returncode != 0:
            raise _explained(answer.stderr, question, scratch)
        lock = scratch / "pylock.toml"
        return _localised(parse_pylock(lock.read_text(encoding="utf-8"), Path("uv")), scratch)


def _absolute(requirement: str) -> str:
    """Make a local wheel path absolute: uv reads the requirement from a file elsewhere."""
    if requirement.endswith(".whl") and "://" not in requirement and "@" not in requirement:
        return str(Path(requirement).absolute())
    return requirement


def _localised(pylock: Pylock, scratch: Path) -> Pylock:
    """Make relative paths absolute, and hash local wheels that uv has not hashed."""
    packages = [
        replace(
            package,
            wheels=[replace(wheel, **_local(wheel, scratch)) for wheel in package.wheels] if package.wheels else None,
            archive=replace(package.archive, **_local(package.archive, scratch)) if package.archive else None,
        )
        for package in pylock.packages
    ]
    return replace(pylock, packages=packages)


def _local(wheel: PackageWheel | PackageArchive, scratch: Path) -> dict[str, Any]:
    """Return the fields of *wheel* that change because it is a local one."""
    if wheel.path is None:
        return {}
    path = Path(os.path.normpath(scratch / wheel.path))
    hashes = dict(wheel.hashes)
    if "sha256" not in hashes:
        with path.open("rb") as file:
            hashes["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "hashes": hashes}


def _index_arguments(indexes: IndexOptions, *, offline: bool) -> list[str]:
    arguments = ["--index-strategy", "unsafe-best-match"]  # what pip does with several indexes
    if indexes.index_url:
        arguments += ["--default-index", indexes.index_url]
    for url in indexes.extra_index_urls:
        arguments += ["--index", url]
    for place in indexes.find_links:
        arguments += ["--find-links", place]
    for host in indexes.trusted_hosts:
        arguments += ["--allow-insecure-host", host]
    if indexes.cert:
        arguments += ["--cert", str(indexes.cert)]
    arguments += ["--no-index"] if indexes.no_index else []
    arguments += ["--offline"] if offline else []
    return arguments


def _environment(indexes: IndexOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without what would change uv's answer, and with what pip was told."""
    environment = {key: value for key, value in environ.items() if not key.startswith(("UV_", "PIP_", "VIRTUAL_ENV"))}
    environment["UV_HTTP_TIMEOUT"] = str(int(indexes.timeout))
    environment["UV_HTTP_RETRIES"] = str(indexes.retries)
    environment["UV_NO_WRAP"] = "1"  # what it says is read line by line
    if indexes.proxy:
        environment["ALL_PROXY"] = environment["HTTPS_PROXY"] = environment["HTTP_PROXY"] = indexes.proxy
    if indexes.client_cert:
        environment["SSL_CLIENT_CERT"] = str(indexes.client_cert)
    return environment


def _explained(text: str, question: _Question, scratch: Path) -> BundleError:
    """Turn what uv printed into an error that says what matters."""
    text = _URL.sub(lambda match: redacted(match[0]), text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    parse = re.search(r"Couldn't parse requirement in `(?P<file>[^`]+)` at position (?P<at>\d+)", text)
    if parse:
        return _syntax_error(Path(parse["file"]), int(parse["at"]), lines, scratch)
    told = [line for line in lines if not line.startswith("error: No solution")]
    causes = [re.sub(r"^(error|cause|hint):\s*", "", line) for line in told]
    explanation = " ".join(cause for cause in causes if "building from source is disabled" not in cause)
    explanation = re.sub(r",? we can conclude that your requirements are unsatisfiable\.?", "", explanation)
    missing = re.search(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+]+) has no (?:usable )?wheels", text)
    if missing:
        return _no_wheel(missing["name"], missing["version"], explanation, question)
    hints = {
        "was not found in the package registry": "check the spelling of the name, and the index (pip config list)",
        "Network connectivity is disabled": "leave --offline away once, or fill the cache with bundle lock",
        "No solution found": "loosen one of the requirements it names",
    }
    hint = next((hint for sign, hint in hints.items() if sign in text), "check the index: pip config list")
    what = "cannot be resolved" if "No solution found" in text else "the index cannot be used"
    return BundleError("requirements", f"{what}: {explanation}", hint=hint)


def _syntax_error(path: Path, at: int, lines: list[str], scratch: Path) -> BundleError:
    try:
        before = path.read_bytes()[:at].decode(errors="replace")
    except OSError:
        before = ""
    where = "requirement" if path.is_relative_to(scratch) else f"{path}:{before.count(chr(10)) + 1}"
    cause = next((line.removeprefix("cause: ") for line in lines if line.startswith("cause:")), lines[-1])
    source = lines[lines.index(f"cause: {cause}") + 1] if f"cause: {cause}" in lines[:-1] else None
    return BundleError(where, f"is not a requirement: {cause}", got=source)


def _no_wheel(name: str, version: str, explanation: str, question: _Question) -> BundleError:
    """Name the nearest versions that have a wheel for the target, as uv finds them."""
    nearest = []
    for specifier, order in ((f"<{version}", "highest"), (f">{version}", "lowest")):
        alone = replace(question, requirements=(f"{name}{specifier}",), requirement_files=(), constraint_files=())
        try:
            platform = _uv_platforms(question.target)[1]
            pylock = _compile(alone, platform, [], options=["--no-deps", "--resolution", order])
        except BundleError:
            continue
        nearest += [str(package.version) for package in pylock.packages if package.name == canonicalize_name(name)]
    hint = f"build one on a system like the target (pip wheel {name}=={version}) and offer it with --find-links"
    if nearest:
        hint = f"the nearest versions with a wheel: {name} {' and '.join(nearest)}; or {hint}"
    return BundleError(f"{name} {version}", f"has no wheel for {question.target}: {explanation}", hint=hint)
