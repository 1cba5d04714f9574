from __future__ import annotations

from dataclasses import replace

import pytest
from support.interpreters import target_of

from bundler.building.builder import BuildPolicy
from bundler.create import create, lock
from bundler.fetching.index_options import IndexOptions
from bundler.options import Options


@pytest.fixture
def shelf(tmp_path):
    """A directory of wheels and source distributions."""
    directory = tmp_path / "shelf"
    directory.mkdir()
    return directory


@pytest.fixture
def options(cache, shelf):
    indexes = IndexOptions(no_index=True, find_links=(str(shelf),))
    return Options(target=target_of("3.7"), indexes=lambda: indexes, cache=cache, build=BuildPolicy(), compile="never")


@pytest.fixture
def locked(options):
    """Lock requirements, with other *options* where they are given."""

    def locked(*requirements, **changes):
        return lock(requirements, options=replace(options, **changes))

    return locked


@pytest.fixture
def created(options, tmp_path):
    """Create the bundle of a lock, and return its path."""

    def created(locked, name="deps.pyz", **changes):
        return create(locked, tmp_path / name, options=replace(options, **changes)).path

    return created
