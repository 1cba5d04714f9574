from __future__ import annotations

import pytest
from support.bundles_to_sign import FORMS, copy, write_forms
from support.image_factory import make_image
from support.interpreters import target_of


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    files = {"site-packages/mod.py": b"value = 42\n", "site-packages/data.bin": bytes(range(256)) * 300}
    return make_image(tmp_path_factory.mktemp("image"), files, target=target_of("3.7"))


@pytest.fixture(scope="module")
def unsigned(image, tmp_path_factory):
    return write_forms(tmp_path_factory.mktemp("unsigned"), image)


@pytest.fixture(params=FORMS)
def artifact(request, unsigned, tmp_path):
    return copy(unsigned / FORMS[request.param], tmp_path)


@pytest.fixture
def pyz(unsigned, tmp_path):
    return copy(unsigned / FORMS["pyz"], tmp_path)
