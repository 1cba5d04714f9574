from __future__ import annotations

import media
import pytest


@pytest.fixture(params=media.QUICK, ids=lambda make: make.__name__)
def medium(request):
    return request.param(request)


@pytest.fixture
def store(medium):
    with medium.open() as store:
        yield store
