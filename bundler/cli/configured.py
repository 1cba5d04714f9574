"""What somebody has typed → all options of a command: what is left open a configuration file says.

* What is typed goes before the file, option by option; a list takes the place of a list (``overlaid``).
* ``bundle create`` with a lock resolves nothing: what the file says of resolving is for ``bundle lock``.
* What a file has said is told in one line, with its keys, and an error about an option names the file and the key.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.cli.option_keys import LOCK, REFUSED, actions_of, keys_of_commands, options_of
from bundler.cli.options import add_baseline, add_requirements
from bundler.configuring.configurations import ASKING, TYPED, did_you_mean, overlaid, read
from bundler.configuring.files import NAME, PROJECT, find
from bundler.resolving.baseline.baselines import is_interpreter
from bundler.runtime.errors import BundleError, UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundler.cli.option_keys import Option
    from bundler.configuring.configurations import Configuration, Setting
    from bundler.configuring.files import Found

Run = Callable[[argparse.Namespace], int]

_LOCK_NAME = re.compile(r"pylock(?:\.[^.]+)?\.toml")
_WRITTEN = {LOCK: LOCK, "create": "output"}


def configured(command: str, parser: argparse.ArgumentParser, run: Run) -> Run:
    """Let *parser* tell only what is typed; return the *run* of *command*, with a file that completes it."""
    options = options_of(command, parser)
    for action in actions_of(parser):
        action.default = argparse.SUPPRESS
        action.required = action.required and not action.option_strings
    add_configuration(parser)

    def run_configured(typed: argparse.Namespace) -> int:
        configuration = configuration_of(typed)
        said: dict[str, Setting] = {}
        if configuration is not None:
            said = settings_of(command, options, typed, configuration)
            _check_chosen(command, options, typed, said, configuration)
        _check_complete(command, options, typed, said, configuration)
        if configuration is not None and said and not is_quiet(typed):
            print(_told(configuration, typed.bundle, said), file=sys.stderr)
        values = {option.dest: option.default for option in options}
        values |= {option.dest: said[option.name].value for option in options if option.name in said}
        try:
            return run(argparse.Namespace(**{**values, **vars(typed)}))
        except BundleError as error:
            _explain(command, error, said)
            raise

    return run_configured


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add which configuration file is read, and what of it."""
    group = parser.add_argument_group(
        "configuration", f"What is not typed {NAME} says, or [tool.bundle] of a {PROJECT}, here or above."
    )
    group.add_argument("--bundle", metavar="NAME", help="take the options of [bundles.NAME]")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--config", metavar="FILE", type=Path, help="read this file instead")
    which.add_argument("--no-config", action="store_true", help="read none")
    group.add_argument(
        "--unset", metavar="KEY", action="append", default=[], help="leave out what the file says of KEY"
    )


def configuration_of(typed: argparse.Namespace) -> Configuration | None:
    """Return what the file says that holds here, or that is named; None if there is none."""
    path = typed.config
    if path is None and not typed.no_config:
        found = _found()
        path = found.path if found else None
        if found and found.ignored and not is_quiet(typed):
            print(f"warning: {found.ignored}: [tool.bundle] is not read, because {found.path} is", file=sys.stderr)
    if path is not None:
        return read(path, keys_of_commands(), REFUSED)
    for option in ("bundle", "unset"):
        if getattr(typed, option):
            got = "--no-config" if typed.no_config else None
            hint = f"bundles are named in {NAME} or in [tool.bundle] of {PROJECT}"
            raise UsageError(f"--{option}", "needs a configuration file, and there is none", got=got, hint=hint)
    return None


def _found() -> Found | None:
    home = os.environ.get("HOME")
    try:
        return find(Path.cwd(), Path(home).resolve() if home else None)
    except FileNotFoundError:  # somebody has removed the current directory
        return None


def is_quiet(typed: argparse.Namespace) -> bool:
    """Tell whether *typed* asks for nothing but the result."""
    return getattr(typed, "quiet", False) or getattr(typed, "json", False)


def settings_of(
    command: str, options: Sequence[Option], typed: argparse.Namespace, configuration: Configuration
) -> dict[str, Setting]:
    """Return by its name what *configuration* says of those *options* of *command* that it decides."""
    settings = configuration.settings(typed.bundle)
    for name in typed.unset:
        if name not in settings:
            hint = did_you_mean(name, settings)
            raise UsageError("--unset", f"is no key that {configuration.path} says", got=name, hint=hint)
        del settings[name]
    typed_names = {option.name for option in options if option.dest in vars(typed)}
    settings = overlaid(settings, typed_names, TYPED)
    if command == "create" and (LOCK in settings or LOCK in typed_names):
        resolving = _names_of_resolving()
        settings = {name: setting for name, setting in settings.items() if name not in resolving}
    names = {option.name for option in options}
    settings = {name: setting for name, setting in settings.items() if name in names}
    _check_safe(command, settings, configuration.path.parent)
    return settings


def _names_of_resolving() -> frozenset[str]:
    """Return the keys that say what to resolve, and how: a lock has done that."""
    parser = argparse.ArgumentParser(add_help=False)
    add_requirements(parser)
    add_baseline(parser)
    return frozenset(option.name for option in options_of("", parser))


def _check_safe(command: str, settings: Mapping[str, Setting], directory: Path) -> None:
    """Refuse what a file in *directory*, which came with a checkout, could do to whoever runs *command* in it."""
    baseline = settings.get("baseline")
    if baseline is not None and is_interpreter(Path(baseline.value)):
        hint = "give it on the command line, or write down what it has: pip freeze"
        raise UsageError(baseline.where, "names a program, which is run only if you name it", hint=hint)
    written = settings.get(_WRITTEN.get(command, ""))
    if written is None:
        return
    if not written.value.parent.resolve().is_relative_to(directory.resolve()):
        what = "is not in the directory of the file, and a file has nothing written elsewhere"
        raise UsageError(written.where, what, got=written.value, hint="name it with -o")
    if command == LOCK and not _LOCK_NAME.fullmatch(written.value.name):
        what = "is replaced by bundle lock, and has not the name of a lock"
        raise UsageError(written.where, what, got=written.value.name, want="pylock.toml or pylock.NAME.toml")


def _check_chosen(
    command: str,
    options: Sequence[Option],
    typed: argparse.Namespace,
    said: Mapping[str, Setting],
    configuration: Configuration,
) -> None:
    """Refuse to guess which bundle is meant, where nothing is asked for otherwise."""
    asked = ASKING & _known(options, typed, said)
    if command == LOCK:
        asked -= {LOCK}  # which is where to write it
    if command != "check" and configuration.bundles and typed.bundle is None and not asked:
        choice = " or ".join(f"--bundle {shlex.quote(name)}" for name in configuration.bundles)
        raise UsageError(configuration.path, "names bundles, and none of them is chosen", want=choice)


def _check_complete(
    command: str,
    options: Sequence[Option],
    typed: argparse.Namespace,
    said: Mapping[str, Setting],
    configuration: Configuration | None,
) -> None:
    """Refuse to begin without an option that the command needs."""
    known = _known(options, typed, said)
    for option in options:
        if option.is_needed and option.name not in known:
            hint = f"or say it in {NAME}: {option.name}"
            if configuration is not None and typed.bundle is None:
                bundles = configuration.bundles.items()
                having = [f"--bundle {shlex.quote(name)}" for name, settings in bundles if option.name in settings]
                hint = f"{configuration.path} says it for {' and '.join(having)}" if having else hint
            raise UsageError(f"bundle {command}", "an option is missing", want=option.typed, hint=hint)


def _known(options: Sequence[Option], typed: argparse.Namespace, said: Mapping[str, Setting]) -> set[str]:
    return {*said, *(option.name for option in options if option.dest in vars(typed))}


def _told(configuration: Configuration, bundle: str | None, said: Mapping[str, Setting]) -> str:
    """Return the line that tells whose options these are: keys only, as values may hold credentials."""
    whose = f"{configuration.path}, bundle {bundle}" if bundle else str(configuration.path)
    return printable(f"{whose}: {', '.join(said)}")


def _explain(command: str, error: BundleError, said: Mapping[str, Setting]) -> None:
    """Let an *error* about an option that nobody has typed, or a path of its, name the file that has *said* it."""
    for name, setting in said.items():
        values = setting.value if isinstance(setting.value, list) else [setting.value]
        if error.where in (f"--{name}", *(str(value) for value in values if isinstance(value, Path))):
            says = f"{setting.where} says it"
            if name == LOCK and command == "create" and not setting.value.exists():
                says = f"{says}, and bundle lock writes it"
            error.hint = f"{says}; {error.hint}" if error.hint else says
            return
