"""Keys are what argparse has: what a file says is what the command line would have said, also of a new option."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.cli import CONFIGURED, create, main
from bundler.cli.option_keys import LOCK, REFUSED, declared_by, keys_of_commands, options_of

SAID = [
    pytest.param(command, option, id=f"{command}-{option.name}")
    for command in CONFIGURED
    for option in options_of(command, declared_by(command))
    if option.key is not None
]
# Nothing of the tests' own: only so that a command is complete.
NEEDED = {"create": ["-o", "needed.pyz"], "lock": [], "check": ["path", "--baseline", "needed.txt"]}


@pytest.fixture
def parsed(tmp_path, monkeypatch):
    """Return the options that a command is run with, for a file and what is typed."""
    monkeypatch.chdir(tmp_path)

    def parse(text, command, *typed, file="bundle.toml"):
        seen = []
        monkeypatch.setattr(f"bundler.cli.{command}.run", lambda options: seen.append(options) or 0)
        Path(file).write_text(text)
        assert main([command, *typed]) == 0
        return {name: value for name, value in vars(seen[0]).items() if name != "run"}

    return parse


def sample(key):
    """Return a value that the option of *key* takes, as TOML and as arguments."""
    option = f"--{key.name}"
    if key.kind == "flag":
        return "true", [option]
    text = next(text for text in (*key.choices, "word", "3") if not fails(key.convert, text))
    if key.kind == "list":
        typed = [text, text] if key.name == "requirements" else [option, text, option, text]
        return f'["{text}", "{text}"]', typed
    return text if key.kind == "number" else f'"{text}"', [option, text]


def fails(convert, text):
    try:
        convert(text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(("command", "option"), SAID)
def test_a_file_says_what_the_command_line_would_say(parsed, command, option):
    value, typed = sample(option.key)
    if (command, option.key.name) == ("lock", LOCK):
        value, typed = '"pylock.x.toml"', ["--output", "pylock.x.toml"]
    needed = [] if option.is_needed else NEEDED[command]
    needed = ["path"] if (command, option.name) == ("check", "baseline") else needed
    said = parsed(f"{option.key.name} = {value}\n", command, *needed)
    assert said == parsed("", command, *needed, *typed)
    assert said[option.dest] not in (None, [], False), "the value has arrived"


def test_what_nobody_says_is_the_default(parsed):
    options = parsed("", "create", "-o", "x.pyz", "numpy")
    assert (options["requirements"], options["requirement"], options["level"]) == (["numpy"], [], 9)
    assert (options["format"], options["json"], options["target"]) == ("pyz", False, None)


def test_every_long_option_is_a_key_or_refused_with_a_reason():
    names = {name for command in CONFIGURED for name in long_options(command)}
    names.remove("output")
    assert names - {*keys_of_commands(), *REFUSED} == set()
    assert set(REFUSED) <= names, "a reason for what is no option"


def long_options(command):
    return [
        text[2:] for action in declared_by(command)._actions for text in action.option_strings if text.startswith("--")
    ]


def test_a_new_option_is_a_key_at_once(parsed, monkeypatch):
    old = create.add_arguments

    def more(parser):
        old(parser)
        parser.add_argument("--shiny", metavar="FILE", type=Path, action="append", default=[])
        parser.add_argument("--hue", choices=("red", "blue"))
        parser.add_argument("--count", type=int, default=1)
        parser.add_argument("--weight", type=float)
        parser.add_argument("--source", metavar="NAME=URL", action="append", default=[])
        parser.add_argument("--glow", action="store_true")
        parser.add_argument("--no-dust", action="store_false", dest="dust")

    monkeypatch.setattr(create, "add_arguments", more)
    text = 'shiny = ["a.txt"]\nhue = "blue"\ncount = 3\nweight = 1.5\nglow = true\nno-dust = true\noutput = "x.pyz"\n'
    options = parsed(text, "create")
    assert (options["shiny"], options["hue"], options["count"]) == ([Path("a.txt")], "blue", 3)
    assert (options["weight"], options["glow"], options["dust"]) == (1.5, True, False)
    assert parsed('output = "x.pyz"', "create")["dust"] is True
    text += 'source = ["a=https://me@host/simple", "b=mirror/b"]\n'
    Path("below").mkdir()
    monkeypatch.chdir("below")
    options = parsed(text, "create", file="../bundle.toml")
    assert options["source"] == ["a=https://me@host/simple", "b=../mirror/b"]
    assert (options["shiny"], options["output"]) == ([Path("../a.txt")], Path("../x.pyz"))
    assert parsed(text, "create", "--count", "5", "--shiny", "b.txt")["shiny"] == [Path("b.txt")]
