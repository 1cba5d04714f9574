"""A source tree and its environment → what its build backend answers (PEP 517), asked in the sandbox."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyproject_hooks

from bundler.building.sandbox import StoppedError
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bundler.building.sandbox import Sandbox
    from bundler.building.source_trees import BuildSystem

_LAST_LINES = 20
# The first moment that a zip knows. setuptools, wheel, flit and hatchling write it instead of the time of day.
_EPOCH = "315532800"


class BuildError(BundleError):
    """A source cannot be built here. *reason* is why, in a few words and without the end of the log."""

    def __init__(self, where: object, what: str, *, reason: str, got: object = None, hint: str | None = None) -> None:
        super().__init__(where, what, got=got, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The build backend of the project in ``root/source``; its environment is ``root/environment``."""

    where: str
    root: Path
    source: Path
    system: BuildSystem
    sandbox: Sandbox
    log: Path
    visible: tuple[Path, ...]
    settings: Mapping[str, str]

    def requires(self) -> tuple[str, ...]:
        """Return what else the backend wants for building a wheel."""
        answer = self._ask(lambda hooks: hooks.get_requires_for_build_wheel())
        if not isinstance(answer, list) or not all(isinstance(line, str) for line in answer):
            raise _failed(self, "its build backend answers with no list of requirements")
        return tuple(answer)

    def build(self) -> Path:
        """Return the wheel that the backend has built, a file below ``root/out``."""
        (self.root / "out").mkdir()
        answer = self._ask(lambda hooks: hooks.build_wheel(f"{self.sandbox.path(self.root)}/out"))
        wheel = self.root / "out" / Path(str(answer)).name
        if wheel.suffix != ".whl" or wheel.is_symlink() or not wheel.is_file():
            raise _failed(self, "its build backend has built no wheel")
        return wheel

    def _ask(self, question: Callable[[pyproject_hooks.BuildBackendHookCaller], object]) -> object:
        hooks = pyproject_hooks.BuildBackendHookCaller(
            str(self.source),
            build_backend=self.system.backend,
            backend_path=list(self.system.backend_path) or None,
            runner=self._run,  # type: ignore[arg-type]  # its protocol has names of arguments
            python_executable=f"{self.sandbox.path(self.root)}/environment/bin/python",
        )
        try:
            with warnings.catch_warnings():  # what setuptools thinks of the project stands in the log
                warnings.simplefilter("ignore")
                return question(hooks)
        except pyproject_hooks.BackendUnavailable as error:
            reason = str(error.traceback).strip().rpartition("\n")[2]
            raise _failed(self, f"its build backend {self.system.backend} cannot be used: {reason}") from None
        except StoppedError as error:
            raise _failed(self, f"its build was stopped: {error}") from None
        except (pyproject_hooks.UnsupportedOperation, pyproject_hooks.HookMissing, ValueError, LookupError, OSError):
            raise _failed(self, "its build backend gives no answer") from None

    def _run(
        self,
        command: Sequence[str],
        cwd: str | None = None,  # noqa: ARG002 - inside, the source lies elsewhere
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        """Run *command*, which pyproject_hooks has made: an interpreter, a script of its own, a hook, a directory."""
        python, script, hook, exchange = command
        inside = self.sandbox.path(self.root)
        environment = {
            "PATH": f"{inside}/environment/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": f"{inside}/home",
            "TMPDIR": "/tmp",  # noqa: S108 - inside it is the build's own
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "SOURCE_DATE_EPOCH": _EPOCH,
            **self.settings,
            # Where an in-tree backend lies is told as a path of the host.
            **{name: value.replace(str(self.root), inside) for name, value in (extra_environ or {}).items()},
        }
        code = self.sandbox.run(
            [python, script, hook, exchange],
            root=self.root,
            directory=f"{inside}/{self.source.relative_to(self.root)}",
            log=self.log,
            visible=(*self.visible, Path(script).parent),
            writable=(Path(exchange),),
            environment=environment,
        )
        if code != 0:
            raise _failed(self, f"its build fails with exit code {code}")


def _failed(backend: Backend, what: str) -> BuildError:
    """Return the error, with the end of the log."""
    try:
        lines = backend.log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
    except OSError:
        lines = []
    told = "".join(f"\n    {line}" for line in lines[-_LAST_LINES:])
    return BuildError(backend.where, f"{what}; the end of {backend.log}:{told}", reason=f"{what} ({backend.log})")
