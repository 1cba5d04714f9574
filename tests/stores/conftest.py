from __future__ import annotations

import os

import pytest
from support import media, real_servers

ALL = [*media.QUICK, *(pytest.param(make, marks=pytest.mark.slow) for make in media.SLOW)]


@pytest.fixture(params=ALL, ids=lambda make: make.__name__)
def medium(request):
    return request.param(request)


@pytest.fixture
def store(medium):
    with medium.open() as store:
        yield store


@pytest.fixture(scope="session")
def docker_registry_host(tmp_path_factory):
    with real_servers.docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="session")
def azurite_environ(tmp_path_factory):
    from azure.storage.blob import ContainerClient

    account, key = real_servers.AZURITE_ACCOUNT, real_servers.AZURITE_KEY
    with real_servers.azurite(tmp_path_factory.mktemp("azurite")) as url:
        text = f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={url};"
        with ContainerClient.from_connection_string(text, "bundles") as client:
            client.create_container()
        yield {"AZURE_STORAGE_CONNECTION_STRING": text}


@pytest.fixture(scope="session")
def _moto(tmp_path_factory):
    import boto3

    with real_servers.moto(tmp_path_factory.mktemp("moto")) as url:
        client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
        )
        client.create_bucket(Bucket="bundles")
        client.close()
        yield url


@pytest.fixture
def moto_endpoint(_moto, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1", "ENDPOINT_URL": _moto}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return _moto
