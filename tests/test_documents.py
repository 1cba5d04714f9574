"""docs/security.md says what the code does: each rule once, messages that exist, tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RULES = [f"A{n}" for n in range(1, 15)] + [f"B{n}" for n in range(15, 19)] + [f"C{n}" for n in range(19, 25)]
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    for line in (ROOT / "docs/security.md").read_text().splitlines()
    if re.match(r"\| [A-D][0-9]+ \|", line)
]
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "bundler").rglob("*.py")))


def test_every_rule_has_one_row():
    assert [row[0] for row in ROWS] == RULES


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_a_message_and_tests_that_exist(row):
    _, _, message, tests = row
    assert message.strip("`") in SOURCE
    for name in tests.replace("`", "").split(", "):
        assert (ROOT / "tests" / name).is_file(), name
