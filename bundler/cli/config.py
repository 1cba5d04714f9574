"""``bundle config``: what is in force for ``bundle lock`` and ``bundle create``, and where each value comes from."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bundler.caching.build_cache import Cache
from bundler.cli.configured import add_configuration, configuration_of, settings_of
from bundler.cli.option_keys import REFUSED, declared_by, options_of
from bundler.fetching.index_options import read_pip_configuration, redacted_text
from bundler.runtime.errors import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from bundler.cli.option_keys import Option
    from bundler.configuring.configurations import Configuration, Setting

HELP = "show the options that are in force, and where each comes from"

_COMMANDS = ("lock", "create")
_DEFAULT = "default"
_PIP = "pip's configuration"
# Of these pip's configuration has its own; what a list of ours says comes behind pip's (fetching/index_options.py).
_PIP_KEYS = ("index-url", "extra-index-url", "find-links", "no-index")
_SAID_DEFAULT = re.compile(r"\(default: ([^)]+)\)|\((\w+), the default\)")
_WIDEST = 48
_CACHE = "BUNDLE_CACHE_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A value of the option *name*, where it comes from, and for which commands it holds."""

    name: str
    value: Any
    origin: str
    commands: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The value as a file would say it."""
        if self.value is None:
            return "none"
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_configuration(parser)


def run(options: argparse.Namespace) -> int:
    """Show what is in force; return the exit code."""
    configuration = configuration_of(options)
    pip = read_pip_configuration(os.environ)
    holding: dict[Row, list[str]] = {}
    for command in _COMMANDS:
        for row in _rows(command, options, configuration, pip):
            holding.setdefault(row, []).append(command)
    said = {row.name for row in holding if row.origin != _DEFAULT}
    rows = [
        replace(row, commands=tuple(commands))
        for row, commands in holding.items()
        if row.origin != _DEFAULT or row.name not in said
    ]
    rows.sort(key=lambda row: row.origin == _DEFAULT)
    if options.json:
        print(json.dumps(_to_json(rows, configuration, options.bundle), indent=2))
    else:
        for line in _lines(rows, configuration, options.bundle):
            print(printable(line))
    return 0


def _rows(
    command: str, typed: argparse.Namespace, configuration: Configuration | None, pip: Mapping[str, str]
) -> Iterator[Row]:
    """Yield what is in force for *command*, a row for each item of a list."""
    options = options_of(command, declared_by(command))
    said = {} if configuration is None else settings_of(command, options, typed, configuration)
    for option in options:
        if option.name == "cache-dir":
            origin = _CACHE if os.environ.get(_CACHE) else _DEFAULT
            yield Row(name=option.name, value=str(Cache.default(os.environ).root), origin=origin)
        elif option.name not in REFUSED:
            found = list(_found(option, said.get(option.name), pip))
            yield from found or [Row(name=option.name, value=_default(option), origin=_DEFAULT)]


def _found(option: Option, setting: Setting | None, pip: Mapping[str, str]) -> Iterator[Row]:
    """Yield what pip's configuration says of *option*, unless *setting* takes its place, and what that says."""
    configured = pip.get(option.name, "") if option.name in _PIP_KEYS else ""
    is_list = isinstance(option.default, list)
    if setting is None or is_list:
        for text in configured.split() if is_list else filter(None, [configured]):
            yield Row(name=option.name, value=redacted_text(text), origin=_PIP)
    if setting is not None:
        for value in setting.value if is_list else [setting.value]:
            shown = value if isinstance(value, (bool, int, float)) else redacted_text(str(value))
            yield Row(name=option.name, value=shown, origin=setting.where)


def _default(option: Option) -> Any:  # noqa: ANN401 - as argparse has it
    """Return the default of *option*: what its help says, as that knows what an empty value means."""
    if match := _SAID_DEFAULT.search(option.meaning):
        text = match[1] or match[2]
        return int(text) if text.isdecimal() else text
    if option.default == []:
        return None
    return option.default if isinstance(option.default, (bool, int, float, type(None))) else str(option.default)


def _lines(rows: list[Row], configuration: Configuration | None, bundle: str | None) -> Iterator[str]:
    if configuration is None:
        yield "no configuration file"
    else:
        others = [name for name in configuration.bundles if name != bundle]
        more = f" ({'others' if bundle else 'bundles'}: {', '.join(others)})" if others else ""
        yield f"{configuration.path}{f', bundle {bundle}' if bundle else ''}{more}"
    name_width = max(len(row.name) for row in rows)
    text_width = min(max(len(row.text) for row in rows), _WIDEST)
    for row in rows:
        only = "" if row.commands == _COMMANDS else f"  ({' '.join(row.commands)} only)"
        yield f"  {row.name:<{name_width}}  {row.text:<{text_width}}  {row.origin}{only}"


def _to_json(rows: list[Row], configuration: Configuration | None, bundle: str | None) -> dict[str, Any]:
    """Return what ``--json`` prints: of each option its values, where each comes from and for which commands."""
    options: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        item = {"value": row.value, "from": row.origin, "commands": list(row.commands)}
        options.setdefault(row.name, []).append(item)
    return {
        "file": None if configuration is None else str(configuration.path),
        "bundle": bundle,
        "bundles": [] if configuration is None else list(configuration.bundles),
        "options": options,
    }
