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
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packaging.utils import canonicalize_name, parse_wheel_filename

import bundler.runtime
from bundler.building.backends import Backend, BuildError
from bundler.building.built_wheels import Built, find_kept, keep, read_headers
from bundler.building.environments import make_environment
from bundler.building.native_code import brought_along
from bundler.building.projects import Project, directory_project, git_project
from bundler.building.repairing import repair
from bundler.building.sandbox import find_sandbox
from bundler.building.source_trees import read_build_system, unpack
from bundler.fetching.fetch import fetch
from bundler.fetching.index_options import redacted
from bundler.interpreters import Interpreter, find_interpreter, identify
from bundler.runtime.documents import to_json
from bundler.runtime.errors import BundleError, ContentError, TargetError, UsageError
from bundler.runtime.targets import Target
from bundler.targets import compatibility_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bundler.building.source_trees import BuildSystem
    from bundler.caching.build_cache import Cache
    from bundler.fetching.index_options import IndexOptions
    from bundler.locks import Lock
    from bundler.pins import Build, Pin
    from bundler.reporters import Reporter

FORMAT = 3  # another number whenever the same source gives other bytes: built wheels are cached
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
_NO_HEADER = re.compile(r"fatal error: (?P<name>[\w./+-]+\.h(?:pp)?): No such file or directory")
_NO_COMPILER = re.compile(r"command '(?:[^']*/)?g?cc' failed|No such file or directory: 'g?cc'")
_OTHER = "offer a wheel of {} with --find-links, or choose another version"
_SOURCE = "src"


class ResolveRequirements(Protocol):
    """Locks build requirements for the interpreter that builds."""

    def __call__(self, requirements: Sequence[str], target: Target, depth: int) -> Lock:
        """Return the lock; what has to be built for it is built *depth* builds deep.

        Raise ``BuildError`` if there are none for *target*.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPolicy:
    """What may be built: everything that has no fitting wheel, or only *names*; with what besides, by name."""

    names: frozenset[str] | None = None
    extra_requires: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self, name: str, version: object) -> None:
        """Raise ``UsageError`` if the project *name* may not be built."""
        if self.names is not None and name not in self.names:
            hint = f"--build {name} builds it here, in a sandbox; or offer a wheel of it with --find-links"
            raise UsageError(f"{name} {version}", "exists as source only, and may not be built", hint=hint)


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
        ``BuildError`` with the end of the log if the build fails, or if what it needs cannot be had.
        """
        self.policy.check(source.name, source.version)
        return self._build(Project(source=source, where=f"{source.name} {source.version}"), None)

    def check_libc(self, where: str, wheels: Iterable[str]) -> None:
        """Raise ``TargetError`` if a build of *where* is in vain, as the names of its *wheels* and this host tell.

        They would fit, but need a newer libc than the target has. What is built here needs that of this host, mostly.
        """
        libc, has = self.target.libc, self.target.libc_version
        newest = self.target._replace(libc_version={"glibc": "2.999", "musl": "1.999"}[libc])
        tags = frozenset(compatibility_tags(newest))
        needing = [name for name in wheels if tags & parse_wheel_filename(name)[3]]
        if needing and _numbers(_target_of(self._interpreter()[0]).libc_version) > _numbers(has):
            what = f"its wheels need a newer {libc} than {has}, and so would one that is built on this host"
            hint = "build it in a container of the target's image, and offer the wheel with --find-links"
            raise TargetError(where, what, got=", ".join(needing), hint=hint)

    def build_project(self, project: Project) -> Built:
        """Return the wheel of *project*, whose name and version are those that come out; errors as of ``build``."""
        return self._build(project, None)

    def open_published(self, pin: Pin) -> Built:
        """Return the wheel *pin*, which was published, fetched and not built, for what its METADATA says."""
        ((_, wheel),) = self._fetched([pin])
        return read_headers(pin, wheel)

    def wheel(self, pin: Pin) -> Path:
        """Return the file of the wheel *pin*, which was built."""
        return self._cache.wheel(pin.sha256)

    def keep_source(self, project: Project, url: str) -> Project:
        """Put the archive of *project*, fetched from *url*, into the cache; return the project as one from there."""
        source = project.source
        with self._cache.in_use(), self._cache.new_wheel(source.sha256) as new:
            shutil.copyfile(source.path or Path(), new.path)
            new.publish()
        return replace(project, source=replace(source, path=None, url=url), where=redacted(url))

    def open_directory(self, directory: Path) -> Project:
        """Return the project in *directory*."""
        return directory_project(directory, self._cache)

    def check_online(self, url: str) -> None:
        """Raise ``BundleError`` if the network is not to be used, for what has to be fetched from *url*."""
        if self._offline:
            raise BundleError(redacted(url), "has to be fetched", hint="leave --offline away")

    def open_repository(self, url: str, revision: str | None, subdirectory: str) -> Project:
        """Return the project in the git repository *url*."""
        self.check_online(url)
        return git_project(url, revision, subdirectory, self._cache)

    def rebuild(self, pin: Pin) -> Path:
        """Return the wheel of *pin*, built again as its lock says; raise ``ContentError`` if it has other bytes."""
        if pin.build is None:
            raise ValueError(f"{pin.filename} was not built")
        built = self._build(self._found_again(pin), pin.build).pin
        if built.sha256 != pin.sha256:
            what = "was built here with other bytes than its lock says"
            hint = "the compiler or the interpreter differs: lock again, or take the wheel from the other machine"
            raise ContentError(pin.filename, what, got=built.sha256, want=pin.sha256, hint=hint, rule="A1")
        return self._cache.wheel(pin.sha256)

    # Below

    def _found_again(self, pin: Pin) -> Project:
        """Return the source of *pin*, which was built elsewhere; raise ``ContentError`` if it has changed since."""
        build = pin.build
        assert build is not None  # noqa: S101 - for mypy
        source = build.source
        project = Project(
            source=source,
            where=f"{pin.name} {pin.version}",
            repository=build.repository,
            is_directory=build.is_directory,
        )
        if self._cache.wheel(source.sha256).is_file() or (build.repository is None and not build.is_directory):
            return project
        if build.repository is not None:
            repository = build.repository
            again = self.open_repository(repository.url, repository.commit, repository.subdirectory)
        else:
            again = self.open_directory(source.path or Path())
        if again.source.sha256 != source.sha256:
            what = "has other files than when it was locked"
            raise ContentError(
                again.where, what, got=again.source.sha256, want=source.sha256, hint="lock again", rule="A1"
            )
        return project

    def _build(self, project: Project, recorded: Build | None) -> Built:
        source, where = project.source, project.where
        interpreter, fits = self._interpreter()
        ((_, archive),) = self._fetched([source])
        with self._cache.new_layer(hashlib.sha256(f"scratch {source.sha256}".encode()).hexdigest()) as scratch:
            root = scratch.path
            tree = unpack(archive, source.filename, root / _SOURCE)
            system = read_build_system(tree, where)
            if recorded is None:
                wanted = self._static_requires(source, system, tree)
                requires = self._pins(wanted, interpreter, where)
            else:
                requires = recorded.requires
            key = self._key(source, requires, interpreter)
            if (kept := find_kept(key, project, self._cache)) is not None:
                return kept
            self._reporter.building(where)
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
                requires = self._pins([*wanted, *more], interpreter, where)
                shutil.rmtree(root / "environment")
                make_environment(interpreter, self._fetched(requires), root / "environment", self._reporter.warning)
            brought = brought_along(tree)
            try:
                wheel = backend.build()
            except BuildError as error:
                raise _with_hint(error, source) from None
            fixed = functools.partial(repair, target=self.target, root=root, sandbox=backend.sandbox, log=backend.log)
            return keep(
                wheel,
                key,
                project,
                target=self.target,
                python=interpreter.version,
                requires=requires,
                brought=brought,
                cache=self._cache,
                repair=fixed,
            )

    def _interpreter(self) -> tuple[Interpreter, bool]:
        """Return what builds, and whether it is the target's own Python."""
        found = find_interpreter(self.target, python=self._target_python, environ=self._environ)
        if found is not None:
            return found, True
        own = identify(Path(sys.executable))
        if own is None:
            raise BundleError(sys.executable, "cannot be asked which Python it is")
        return own, False

    def _pins(self, requirements: Sequence[str], interpreter: Interpreter, where: str) -> tuple[Pin, ...]:
        """Return what *requirements* of the build of *where* are for *interpreter*."""
        if not requirements:
            return ()
        try:
            return self._resolve(requirements, _target_of(interpreter), self._depth + 1).pins
        except BuildError as error:
            what = f"is built with what CPython {interpreter.version} cannot have"
            wanted = ", ".join(requirements)
            told = f"{what}: {error.reason}"
            raise BuildError(where, told, reason=f"{what} ({wanted})", got=wanted, hint=_OTHER.format(where)) from None

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


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


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
    """Return the directories of *interpreter*, its library and its headers, apart from the system's.

    Not all of its prefix: that may be somebody's HOME.
    """
    code = "import json, sys; print(json.dumps([sys.base_prefix, sys.base_exec_prefix]))"
    answer = subprocess.run([interpreter.path, "-I", "-S", "-c", code], capture_output=True, check=True)
    prefixes = {Path(place).resolve() for place in json.loads(answer.stdout)}
    places = {prefix / name for prefix in prefixes for name in ("bin", "include", "lib", "lib64")}
    return tuple(sorted(place for place in places if place.is_dir() and not place.is_relative_to("/usr")))


def _with_hint(error: BuildError, source: Pin) -> BuildError:
    """Return *error* with what to type next, where the log tells."""
    missing = _NO_MODULE.findall(error.what)
    header = _NO_HEADER.search(error.what)
    if missing and missing[-1] not in ("setuptools", "_distutils_hack"):
        name = canonicalize_name(missing[-1])
        error.hint = f"--build-requires {source.name}:{name} installs it for the build"
    elif header:
        error.hint = f"install what has {header['name']} on this host (apt-file search {header['name']})"
    elif _NO_COMPILER.search(error.what):
        error.hint = "a C compiler is missing, or a header file that the log names: apt-get install build-essential"
    else:
        error.hint = _OTHER.format(source.name)
    return error
