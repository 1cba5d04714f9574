"""What an error has to be, whoever raises it: it says where and what, in characters that a terminal shows."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bundler.runtime.errors import BundleError, Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_ERROR = 20_000


def check_error(error: BundleError) -> None:
    """Raise ``AssertionError`` if *error* is not fit to be shown."""
    assert error.where, "an error has to say where"
    assert error.what, "an error has to say what"
    for each in error.faults if isinstance(error, Faults) else [error]:
        text = str(each)
        assert all(char.isprintable() or char == "\n" for char in text), f"{text!a} cannot be printed"
        assert len(text) < LONGEST_ERROR, f"an error of {len(text)} characters"


@contextlib.contextmanager
def refusals() -> Iterator[list[BundleError]]:
    """Collect the ``BundleError`` that ends the block."""
    found: list[BundleError] = []
    try:
        yield found
    except BundleError as error:
        check_error(error)
        found.append(error)
