"""The options of a command, as argparse has them → the keys of the configuration file.

* A key has the name of its long option; ``requirements`` are those that a command line has without an option.
* A key is a list where the option may be repeated, true or false where it has no value, a number where it is one.
* What is a path is seen by its type, or by the words that the help has for its value: ``PATH|URL``, ``NAME=URL``.
* ``REFUSED`` are the options that no file may say: a file comes with a checkout, from whoever wrote it.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.cli import CONFIGURED
from bundler.configuring.keys import Key, Kind, behind_equals_in, name_or_path_in, path_in, place_in, requirement_in

if TYPE_CHECKING:
    from bundler.configuring.keys import Place

REFUSED = {
    "allow": "who accepts what a rule refuses has seen the error of this very file",
    "force": "only who runs the command can say that what is there may be replaced",
    "target-python": "it is a program that is run, and where it lies is another matter on each host",
    "cache-dir": "what lies in a cache is believed, and a checkout could bring one along; BUNDLE_CACHE_DIR names one",
    "json": "it is about one run",
    "quiet": "it is about one run",
}
LOCK = "lock"
# What `bundle lock` writes is what `bundle create --lock` reads; `output` is the bundle.
_OTHER_NAMES = {(LOCK, "output"): LOCK}
_PLACES = frozenset({"PATH", "FILE", "DIR", "URL", "FREEZE"})
_NAMES = frozenset({"NAME", "FREEZE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a command; *dest* is what argparse calls its value, *key* is None if no file may say it."""

    dest: str
    name: str
    typed: str
    default: Any
    is_needed: bool
    meaning: str
    key: Key | None


def keys_of_commands() -> dict[str, Key]:
    """Return the keys of all commands that read a configuration file, by name."""
    keys: dict[str, Key] = {}
    for command in CONFIGURED:
        for option in options_of(command, declared_by(command)):
            if option.key is not None:
                keys.setdefault(option.key.name, option.key)
    return keys


def declared_by(command: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments of *command*."""
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"bundler.cli.{command}").add_arguments(parser)
    return parser


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return what *parser* declares, in its order."""
    return [action for action in parser._actions if action.dest != "help"]  # noqa: SLF001 - there is no other way to ask


def options_of(command: str, parser: argparse.ArgumentParser) -> list[Option]:
    """Return the options that *parser* declares for *command*, in its order."""
    return [_option(command, action) for action in actions_of(parser)]


def _option(command: str, action: argparse.Action) -> Option:
    name = next((text[2:] for text in action.option_strings if text.startswith("--")), action.dest)
    name = _OTHER_NAMES.get((command, name), name)
    default = [] if action.default is None and action.nargs == "*" else action.default
    if isinstance(default, str) and callable(action.type):
        default = action.type(default)
    can_be_said = bool(action.option_strings) or action.nargs == "*"
    return Option(
        dest=action.dest,
        name=name,
        typed="/".join(action.option_strings) or action.dest,
        default=default,
        is_needed=action.required and bool(action.option_strings),
        meaning=action.help or "",
        key=_key(name, action) if can_be_said and name not in REFUSED else None,
    )


def _key(name: str, action: argparse.Action) -> Key:
    is_flag = action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction)
    return Key(
        name=name,
        kind=_kind(action, is_flag=is_flag),
        convert=action.type if callable(action.type) else str,
        choices=tuple(action.choices or ()),
        place=None if is_flag else _place(action),
        on=action.const if action.const is not None else True,
        off=action.default if is_flag and action.default is not None else False,
        meaning=action.help or "",
    )


def _kind(action: argparse.Action, *, is_flag: bool) -> Kind:
    if is_flag:
        return "flag"
    if action.nargs in ("*", "+") or isinstance(action, argparse._AppendAction):  # noqa: SLF001
        return "list"
    return "number" if _is_number(action.type) else "text"


def _is_number(convert: object) -> bool:
    """Tell whether what argparse calls with a text gives a number."""
    if convert in (int, float) or not inspect.isfunction(convert):
        return convert in (int, float)
    return inspect.signature(convert).return_annotation in ("int", "float", int, float)


def _place(action: argparse.Action) -> Place | None:
    """Return what makes the values of *action* relative to a directory, if they are paths."""
    if not action.option_strings:
        return requirement_in
    if action.type is Path:
        return path_in
    before, equals, words_of_place = (action.metavar if isinstance(action.metavar, str) else "").rpartition("=")
    words = frozenset(re.split(r"\W+", words_of_place))
    if equals:
        return behind_equals_in if before and words & _PLACES else None
    if words & _NAMES:
        return name_or_path_in if words & _PLACES else None
    return place_in if words & _PLACES else None
