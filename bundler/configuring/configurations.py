"""A configuration file → its settings, and those of each bundle that it names.

    target = "azureml-py38"              what all bundles have
    requirement = ["requirements.txt"]

    [bundles.train]                      has the above, and this
    requirements = ["torch==1.13.1"]

* A table of ``bundles`` has the keys above it, except for those that it says itself (``overlaid``).
* An unknown key is an error that names the nearest right one; so is an unknown bundle.
* *refused* are keys that are options, and that no file may say, each with the reason.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from bundler.configuring.files import PROJECT, load
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from bundler.configuring.keys import Key

BUNDLES = "bundles"
# These say what to bundle.
ASKING = frozenset({"requirements", "requirement", "lock", "venv"})
# What belongs to the files of `requirement`, and to the directory of `venv`.
_OF_FILES = frozenset({"extra", "group"})
_OF_DIRECTORY = frozenset({"as-is"})
_SAME = {"target": frozenset({"python", "platform"}), "index-url": frozenset({"no-index"})}
# A key → those below that do not hold beside it, where it was typed.
TYPED = {
    "requirements": ASKING | _OF_FILES | _OF_DIRECTORY,
    "requirement": ASKING | _OF_FILES | _OF_DIRECTORY,
    "venv": ASKING | _OF_FILES | _OF_DIRECTORY | {"constraint"},
    **_SAME,
}
# The same where a bundle says it: that adds its requirements to those of all.
OF_A_BUNDLE = {
    "requirements": frozenset({"lock", "venv"}) | _OF_DIRECTORY,
    "requirement": frozenset({"lock", "venv"}) | _OF_FILES | _OF_DIRECTORY,
    "venv": TYPED["venv"],
    **_SAME,
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The value of an option, and where it was said: ``bundle.toml:bundles.train.level``."""

    value: Any
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the file at *path* says."""

    path: Path
    shared: Mapping[str, Setting]
    bundles: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)

    def settings(self, bundle: str | None) -> dict[str, Setting]:
        """Return the settings of the named *bundle*, or those for all; raise ``UsageError`` if there is none."""
        if bundle is None:
            return dict(self.shared)
        if bundle not in self.bundles:
            if not self.bundles:
                raise UsageError("--bundle", f"{self.path} has no [{BUNDLES}.NAME]", got=bundle)
            names = ", ".join(self.bundles)
            hint = did_you_mean(bundle, self.bundles)
            raise UsageError("--bundle", f"is no bundle of {self.path}", got=bundle, want=names, hint=hint)
        own = self.bundles[bundle]
        return {**overlaid(self.shared, own, OF_A_BUNDLE), **own}


def overlaid(below: Mapping[str, _T], above: Collection[str], replaced: Mapping[str, frozenset[str]]) -> dict[str, _T]:
    """Return what holds of *below* where the keys *above* are said: neither the same, nor what they have *replaced*."""
    gone = frozenset(above).union(*(replaced.get(key, ()) for key in above))
    return {key: value for key, value in below.items() if key not in gone}


def read(path: Path, keys: Mapping[str, Key], refused: Mapping[str, str]) -> Configuration:
    """Read the file at *path*; raise ``UsageError`` naming file and key if something in it is wrong."""
    table = load(path)
    prefix = f"{path}:" + ("tool.bundle." if path.name == PROJECT else "")
    reader = _Reader(keys, refused, path.parent)
    bundles = table.pop(BUNDLES, {})
    if not isinstance(bundles, dict):
        raise UsageError(f"{prefix}{BUNDLES}", "is no table", want=f"[{BUNDLES}.NAME]")
    shared = reader.settings(table, prefix, more=(BUNDLES,))
    named = {}
    for name, own in bundles.items():
        at = f"{prefix}{BUNDLES}.{name}"
        if not isinstance(own, dict):
            raise UsageError(at, "is no table", want=f"[{BUNDLES}.NAME]")
        named[name] = reader.settings(own, f"{at}.")
    return Configuration(path=path, shared=shared, bundles=named)


class _Reader:
    """Reads tables of a file in *directory*."""

    def __init__(self, keys: Mapping[str, Key], refused: Mapping[str, str], directory: Path) -> None:
        self._keys = keys
        self._refused = refused
        self._directory = directory

    def settings(self, table: Mapping[str, object], prefix: str, more: Iterable[str] = ()) -> dict[str, Setting]:
        found = {}
        for name, value in table.items():
            where = f"{prefix}{name}"
            if name in self._refused:
                raise UsageError(where, f"can be said on the command line only: {self._refused[name]}")
            if name not in self._keys:
                known = [*self._keys, *more]
                hint = did_you_mean(name.replace("_", "-").lower(), known)
                raise UsageError(where, "is no key", hint=hint or "the keys are the options of bundle create --help")
            found[name] = Setting(value=self._keys[name].read(value, where, self._directory), where=where)
        return found


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint that names what of *known* is nearest to *name*, if one is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else None
