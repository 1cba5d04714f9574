"""What the page says of files is what is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.inputs.found_inputs import CANDIDATES
from bundler.inputs.kinds import READERS

PAGE = (Path(__file__).parents[2] / "docs" / "requirements.md").read_text()


@pytest.mark.parametrize("name", READERS)
def test_the_table_has_a_row_for_each_kind(name):
    table = PAGE.partition("## No requirement")[0]
    assert any(f"`{name}`" in line.split(" | ")[0] for line in table.splitlines() if line.startswith("| "))


@pytest.mark.parametrize("name", CANDIDATES)
def test_what_is_looked_for_is_named(name):
    looked_for = PAGE.partition("## No requirement")[2].partition("\n    $ ")[0]
    assert f"`{name}`" in looked_for or name in READERS


@pytest.mark.parametrize("name", READERS)
def test_each_kind_is_looked_for_where_nothing_is_named(name):
    assert name in CANDIDATES
