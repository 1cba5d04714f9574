"""A source → its wheel for the target, built once and kept in the cache.

* The wheel's key is a hash of the source, what was installed to build it, the target, the interpreter and the compiler.
* The target's interpreter builds where it is at hand. Where it is not, another Python does, and what comes out has to
  be pure: ``py3-none-any``.
* Build requirements are resolved for the interpreter that builds, and recorded with their hashes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import closing
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packaging.utils import canonicalize_name, parse_wheel_filename

import bundler.runtime
from bundler.building.backends import Backend
from bundler.building.environments import make_environment
from bundler.building.native_code import check_native_code
from bundler.building.repacking import repack
from bundler.building.sandbox import find_sandbox
from bundler.building.source_trees import read_build_system, unpack
from bundler.fetching.fetch import fetch
from bundler.interpreters import Interpreter, find_interpreter, identify
from bundler.pins import Build, Pin
from bundler.runtime.documents import to_json
from bundler.runtime.errors import BundleError, ContentError, TargetError, UsageError
from bundler.runtime.targets import Target
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bundler.building.source_trees import BuildSystem
    from bundler.caching.build_cache import Cache
    from bundler.fetching.index_options import IndexOptions
    from bundler.locks import Lock
    from bundler.reporters import Reporter

FORMAT = 1  # another number whenever the same source gives other bytes: built wheels are cached
_BUILT = "build.json"
# Legacy projects say nothing of what builds them. What a setup.py uses → the setuptools that still has it.
_LEGACY = (
    (re.compile(r"\buse_2to3\b"), "setuptools<58"),  # 58 removed it
    (re.compile(r"setuptools\.command\.test|test_suite"), "setuptools<72"),  # 72 removed the command
    (re.compile(""), "setuptools<81"),  # 82 removed pkg_resources
)
# Projects that ask for a word before they let themselves be built.
_SETTINGS = {"sklearn": {"SKLEARN_ALLOW_DEPRECATED_SKLEARN_PACKAGE_INSTALL": "True"}}
_WHEEL = "wheel<0.46"  # the last with a bdist_wheel of its own, which a setuptools before 70 needs
_NO_MODULE = re.compile(r"No module named '?(?P<name>\w+)")
_SECTION = "src"


class ResolveRequirements(Protocol):
    """Locks build requirements for the interpreter that builds."""

    def __call__(self, requirements: Sequence[str], target: Target, depth: int) -> Lock:
        """Return the lock; what has to be built for it is built *depth* builds deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPolicy:
    """What may be built: everything that has no fitting wheel, only *names*, or nothing; with what besides, by name."""

    allowed: bool = True
    names: frozenset[str] | None = None
    extra_requires: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self, name: str, version: object) -> None:
        """Raise ``UsageError`` if the project *name* may not be built."""
        if not self.allowed or (self.names is not None and name not in self.names):
            hint = f"--build {name} builds it here, in a sandbox; or offer a wheel of it with --find-links"
            raise UsageError(f"{name} {version}", "exists as source only, and may not be built", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A wheel that was built: its pin, and the headers of its METADATA that a resolver needs."""

    pin: Pin
    requires: tuple[str, ...]
    extras: tuple[str, ...]
    requires_python: str | None


class Builder:
    """Builds sources for *target*, one at a time."""

    def __init__(
        self,
        *,
        target: Target,
        cache: Cache,
        indexes: Callable[[], IndexOptions],
        offline: bool,
        reporter: Reporter,
        environ: Mapping[str, str],
        policy: BuildPolicy,
        resolve: ResolveRequirements,
        target_python: Path | None = None,
        depth: int = 0,
    ) -> None:
        self.target = target
        self.policy = policy
        self._cache = cache
        self._indexes = indexes
        self._offline = offline
        self._reporter = reporter
        self._environ = environ
        self._resolve = resolve
        self._target_python = target_python
        self._depth = depth

    def build(self, source: Pin) -> Built:
        """Return the wheel of the source distribution *source*.

        Raise ``UsageError`` if it may not be built, ``TargetError`` if its wheel does not fit the target, and
        ``BundleError`` with the end of the log if the build fails.
        """
        self.policy.check(source.name, source.version)
        return self._build(source, None)

    def rebuild(self, pin: Pin) -> Path:
        """Return the wheel of *pin*, built again as its lock says; raise ``ContentError`` if it has other bytes."""
        if pin.build is None:
            raise ValueError(f"{pin.filename} was not built")
        built = self._build(pin.build.source, pin.build).pin
        if built.sha256 != pin.sha256:
            what = "was built here with other bytes than its lock says"
            hint = "the compiler or the interpreter differs: lock again, or take the wheel from the other machine"
            raise ContentError(pin.filename, what, got=built.sha256, want=pin.sha256, hint=hint, rule="A1")
        return self._cache.wheel(pin.sha256)

    # Below

    def _build(self, source: Pin, recorded: Build | None) -> Built:
        where = f"{source.name} {source.version}"
        interpreter, fits = self._interpreter()
        ((_, archive),) = self._fetched([source])
        with self._cache.new_layer(hashlib.sha256(f"scratch {source.sha256}".encode()).hexdigest()) as scratch:
            root = scratch.path
            tree = unpack(archive, source.filename, root / _SECTION)
            system = read_build_system(tree, where)
            if recorded is None:
                wanted = self._static_requires(source, system, tree)
                requires = self._pins(wanted, interpreter)
            else:
                requires = recorded.requires
            key = self._key(source, requires, interpreter)
            if (kept := self._kept(key, source)) is not None:
                return kept
            self._reporter.building(source.name, str(source.version))
            if not fits:
                self._reporter.warning(
                    f"{where}: is built by CPython {interpreter.version}, not by the target's Python"
                )
            if warning := find_sandbox().warning:
                self._reporter.warning(warning)
            make_environment(interpreter, self._fetched(requires), root / "environment", self._reporter.warning)
            backend = self._backend(where, root, tree, system, interpreter, source)
            more = backend.requires() if recorded is None else ()
            if more:
                requires = self._pins([*wanted, *more], interpreter)
                shutil.rmtree(root / "environment")
                make_environment(interpreter, self._fetched(requires), root / "environment", self._reporter.warning)
            try:
                wheel = backend.build()
            except BundleError as error:
                raise _with_hint(error, source) from None
            return self._keep(key, source, wheel, Build(source=source, python=interpreter.version, requires=requires))

    def _interpreter(self) -> tuple[Interpreter, bool]:
        """Return what builds, and whether it is the target's own Python."""
        found = find_interpreter(self.target, python=self._target_python, environ=self._environ)
        if found is not None:
            return found, True
        own = identify(Path(sys.executable))
        if own is None:
            raise BundleError(sys.executable, "cannot be asked which Python it is")
        return own, False

    def _pins(self, requirements: Sequence[str], interpreter: Interpreter) -> tuple[Pin, ...]:
        """Return what *requirements* of a build are for *interpreter*."""
        if not requirements:
            return ()
        return self._resolve(requirements, _target_of(interpreter), self._depth + 1).pins

    def _fetched(self, pins: Sequence[Pin]) -> list[tuple[Pin, Path]]:
        missing = [pin for pin in pins if pin.build is not None and not self._cache.wheel(pin.sha256).is_file()]
        for pin in missing:
            self.rebuild(pin)
        with closing(
            fetch(
                pins,
                cache=self._cache,
                indexes=self._indexes(),
                jobs=4,
                offline=self._offline,
                reporter=self._reporter.silent(),
                environ=self._environ,
            )
        ) as arrivals:
            return sorted(arrivals, key=lambda item: item[0].name)

    def _static_requires(self, source: Pin, system: BuildSystem, tree: Path) -> tuple[str, ...]:
        extra = self.policy.extra_requires.get(source.name, ())
        if system.requires is not None:
            return (*system.requires, *extra)
        try:
            text = (tree / "setup.py").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        return (next(requirement for pattern, requirement in _LEGACY if pattern.search(text)), _WHEEL, *extra)

    def _key(self, source: Pin, requires: Sequence[Pin], interpreter: Interpreter) -> str:
        parts = {
            "format": FORMAT,
            "source": source.sha256,
            "requires": sorted(pin.sha256 for pin in requires),
            "target": [self.target.abi, self.target.arch, self.target.libc, self.target.libc_version],
            "interpreter": [interpreter.version, interpreter.abi],
            "compiler": _compiler(),
            "sandbox": find_sandbox().kind,
        }
        return hashlib.sha256(b"built" + to_json(parts)).hexdigest()

    def _backend(
        self, where: str, root: Path, tree: Path, system: BuildSystem, interpreter: Interpreter, source: Pin
    ) -> Backend:
        (root / "home").mkdir()
        logs = self._cache.root / "logs"
        logs.mkdir(exist_ok=True)
        log = logs / f"{source.name}-{source.version}.log"
        log.write_bytes(b"")
        return Backend(
            where=where,
            root=root,
            source=tree,
            system=system,
            sandbox=find_sandbox(),
            log=log,
            visible=tuple(_prefixes(interpreter)),
            settings=_SETTINGS.get(source.name, {}),
        )

    def _keep(self, key: str, source: Pin, wheel: Path, build: Build) -> Built:
        """Check the *wheel* and put it into the cache."""
        where = f"{source.name} {source.version}"
        try:
            name, version, _, tags = parse_wheel_filename(wheel.name)
        except ValueError as error:
            raise ContentError(where, f"builds a wheel with a wrong name: {error}", got=wheel.name, rule="A2") from None
        if (name, version) != (source.name, source.version):
            raise ContentError(where, "builds the wheel of another project or version", got=wheel.name, rule="A2")
        packed = wheel.with_name(f"{wheel.name}.packed")
        repack(wheel, packed)
        if not tags & frozenset(compatibility_tags(self.target)):
            raise TargetError(
                where,
                "has native code, and the target's Python is not at hand to build it",
                got=wheel.name,
                want=self.target,
                hint="name the target's Python with --target-python, build in a container of the image, or offer a "
                "wheel with --find-links",
            )
        native = check_native_code(packed, self.target, where)
        with packed.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = packed.stat().st_size
        pin = Pin(name=name, version=version, filename=wheel.name, sha256=sha256, size=size, build=build)
        with self._cache.new_wheel(sha256) as new:
            shutil.copyfile(packed, new.path)
            new.publish()
        headers = _headers(packed)
        with self._cache.new_layer(key) as entry:
            kept = {"filename": wheel.name, "sha256": sha256, "size": pin.size, "native": native, **headers}
            kept["requires_pins"] = [item.to_table(_absolute) for item in build.requires]
            kept["python"] = build.python
            (entry.path / _BUILT).write_bytes(to_json(kept))
            shutil.copyfile(packed, entry.path / "wheel")
            entry.publish()
        return _built(pin, headers)

    def _kept(self, key: str, source: Pin) -> Built | None:
        """Return what was built before under *key*, if it is there whole."""
        directory = self._cache.layer(key)
        if directory is None:
            return None
        try:
            kept = json.loads((directory / _BUILT).read_bytes())
            data = (directory / "wheel").read_bytes()
        except (OSError, ValueError):
            return None
        if hashlib.sha256(data).hexdigest() != kept["sha256"]:
            return None
        with self._cache.new_wheel(kept["sha256"]) as new:
            new.path.write_bytes(data)
            new.publish()
        requires = tuple(Pin.from_table(item, _BUILT, Path("/")) for item in kept["requires_pins"])
        build = Build(source=source, python=kept["python"], requires=requires)
        pin = Pin(
            name=source.name,
            version=source.version,
            filename=kept["filename"],
            sha256=kept["sha256"],
            size=kept["size"],
            build=build,
        )
        return _built(pin, kept)


def _absolute(pin: Pin) -> dict[str, str]:
    return {"url": pin.url} if pin.url else {"path": str(pin.path)}


def _built(pin: Pin, headers: Mapping[str, object]) -> Built:
    return Built(
        pin=pin,
        requires=tuple(headers["requires"]),  # type: ignore[arg-type]
        extras=tuple(headers["extras"]),  # type: ignore[arg-type]
        requires_python=headers["requires_python"],  # type: ignore[arg-type]
    )


def _headers(wheel: Path) -> dict[str, object]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        message = BytesHeaderParser().parsebytes(archive.read(name))
    return {
        "requires": [str(line) for line in message.get_all("Requires-Dist", [])],
        "extras": [str(line) for line in message.get_all("Provides-Extra", [])],
        "requires_python": message.get("Requires-Python"),
    }


@functools.cache
def _compiler() -> str:
    """Return what the C compiler of this host calls itself; empty if there is none."""
    if shutil.which("cc") is None:
        return ""
    answer = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False, errors="replace")
    return answer.stdout.partition("\n")[0]


@functools.cache
def _target_of(interpreter: Interpreter) -> Target:
    """Return the target that *interpreter* is, on this host."""
    text = Path(bundler.runtime.__file__).with_name("probe.py").read_text(encoding="utf-8")
    answer = subprocess.run([interpreter.path, "-I", "-S", "-c", text], capture_output=True, check=True)
    return Target.from_json(json.loads(answer.stdout))


@functools.cache
def _prefixes(interpreter: Interpreter) -> tuple[Path, ...]:
    """Return the directories that *interpreter* and its standard library lie in, apart from the system's."""
    code = "import json, sys; print(json.dumps([sys.base_prefix, sys.base_exec_prefix]))"
    answer = subprocess.run([interpreter.path, "-I", "-S", "-c", code], capture_output=True, check=True)
    places = {Path(place).resolve() for place in json.loads(answer.stdout)}
    return tuple(sorted(place for place in places if not place.is_relative_to("/usr")))


def _with_hint(error: BundleError, source: Pin) -> BundleError:
    """Return *error* with what to type next, where the log tells."""
    missing = _NO_MODULE.findall(error.what)
    if missing and missing[-1] not in ("setuptools", "_distutils_hack"):
        name = canonicalize_name(missing[-1])
        error.hint = f"--build-requires {source.name}:{name} installs it for the build"
    elif "command 'gcc' failed" in error.what or "No such file or directory: 'gcc'" in error.what:
        error.hint = "a C compiler is missing, or a header file that the log names: apt-get install build-essential"
    else:
        error.hint = f"offer a wheel of {source.name} with --find-links, or choose another version"
    return error
