"""No solution → an error that says what matters.

* It is shortened to the reasons. A project without a wheel is named together with the nearest versions that have one;
  a missing project, with the indexes that were asked.
* Every hint is something to do next.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.fetching.index_options import places
from bundler.resolving.indexes.index_errors import index_error, refusal
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.fetching.index_options import IndexOptions
    from bundler.resolving.uv.unsolved import Unsolved
    from bundler.runtime.targets import Target

# Names that people require because they import them.
_MODULES = {
    "attr": "attrs",
    "bio": "biopython",
    "crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "google-cloud": "google-cloud-storage",
    "jwt": "pyjwt",
    "levenshtein": "python-levenshtein",
    "magic": "python-magic",
    "mysqldb": "mysqlclient",
    "opencv": "opencv-python-headless",
    "pil": "pillow",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "usb": "pyusb",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


class ResolutionError(BundleError):
    """There is no solution for the target. *projects* are those that cannot be had."""

    def __init__(
        self,
        where: object,
        what: str,
        *,
        got: object = None,
        hint: str | None = None,
        projects: Iterable[NormalizedName] = (),
    ) -> None:
        """Say what is wrong at *where*."""
        super().__init__(where, what, got=got, hint=hint)
        self.projects = frozenset(projects)


class NoWheelError(ResolutionError):
    """A project that is needed has no wheel for the target."""


class SeveralUnavailable(ResolutionError):  # noqa: N818 - it is several
    """Several requirements cannot be had, all of them reported at once."""

    def __init__(self, errors: Sequence[BundleError], what: str, hint: str | None) -> None:
        """Join *errors*, two or more, which are *what*."""
        projects = [name for error in errors if isinstance(error, ResolutionError) for name in error.projects]
        super().__init__("requirements", f"{len(errors)} {what}", hint=hint, projects=projects)
        self.errors = errors

    def __str__(self) -> str:
        lines = [f"  {line}" for error in self.errors for line in str(error).split("\n")]
        return "\n".join([self.fault, *lines, *([] if self.hint is None else [f"hint: {self.hint}"])])


def resolver_error(
    unsolved: Unsolved,
    *,
    target: Target,
    indexes: IndexOptions,
    offline: bool,
    nearest: Callable[[str, str], Iterable[Version]],
) -> BundleError:
    """Return the error for *unsolved*, whatever was asked for.

    *nearest* finds the versions next to one of a project, below and above, that have a wheel.
    """
    explanation = unsolved.explanation
    if (missing := unsolved.no_wheel) is not None:
        return _no_wheel(*missing, unsolved, target, nearest(*missing))
    if unsolved.is_offline:
        hint = "leave --offline away once, so that the cache is filled"
        return BundleError("requirements", f"cannot be resolved offline: {explanation}", hint=hint)
    if (unknown := unsolved.not_found) is not None:
        return not_found(unknown, indexes, explanation, offline=offline)
    if unsolved.is_no_solution:
        hint = next((hint for hint in unsolved.hints if "re-releases" in hint), "loosen one of what it names")
        return ResolutionError("requirements", f"cannot be resolved: {explanation}", hint=hint)
    if error := index_error(str(unsolved), unsolved.reasons, indexes, os.environ):
        return error
    return BundleError("requirements", f"cannot be resolved: {explanation}")


def not_found(name: str, indexes: IndexOptions, explanation: str = "", *, offline: bool) -> BundleError:
    """Return the error for the project *name*, which no index has; *explanation* says why it was looked for.

    uv takes a refusal for that: indexes are asked again.
    """
    if not offline and (refused := refusal(name, indexes, os.environ)):
        return refused
    projects = [canonicalize_name(name)]
    if project := _MODULES.get(name.lower()):
        what = f"is a module, and the project that has it is called {project}"
        return ResolutionError(name, what, hint=f"require {project}", projects=projects)
    hint = (
        f"check the spelling of {name}, and that {places(indexes, name)} answers with a list of its files: "
        "not with 404, a login page or a refusal"
    )
    what = f"was not found: {explanation}" if explanation else "was not found"
    return ResolutionError(name, what, hint=hint, projects=projects)


def _no_wheel(
    name: NormalizedName, version: str, unsolved: Unsolved, target: Target, nearest: Iterable[Version]
) -> NoWheelError:
    # uv says "Wheels are available" or "wheels are available".
    wheels = " ".join(hint for hint in unsolved.hints if f"`{name}`" in hint and "heels are avail" in hint)
    hint = "make a wheel of it elsewhere, and name its directory with --find-links"
    if found := " and ".join(map(str, nearest)):
        hint = f"the nearest versions with a wheel: {name} {found}; or {hint}"
    what = f"has no wheel for {target}: {unsolved.explanation} {wheels}"
    return NoWheelError(f"{name} {version}", what.strip(), hint=hint, projects=[name])
