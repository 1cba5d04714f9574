"""What uv prints when it finds no solution → an error that says what matters.

* It is shortened to the reasons. A project without a wheel is named together with the nearest versions that have one;
  a missing project, with the indexes that were asked.
* No credentials: uv's output was redacted before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.fetching.index_options import redacted
from bundler.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from bundler.fetching.index_options import IndexOptions
    from bundler.runtime.targets import Target

# From what is sure to what is only said somewhere in a chain of reasons.
_NO_WHEEL = re.compile(
    # With an extra or a marker of its own where the requirement has one.
    r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?(?:\{[^}]*\})?==(?P<version>[\w.!+]+)"
    r" has no (?:usable )?wheels(?: with a matching)?",
    re.ASCII,
)
_NOT_FOUND = re.compile(
    r"(?:(?P<name>[A-Za-z0-9][\w.-]*) was not found in the (?:package registry|provided package locations)"
    r"|there are no versions of (?P<empty>[A-Za-z0-9][\w.-]*))",
    re.ASCII,
)


_INVALID = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+]+) has (?:invalid metadata|an invalid package format)", re.ASCII
)
_BUILD = re.compile(r"Failed to (?:download and )?build `(?P<name>[\w.-]+)==(?P<version>[^`\s]+)`", re.ASCII)


# Names that people require because they import them.
_MODULES = {
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "pil": "pillow",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "sklearn": "scikit-learn",
}


class ResolutionError(BundleError):
    """There is no solution for the target."""


class NoWheelError(ResolutionError):
    """A project that is needed has no wheel for the target."""


class Unsolved(Exception):  # noqa: N818 - it is no error yet: it may be asked again in another way
    """What uv printed when it failed, without credentials. Nothing else knows uv's wording."""

    @property
    def is_about_wheels(self) -> bool:
        """Whether a version that is needed has no wheel."""
        return "has no wheels" in str(self) or "has no usable wheels" in str(self)

    @property
    def needed_build(self) -> tuple[NormalizedName, str] | None:
        """Name and version of the source whose metadata uv wanted to learn by building it."""
        match = _BUILD.search(str(self))
        return None if match is None else (canonicalize_name(match["name"]), match["version"])

    @property
    def invalid_metadata(self) -> tuple[NormalizedName, str] | None:
        """Name and version of the wheel whose metadata uv does not accept."""
        match = _INVALID.search(str(self))
        return None if match is None else (canonicalize_name(match["name"]), match["version"])

    @property
    def is_about_places(self) -> bool:
        """Whether an index or a file could not be read."""
        return "://" in str(self)

    def names(self, name: str) -> bool:
        """Tell whether the project *name* is among the reasons."""
        return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-]*\w)", str(self)) is not None


def resolver_error(
    unsolved: Unsolved,
    *,
    target: Target,
    indexes: IndexOptions,
    offline: bool,
    nearest: Callable[[str, str], Iterable[Version]],
) -> BundleError:
    """Return the error for *unsolved*.

    *nearest* finds the versions next to one of a project, below and above, that have a wheel.
    """
    text = str(unsolved)
    told = [re.sub(r"^(?:error|cause|[×╰─▶├│ ]+)[:\s]*", "", line.strip()) for line in text.splitlines()]
    hints = [line.removeprefix("hint: ") for line in told if line.startswith("hint: ")]
    reasons = [line for line in told if line and line not in hints and not line.startswith(("hint:", "No solution"))]
    explanation = re.sub(r",? we can conclude that your requirements are unsatisfiable\.?", ".", " ".join(reasons))
    missing = _NO_WHEEL.search(explanation)
    unknown = _NOT_FOUND.search(explanation)
    if missing:
        name, version = missing["name"], missing["version"]
        return _no_wheel(name, version, explanation, hints, target, nearest(name, version))
    if offline and ("was not found in the cache" in text or "network was disabled" in text):
        hint = "leave --offline away once, so that the cache is filled"
        return BundleError("requirements", f"cannot be resolved offline: {explanation}", hint=hint)
    if unknown:
        name = unknown["name"] or unknown["empty"]
        if project := _MODULES.get(name.lower()):
            what = f"is a module, and the project that has it is called {project}"
            return ResolutionError(name, what, hint=f"require {project}")
        hint = (
            f"check the spelling of {name}, and that {_places(indexes)} answers with a list of its files: "
            "not with 404, a login page or a refusal"
        )
        return BundleError(name, f"was not found: {explanation}", hint=hint)
    if "No solution found" in text:
        hint = next((hint for hint in hints if "re-releases" in hint), "loosen one of the requirements it names")
        return ResolutionError("requirements", f"cannot be resolved: {explanation}", hint=hint)
    fetched = re.search(r"(?:Failed to fetch|Failed to read `--find-links` \w+): `?(?P<url>\S+?)`?(?:\s|$)", text)
    if fetched or "://" in explanation:
        hint = f"check the network and the index ({_places(indexes)}): pip config list"
        causes = "; ".join(dict.fromkeys(reasons))
        return BundleError(fetched["url"] if fetched else "index", f"cannot be used: {causes}", hint=hint)
    return BundleError("requirements", f"cannot be resolved: {explanation}")


def _places(indexes: IndexOptions) -> str:
    """Name the places where wheels are looked for."""
    urls = () if indexes.no_index else (indexes.index_url or "the default index", *indexes.extra_index_urls)
    return " or ".join(map(redacted, (*urls, *indexes.find_links))) or "no index"


def _no_wheel(
    name: str, version: str, explanation: str, hints: Iterable[str], target: Target, nearest: Iterable[Version]
) -> BundleError:
    # uv says "Wheels are available" or "wheels are available".
    wheels = " ".join(hint for hint in hints if re.search(rf"`{re.escape(name)}`", hint) and "heels are avail" in hint)
    hint = f"build one on a system like the target (pip wheel {name}=={version}) and offer it with --find-links"
    if found := " and ".join(map(str, nearest)):
        hint = f"the nearest versions with a wheel: {name} {found}; or {hint}"
    what = f"has no wheel for {target}: {explanation} {wheels}"
    return NoWheelError(f"{name} {version}", what.strip(), hint=hint)
