from __future__ import annotations

import pytest

from bundler.wheels.empty_projects import empty_projects


@pytest.mark.parametrize("names", [["numpy"], ["sklearn", "scikit-learn"]])
def test_where_the_modules_are_there_nothing_is_said(names):
    assert not list(empty_projects(names))


def test_a_bundle_without_the_modules_that_were_meant_is_warned_of():
    (warning,) = empty_projects(["numpy", "sklearn"])
    assert warning == "sklearn is an empty project, and nothing here brings its modules: require scikit-learn instead"
