from __future__ import annotations

import pytest
from packaging.requirements import InvalidRequirement

from bundler.resolving.invalid_requirements import valid_requirements


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("pytz (>=2011k)", "pytz"),
        ("pytz>=2011k,<2030", "pytz<2030"),
        ("app[more] >dev ; python_version < '3'", "app[more] ; python_version < '3'"),
        ("plain (>=1,<2)", "plain (>=1,<2)"),
    ],
)
def test_only_what_is_no_specifier_is_left_out(text, read_as):
    assert valid_requirements([text]) == ((read_as,), {text: read_as} if text != read_as else {})


def test_what_is_no_requirement_even_so_is_an_error():
    with pytest.raises(InvalidRequirement):
        valid_requirements(["two names"])
