"""D29: push to and pull from a registry over a network that breaks: right in the end, or a clear error and no name.

The same for fetch is in ``tests/fetching/test_downloads.py``, for stores that break without a network in
``tests/stores/test_copying.py``.
"""

from __future__ import annotations

import time

import pytest
from support import registry_server
from support.bundle_factory import contents_of, make_bundle
from support.registry_faults import blob_of, break_upload, cut, lose_upload, other_length, redirect_to, status

from bundler.layers.packing import decode
from bundler.runtime.demands import Demands
from bundler.runtime.errors import BundleError
from bundler.stores import open_store, registry_client
from bundler.stores.bundle_files import BundleStore
from bundler.stores.copying import Options, copy
from bundler.stores.pulling import pull

pytestmark = pytest.mark.slow

QUICK = Options(first_pause=0.001, retries=3, jobs=2)
LARGE = 5_000_000  # what is larger than 4 MiB is sent as a stream, which is gone on with
REPOSITORY = "team/bundle"


@pytest.fixture
def registry():
    with registry_server.serving(registry_server.Registry()) as registry:
        yield registry


@pytest.fixture
def digest(tmp_path):
    return make_bundle(tmp_path / "made.pyz", LARGE, 1000, scratch=tmp_path / "scratch")


@pytest.fixture
def filled(registry, digest, tmp_path):
    """Return the registry with the bundle in it, which has counted nothing so far."""
    pushed(registry, tmp_path)
    registry.requests.clear()
    return registry


def store_of(registry):
    return open_store(f"oci://{registry.host}/{REPOSITORY}", {})[0]


def pushed(registry, tmp_path):
    with BundleStore(tmp_path / "made.pyz") as source, store_of(registry) as sink:
        return copy(source, "latest", sink, "v1", options=QUICK)


def pulled(registry, tmp_path, **options):
    out = tmp_path / "out.pyz"
    with store_of(registry) as source:
        return pull(source, "v1", out, form="pyz", decode=decode, options=QUICK, **options)


def large(registry):
    return max(registry.blobs[REPOSITORY], key=lambda name: len(registry.blobs[REPOSITORY][name]))


def left_behind(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir() if path.name not in ("made.pyz", "scratch"))


def half_then_silence(handler):
    """Send half of the blob and then nothing for longer than anybody waits."""
    data = blob_of(handler)
    handler.answer(200, {}, data[: len(data) // 2], length=len(data))
    time.sleep(1)
    handler.drop(reset=False)


def slow(handler):
    """Send the blob in thirty parts, for longer in all than anybody waits for one."""
    data = blob_of(handler)
    handler.answer(200, {}, b"", length=len(data))
    step = len(data) // 30 + 1
    for start in range(0, len(data), step):
        handler.wfile.write(data[start : start + step])
        handler.asked.sent += len(data[start : start + step])
        time.sleep(0.03)


def reset(handler):
    handler.drop()


TRANSIENT = [429, 500, 502, 503, 504]
READ = {
    "reset at the start": ("GET", "blobs/", [reset]),
    "reset in the middle": ("GET", "blobs/LARGE", [cut(700_000), cut(700_000)]),
    "closed in the middle": ("GET", "blobs/LARGE", [cut(1, reset=False), cut(700_000, reset=False)]),
    "shorter than said": ("GET", "blobs/LARGE", [other_length(+10)]),
    "silence in the middle": ("GET", "blobs/LARGE", [half_then_silence]),
    "slow": ("GET", "blobs/LARGE", [slow]),
    **{f"{code} for a blob": ("GET", "blobs/", [status(code, {"Retry-After": "0"})] * 2) for code in TRANSIENT},
    **{f"{code} for the manifest": ("GET", "manifests/", [status(code, {"Retry-After": "0"})]) for code in TRANSIENT},
    "reset at the manifest": ("GET", "manifests/", [reset]),
}


@pytest.mark.parametrize("name", READ)
def test_d29_a_pull_survives_it_and_nothing_that_has_arrived_travels_again(name, filled, digest, tmp_path, monkeypatch):
    monkeypatch.setattr(registry_client, "_TIMEOUT", 0.5)
    method, part, faults = READ[name]
    part = part.replace("LARGE", large(filled))
    filled.faults += [(method, part, fault) for fault in faults]
    assert pulled(filled, tmp_path, demands=Demands(digest)).trust == "verified"
    assert filled.faults == [], "a fault was not met"
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "made.pyz")
    assert left_behind(tmp_path) == ["out.pyz"]
    sent = sum(asked.sent for asked in filled.asked("GET", f"blobs/{large(filled)}"))
    lost = 700_000 * 2 if name == "reset in the middle" else 0  # a reset takes along what lies in buffers
    words = 200  # of the registry, about its faults
    assert sent <= len(filled.blobs[REPOSITORY][large(filled)]) + lost + words


ENDLESS = {
    "reset": (reset, "connection"),
    "shorter than promised": (other_length(-10), "the request failed"),
    "503": (status(503, {"Retry-After": "0"}), "503"),
    "429": (status(429, {"Retry-After": "0"}), "429"),
    "401": (status(401), "access is refused"),
    "403": (status(403), "access is refused"),
    "404": (status(404), "is missing"),
    "redirects without end": ("itself", "redirects without end"),
    "a redirect to no web": (redirect_to("ftp://127.0.0.1/blob"), "ftp"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_d29_a_pull_that_cannot_succeed_gets_no_name_and_the_next_completes_it(name, filled, digest, tmp_path):
    fault, words = ENDLESS[name]
    blob = large(filled)
    if fault == "itself":
        fault = redirect_to(f"http://{filled.host}/v2/{REPOSITORY}/blobs/{blob}")
    filled.faults += [("GET", f"blobs/{blob}", fault)] * 100
    with pytest.raises(BundleError, match="(?i)" + words) as caught:
        pulled(filled, tmp_path, demands=Demands(digest))
    assert caught.value.exit_code in (1, 3)
    assert not (tmp_path / "out.pyz").exists()
    filled.faults.clear()
    pulled(filled, tmp_path, demands=Demands(digest))
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "made.pyz")
    assert left_behind(tmp_path) == ["out.pyz"]


def test_d29_a_pull_follows_redirects_to_where_blobs_lie_and_sends_no_login_there(filled, digest, tmp_path):
    elsewhere = registry_server.Registry(blobs={"cdn": dict(filled.blobs[REPOSITORY])})
    with registry_server.serving(elsewhere):
        filled.auth, filled.login = "bearer", None
        filled.redirect = f"http://{elsewhere.host}/v2/cdn/blobs"
        elsewhere.faults += [("GET", large(filled), cut(700_000))]
        pulled(filled, tmp_path, demands=Demands(digest))
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "made.pyz")
    assert elsewhere.asked("GET")
    assert all("authorization" not in asked.headers for asked in elsewhere.requests)


@pytest.mark.parametrize("uses", [1, 2, 3, 4])
def test_d29_a_token_that_expires_is_fetched_anew(uses, registry, digest, tmp_path):
    registry.auth = "bearer"
    registry.token_uses = uses
    pushed(registry, tmp_path)
    registry.token_uses = uses
    pulled(registry, tmp_path, demands=Demands(digest))
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "made.pyz")
    assert registry.token_uses is None, "it did not expire"
    assert len(registry.asked(part="/token")) >= 3


def test_a_token_is_fetched_where_a_registry_offers_other_ways_too(registry, digest, tmp_path):
    registry.auth = "bearer"
    registry.other_challenge = 'Negotiate, Basic realm="a, b", '
    pushed(registry, tmp_path)
    pulled(registry, tmp_path, demands=Demands(digest))
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "made.pyz")


WRITTEN = {
    "reset before an upload": ("POST", "uploads/", [reset]),
    "reset in the middle, kept": (None, "uploads/", ["after the first", break_upload(700_000)]),
    "reset in the middle, lost": (None, "uploads/", ["after the first", break_upload(700_000, kept=False)]),
    "upload forgotten": ("PUT", "uploads/", [lose_upload]),
    **{f"{code} for POST": ("POST", "uploads/", [status(code, {"Retry-After": "0"})]) for code in TRANSIENT},
    **{f"{code} for PUT": ("PUT", "uploads/", [status(code, {"Retry-After": "0"})]) for code in TRANSIENT},
    **{f"{code} for HEAD": ("HEAD", "blobs/", [status(code, {"Retry-After": "0"})]) for code in TRANSIENT},
    **{f"{code} for the manifest": ("PUT", "manifests/", [status(code, {"Retry-After": "0"})]) for code in TRANSIENT},
    "reset at the manifest": ("PUT", "manifests/", [reset]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_d29_a_push_survives_it_and_what_it_pushed_comes_back(name, registry, digest, tmp_path):
    method, part, faults = WRITTEN[name]
    if faults[0] == "after the first":  # the body goes with PATCH or with PUT, whichever the client likes
        fault = faults[1]
        faults = [lambda handler: fault(handler) if handler.left > 1_000_000 else wait(handler)]

        def wait(handler):
            registry.faults.append((method, part, faults[0]))
            return True

    registry.faults += [(method, part, fault) for fault in faults]
    pushed(registry, tmp_path)
    assert registry.faults == [], "a fault was not met"
    pulled(registry, tmp_path, demands=Demands(digest))
    assert contents_of(tmp_path / "out.pyz") == contents_of(tmp_path / "made.pyz")
    if "middle" in name:  # the large one, of which the registry had a part
        assert registry.uploads == {}
        again = 0 if name.endswith("kept") else 1_500_000
        assert registry.received("uploads/") <= sum(map(len, registry.blobs[REPOSITORY].values())) + again


@pytest.mark.parametrize(
    ("method", "part", "fault", "words"),
    [
        ("PUT", "manifests/", status(503, {"Retry-After": "0"}), "503"),
        ("PUT", "manifests/", status(403), "access is refused"),
        ("PUT", "uploads/", status(500, {"Retry-After": "0"}), "500"),
        ("POST", "uploads/", reset, "connection"),
        ("POST", "uploads/", status(401), "access is refused"),
    ],
)
def test_d29_a_push_that_cannot_succeed_sets_no_name_and_the_next_sends_only_the_rest(
    method, part, fault, words, registry, digest, tmp_path
):
    registry.faults += [(method, part, fault)] * 100
    with pytest.raises(BundleError, match=words):
        pushed(registry, tmp_path)
    assert "v1" not in registry.manifests.get(REPOSITORY, {})
    arrived = sum(map(len, registry.blobs.get(REPOSITORY, {}).values()))
    registry.faults.clear()
    registry.requests.clear()
    copied = pushed(registry, tmp_path)
    assert copied.sent <= copied.size - arrived
    pulled(registry, tmp_path, demands=Demands(digest))
