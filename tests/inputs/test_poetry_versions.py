from __future__ import annotations

import pytest

from bundler.inputs.poetry_versions import python_marker, specifiers
from bundler.runtime.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("*", ""),
        ("^1.2.3", ">=1.2.3,<2"),
        ("^1.2", ">=1.2,<2"),
        ("^1", ">=1,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0.0", ">=0.0,<0.1"),
        ("^0", ">=0,<1"),
        ("^1.0b1", ">=1.0b1,<2"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        ("1.2.3", "==1.2.3"),
        ("1.2.*", "==1.2.*"),
        ("=1.2", "==1.2"),
        ("==1.2", "==1.2"),
        ("~=1.2", "~=1.2"),
        ("!=1.2", "!=1.2"),
        (">= 1.2, < 2", ">=1.2,<2"),
        (">=1.2 <2", ">=1.2,<2"),
    ],
)
def test_ranges_are_those_of_poetry(text, expected):
    assert specifiers(text, "here") == expected


@pytest.mark.parametrize("text", ["^", "^x", "latest", ">=", "1.2 || 1.3", "^1.2.*", "~1.*.2"])
def test_what_pep_440_cannot_say_is_refused(text):
    with pytest.raises(UsageError, match="here: "):
        specifiers(text, "here")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (">=3.7", {"3.7.16", "3.8.18", "3.12.1"}),
        ("^3.8", {"3.8.18", "3.12.1"}),
        ("~3.8", {"3.8.18"}),
        ("3.8.*", {"3.8.18"}),
        ("<3.8 || >=3.12", {"3.7.16", "3.12.1"}),
        (">=2.7, !=3.7.*, !=3.8.*", {"3.12.1"}),
    ],
)
def test_versions_of_python_become_a_marker(text, holds):
    marker = python_marker(text, "here")
    pythons = ("3.7.16", "3.8.18", "3.12.1")
    assert {python for python in pythons if marker.evaluate({"python_full_version": python})} == holds


def test_any_python_needs_no_marker():
    assert python_marker("*", "here") is None
    assert python_marker(">=3.7 || *", "here") is None
