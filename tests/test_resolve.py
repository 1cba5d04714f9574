"""Resolution with the real uv, from wheels in a directory."""

from __future__ import annotations

import hashlib
import http.server
import threading

import pytest
from wheel_factory import make_wheel

from bundler.indexes import IndexOptions
from bundler.reporters import Reporter
from bundler.resolve import NoWheelError, resolve
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.targets import PRESETS

PY37 = PRESETS["azureml-py37"]
PY312 = PRESETS["azureml-py312"]


@pytest.fixture
def shelf(tmp_path):
    """A directory of wheels, and a way to put one more there."""
    directory = tmp_path / "shelf"
    directory.mkdir()

    def put(name, version, tag="py3-none-any", requires=()):
        return make_wheel(directory, name, version, {f"{name}.py": b""}, tag=tag, requires=requires)

    put.directory = directory
    return put


@pytest.fixture
def ask(shelf, tmp_path):
    def ask(*requirements, target=PY37, files=(), constraints=(), indexes=None):
        return resolve(
            requirements,
            requirement_files=files,
            constraint_files=constraints,
            target=target,
            indexes=indexes or IndexOptions(no_index=True, find_links=(str(shelf.directory),)),
            cache_dir=tmp_path / "uv",
            reporter=Reporter(),
        )

    return ask


def chosen(lock):
    return [pin.filename for pin in lock.pins]


def test_markers_are_those_of_the_target_not_of_this_host(shelf, ask):
    shelf("app", "1.0", requires=["backport ; python_version < '3.8'", "other ; platform_machine == 'aarch64'"])
    shelf("backport", "1.0")
    shelf("other", "1.0")
    assert chosen(ask("app")) == ["app-1.0-py3-none-any.whl", "backport-1.0-py3-none-any.whl"]
    assert chosen(ask("app", target=PY312)) == ["app-1.0-py3-none-any.whl"]
    assert len(ask("app", target=PY312._replace(arch="aarch64")).pins) == 2


def test_the_patch_version_counts(shelf, ask):
    shelf("app", "1.0", requires=["patched ; python_full_version >= '3.7.1'"])
    shelf("patched", "1.0")
    assert len(ask("app").pins) == 2


def test_a_wheel_for_a_newer_glibc_than_the_targets_is_passed_over(shelf, ask):
    """uv knows 2.17 and 2.28, the target has 2.27."""
    shelf("native", "1.0", "cp37-cp37m-manylinux_2_17_x86_64")
    shelf("native", "1.1", "cp37-cp37m-manylinux_2_27_x86_64")
    shelf("native", "1.2", "cp37-cp37m-manylinux_2_28_x86_64")
    assert chosen(ask("native")) == ["native-1.1-cp37-cp37m-manylinux_2_27_x86_64.whl"]
    newer = PY37._replace(libc_version="2.28")
    assert chosen(ask("native", target=newer)) == ["native-1.2-cp37-cp37m-manylinux_2_28_x86_64.whl"]


def test_the_most_specific_of_several_wheels_is_chosen(shelf, ask):
    shelf("native", "1.0")
    shelf("native", "1.0", "cp37-cp37m-manylinux2010_x86_64")
    shelf("native", "1.0", "cp37-cp37m-manylinux2014_x86_64")
    assert chosen(ask("native")) == ["native-1.0-cp37-cp37m-manylinux2014_x86_64.whl"]


def test_extras_constraints_and_files_are_honoured(shelf, ask, tmp_path):
    shelf("app", "1.0", requires=["plain", "more ; extra == 'all'"])
    for version in ("1.0", "2.0"):
        shelf("plain", version)
    shelf("more", "1.0")
    (tmp_path / "base.txt").write_text("app[all]\n")
    (tmp_path / "requirements.txt").write_text("-r base.txt\n")
    (tmp_path / "constraints.txt").write_text("plain<2\n")
    lock = ask(files=[tmp_path / "requirements.txt"], constraints=[tmp_path / "constraints.txt"])
    assert chosen(lock) == ["app-1.0-py3-none-any.whl", "more-1.0-py3-none-any.whl", "plain-1.0-py3-none-any.whl"]


def test_a_local_wheel_is_pinned_by_its_hash(shelf, ask, tmp_path, monkeypatch):
    wheel = make_wheel(tmp_path, "mine", "1.0", {"mine.py": b"x = 1\n"}, requires=["plain"])
    shelf("plain", "1.0")
    monkeypatch.chdir(tmp_path)
    for requirement in (str(wheel), "./mine-1.0-py3-none-any.whl", f"mine @ file://{wheel}"):
        lock = ask(requirement)
        pin = next(pin for pin in lock.pins if pin.name == "mine")
        assert pin.path == wheel
        assert pin.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
        assert pin.size == wheel.stat().st_size


def test_a1_hashes_in_a_requirement_file_are_enforced(shelf, ask, tmp_path):
    right = hashlib.sha256(shelf("plain", "1.0").read_bytes()).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"plain==1.0 --hash=sha256:{right}\n")
    assert ask(files=[path]).pins[0].sha256 == right
    path.write_text(f"\nplain==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ContentError) as caught:
        ask(files=[path])
    assert (caught.value.rule, caught.value.where) == ("A1", "requirements.txt:2")


def test_a1_of_several_wheels_one_with_a_listed_hash_is_chosen(shelf, ask, tmp_path):
    shelf("native", "1.0", "cp37-cp37m-manylinux2014_x86_64")
    plain = hashlib.sha256(shelf("native", "1.0").read_bytes()).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"native==1.0 --hash=sha256:{plain}\n")
    assert chosen(ask(files=[path])) == ["native-1.0-py3-none-any.whl"]


def test_an_unsatisfiable_set_is_explained_in_one_paragraph(shelf, ask):
    shelf("app", "1.0", requires=["plain<2"])
    for version in ("1.0", "2.0"):
        shelf("plain", version)
    with pytest.raises(BundleError) as caught:
        ask("app", "plain>=2")
    assert caught.value.exit_code == 1
    assert "app" in caught.value.what
    assert "plain<2" in caught.value.what
    assert "\n" not in caught.value.fault


def test_a_project_without_a_wheel_is_named_with_the_nearest_that_has_one(shelf, ask):
    shelf("native", "1.0", "cp37-cp37m-manylinux2014_x86_64")
    shelf("native", "1.1", "cp39-cp39-manylinux2014_x86_64")
    shelf("native", "1.3", "cp37-cp37m-manylinux2014_x86_64")
    with pytest.raises(BundleError) as caught:
        ask("native==1.1")
    assert caught.value.where == "native 1.1"
    assert "native 1.0 and 1.3" in str(caught.value)


def test_a_project_without_a_wheel_is_named_also_if_its_requirement_has_a_marker(shelf, ask):
    shelf("native", "1.1", "cp39-cp39-manylinux2014_x86_64")
    with pytest.raises(NoWheelError) as caught:
        ask("native==1.1 ; python_version < '3.8'")
    assert caught.value.where == "native 1.1"


def test_an_unknown_project_is_named(ask):
    with pytest.raises(BundleError, match="no-such-project") as caught:
        ask("no-such-project")
    assert caught.value.hint is not None


@pytest.mark.parametrize(("line", "words"), [("plain==", "requirements.txt:3"), ("plain 1.0", "requirements.txt:3")])
def test_a_syntax_error_is_shown_with_its_line(ask, tmp_path, line, words):
    path = tmp_path / "requirements.txt"
    path.write_text(f"# one\nother\n{line}\n")
    with pytest.raises(BundleError, match=words):
        ask(files=[path])


def test_nothing_asked_for_is_a_usage_error(ask):
    with pytest.raises(UsageError):
        ask()


@pytest.fixture
def index():
    """A server on loopback that answers everything with one status and page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><body>Please log in</body></html>")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status = 200
    server.url = f"http://127.0.0.1:{server.server_port}/simple"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [200, 401, 403, 404])
def test_an_index_that_does_not_have_it_is_an_error_without_credentials(ask, index, status):
    index.status = status
    url = index.url.replace("://", "://user:secret@")
    with pytest.raises(BundleError) as caught:
        ask("plain", indexes=IndexOptions(index_url=url, retries=0))
    assert caught.value.exit_code == 1
    assert "secret" not in str(caught.value)
    assert caught.value.hint is not None


def test_an_index_that_cannot_be_reached_is_named(ask):
    with pytest.raises(BundleError, match=r"127\.0\.0\.1:9") as caught:
        ask("plain", indexes=IndexOptions(index_url="http://user:secret@127.0.0.1:9/simple", retries=0, timeout=2))
    assert "secret" not in str(caught.value)


def test_the_users_uv_configuration_changes_nothing(shelf, ask, monkeypatch):
    for version in ("1.0", "2.0"):
        shelf("plain", version)
    monkeypatch.setenv("UV_RESOLUTION", "lowest")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    assert chosen(ask("plain")) == ["plain-2.0-py3-none-any.whl"]
