"""URL and environment → a connection to an object store, with the login that the cloud's own tools would use.

* Azure: a signature (SAS) in the URL, ``AZURE_STORAGE_CONNECTION_STRING``, the variables of ``obstore`` (account key,
  SAS, service principal, workload identity), else the library ``azure-identity`` if it is installed, else ``az login``,
  else the machine's managed identity.
* Amazon: the variables, else the library ``boto3`` if it is installed (profiles, SSO), else the machine's role.
* Google: ``GOOGLE_APPLICATION_CREDENTIALS``, else what ``gcloud auth application-default login`` has written, else the
  machine's account.
* Endpoints of others: ``AWS_ENDPOINT_URL``, ``AZURE_ENDPOINT`` or the connection string, ``STORAGE_EMULATOR_HOST``.
  An unencrypted endpoint is used only where such a setting says ``http://``.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from bundler.fetching.index_options import redacted
from bundler.runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import ObjectStore

_AZURE_LOGINS = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_STORAGE_USE_EMULATOR",
    "AZURE_CREDENTIAL_TYPE",
    "AZURE_SKIP_SIGNATURE",
)
_AMAZON_LOGINS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_CONNECT_TIMEOUT = timedelta(seconds=15)
_READ_TIMEOUT = timedelta(seconds=120)
# One request may be a large blob over a slow line.
_WHOLE_TIMEOUT = timedelta(hours=6)
_RETRIES: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=180)}


def connect(url: str, environ: Mapping[str, str]) -> ObjectStore:
    """Return the bucket or container of *url*, with its prefix; nothing is contacted yet."""
    parts = urlsplit(url)
    path = parts.path.strip("/")
    if "@" in parts.netloc:
        hint = "logins come from the environment, a SAS in the URL, or the cloud's own tools"
        raise UsageError("URL", "has a login in front of the bucket or container", got=redacted(url), hint=hint)
    if parts.scheme == "https":
        container, _, prefix = path.partition("/")
        return _azure(container, prefix, environ, url=url)
    if not parts.netloc or parts.query:
        want = f"{parts.scheme}://{'container' if parts.scheme == 'az' else 'bucket'}/prefix"
        raise UsageError("URL", "names no bucket or container", got=redacted(url), want=want)
    if parts.scheme == "az":
        return _azure(parts.netloc, path, environ)
    return (_amazon if parts.scheme == "s3" else _google)(parts.netloc, path, environ)


def _client(endpoint: str | None) -> Any:  # noqa: ANN401 - obstore's
    return {
        "connect_timeout": _CONNECT_TIMEOUT,
        "read_timeout": _READ_TIMEOUT,
        "timeout": _WHOLE_TIMEOUT,
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
    }


def _azure(container: str, prefix: str, environ: Mapping[str, str], *, url: str | None = None) -> ObjectStore:
    config: dict[str, Any] = {}
    if url is not None:
        parts = urlsplit(url)
        config["account_name"] = (parts.hostname or "").partition(".")[0]
        config["endpoint"] = f"https://{parts.hostname}"
        if parts.query:
            config["sas_key"] = parts.query
    elif connection := environ.get("AZURE_STORAGE_CONNECTION_STRING"):
        config |= _connection(connection)
    if not container:
        raise UsageError("URL", "names no container", got=redacted(url or ""), want="https://account.blob.…/container")
    options: dict[str, Any] = {}
    explicit = "sas_key" in config or "account_key" in config or any(environ.get(name) for name in _AZURE_LOGINS)
    if not explicit and importlib.util.find_spec("azure") and importlib.util.find_spec("azure.identity"):
        options["credential_provider"] = importlib.import_module("obstore.auth.azure").AzureCredentialProvider()
    elif not explicit and shutil.which("az", path=environ.get("PATH")):
        config["use_azure_cli"] = True
    endpoint = config.get("endpoint") or environ.get("AZURE_ENDPOINT") or environ.get("AZURE_STORAGE_ENDPOINT")
    return AzureStore(
        container,
        prefix=prefix or None,
        config=config,  # type: ignore[arg-type]
        client_options=_client(endpoint),
        retry_config=_RETRIES,
        **options,
    )


def _connection(text: str) -> dict[str, str]:
    """Return the settings in a connection string of Azure."""
    fields = dict(item.partition("=")[::2] for item in text.split(";") if "=" in item)
    account = fields.get("AccountName", "")
    suffix = fields.get("EndpointSuffix", "core.windows.net")
    default = f"{fields.get('DefaultEndpointsProtocol', 'https')}://{account}.blob.{suffix}"
    settings = {"account_name": account, "endpoint": fields.get("BlobEndpoint", default).rstrip("/")}
    if not account and not fields.get("BlobEndpoint"):
        what = "names neither an account nor an endpoint"
        raise UsageError("AZURE_STORAGE_CONNECTION_STRING", what, hint="copy it from the portal again")
    if not account:
        settings["account_name"] = (urlsplit(settings["endpoint"]).hostname or "").partition(".")[0]
    for name, key in (("AccountKey", "account_key"), ("SharedAccessSignature", "sas_key")):
        if fields.get(name):
            settings[key] = fields[name].removeprefix("?")
    return settings


def _amazon(bucket: str, prefix: str, environ: Mapping[str, str]) -> ObjectStore:
    options: dict[str, Any] = {}
    if not any(environ.get(name) for name in _AMAZON_LOGINS) and importlib.util.find_spec("boto3"):
        options["credential_provider"] = importlib.import_module("obstore.auth.boto3").Boto3CredentialProvider()
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT")
    return S3Store(bucket, prefix=prefix or None, client_options=_client(endpoint), retry_config=_RETRIES, **options)


def _google(bucket: str, prefix: str, environ: Mapping[str, str]) -> ObjectStore:
    options: dict[str, Any] = {}
    if emulator := environ.get("STORAGE_EMULATOR_HOST"):
        emulator = emulator if "://" in emulator else f"http://{emulator}"
        # An account that needs no token, in the form that the library takes.
        account = {"gcs_base_url": emulator, "disable_oauth": True}
        account |= {"client_email": "", "private_key": "", "private_key_id": ""}
        options["service_account_key"] = json.dumps(account)
    return GCSStore(bucket, prefix=prefix or None, client_options=_client(emulator), retry_config=_RETRIES, **options)
