"""Resolution with the real uv, from wheels in a directory."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import uv
from support.package_servers import Handler, Request, Site, serving, status
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.reporters import Reporter
from bundler.resolving.resolver import resolve
from bundler.resolving.resolver_errors import NoWheelError
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.targets import PRESETS, find_target

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
    def ask(*requirements, target=PY37, files=(), constraints=(), indexes=None, offline=False):
        return resolve(
            requirements,
            requirement_files=files,
            constraint_files=constraints,
            target=target,
            indexes=indexes or IndexOptions(no_index=True, find_links=(str(shelf.directory),)),
            cache_dir=tmp_path / "uv",
            offline=offline,
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


@pytest.mark.parametrize("number", [200, 401, 403, 404])
def test_an_index_that_does_not_have_it_is_an_error_without_credentials(ask, number):
    class Page(Handler):
        def do_GET(self):
            self.request_log = Request("GET", self.path, {})
            self.answer(number, {"Content-Type": "text/html"}, b"<html><body>Please log in</body></html>")

    with serving(Site(), handler=Page) as site:
        url = site.base.replace("://", "://user:secret@") + "/simple"
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


# Targets that uv does not know


@pytest.mark.parametrize(
    ("platform", "fitting", "newer"),
    [
        ("manylinux_2_27_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64"),
        ("manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"),
        ("manylinux_2_27_aarch64", "manylinux_2_26_aarch64", "manylinux_2_28_aarch64"),
        ("musllinux_1_1_x86_64", "musllinux_1_1_x86_64", "musllinux_1_2_x86_64"),
        ("musllinux_1_2_aarch64", "linux_aarch64", "manylinux2014_aarch64"),
    ],
)
def test_the_newest_version_with_a_wheel_for_exactly_this_platform_is_chosen(shelf, ask, platform, fitting, newer):
    wheel = shelf("native", "1.0", f"cp37-cp37m-{fitting}").name
    shelf("native", "1.1", f"cp37-cp37m-{newer}")
    shelf("native", "1.2", f"cp37-abi3-{newer}")
    assert chosen(ask("native", target=find_target(None, None, platform))) == [wheel]


def test_a_version_excluded_for_its_glibc_takes_its_dependencies_along(shelf, ask):
    shelf("native", "1.0", "cp37-cp37m-manylinux2014_x86_64", requires=["old"])
    shelf("native", "2.0", "cp37-cp37m-manylinux_2_28_x86_64", requires=["new"])
    shelf("old", "1.0")
    shelf("new", "1.0")
    assert [pin.name for pin in ask("native").pins] == ["native", "old"]


def test_a_pin_whose_wheels_need_a_newer_glibc_is_explained_as_that(shelf, ask):
    shelf("native", "1.0", "cp37-cp37m-manylinux2014_x86_64")
    shelf("native", "2.0", "cp37-cp37m-manylinux_2_28_x86_64")
    shelf("native", "3.0", "cp37-cp37m-manylinux_2_27_x86_64")
    with pytest.raises(NoWheelError) as caught:
        ask("native==2.0")
    assert caught.value.where == "native 2.0"
    assert "!=" not in str(caught.value)
    assert "native 1.0 and 3.0" in caught.value.hint


def test_a_free_threaded_target_gets_its_own_wheels(shelf, ask):
    for abi in ("cp313", "cp313t"):
        shelf("native", "1.0", f"cp313-{abi}-manylinux2014_x86_64")
    shelf("native", "1.1", "cp313-cp313-manylinux2014_x86_64")
    shelf("native", "1.2", "cp37-abi3-manylinux2014_x86_64")
    target = find_target(None, "3.13.1t", None)
    assert chosen(ask("native", target=target)) == ["native-1.0-cp313-cp313t-manylinux2014_x86_64.whl"]
    with pytest.raises(NoWheelError):
        ask("native==1.1", target=target)


@pytest.mark.parametrize("tag", ["cp37-cp37m-manylinux_2_28_x86_64", "cp37-cp37m-win_amd64"])
def test_a2_a_direct_wheel_that_does_not_fit_is_refused(shelf, ask, tag):
    wheel = shelf("native", "1.0", tag)
    with pytest.raises(UsageError, match="does not fit the target") as caught:
        ask(str(wheel))
    assert (caught.value.rule, caught.value.got) == ("A2", wheel.name)


@pytest.mark.parametrize("operator", ["!=", ">"])
def test_a_marker_that_nobody_can_evaluate_is_refused(shelf, ask, operator):
    shelf("app", "1.0", requires=["plain ; platform_release != '5'"])
    shelf("plain", "1.0")
    for requirement in (f"plain ; platform_release {operator} '5'", "app"):
        with pytest.raises(UsageError, match="platform_release"):
            ask(requirement)


# Hashes


def test_a1_the_hash_of_a_wheel_for_another_platform_is_not_enough(shelf, ask, tmp_path):
    shelf("native", "1.0", "cp37-cp37m-manylinux2014_x86_64")
    other = hashlib.sha256(shelf("native", "1.0", "cp37-cp37m-manylinux_2_28_x86_64").read_bytes()).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"native==1.0 --hash=sha256:{other}\n")
    with pytest.raises(ContentError, match=r"requirements\.txt:1.*\[A1\]"):
        ask(files=[path])


def test_a1_where_hashes_are_required_every_wheel_needs_one(shelf, ask, tmp_path):
    app = hashlib.sha256(shelf("app", "1.0", requires=["plain"]).read_bytes()).hexdigest()
    plain = hashlib.sha256(shelf("plain", "1.0").read_bytes()).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"--require-hashes\napp==1.0 --hash=sha256:{app}\n")
    with pytest.raises(ContentError, match="no line lists a hash of plain"):
        ask(files=[path])
    path.write_text(f"{path.read_text()}plain==1.0 --hash=sha256:{plain}\n")
    assert len(ask(files=[path]).pins) == 2


def test_a1_the_hash_of_a_local_wheel_is_enforced(shelf, ask, tmp_path):
    wheel = shelf("plain", "1.0")
    path = tmp_path / "requirements.txt"
    path.write_text(f"{wheel} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ContentError) as caught:
        ask(files=[path])
    assert caught.value.got == f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


# Indexes


class WithHead(Handler):
    def do_HEAD(self):
        data = self.server.state.files.get(self.path.partition("?")[0])
        self.begin(404 if data is None else 200, {}, len(data or b""))


@pytest.fixture
def site(shelf):
    """An index of what is on the shelf, at ``/simple``; put wheels there, then call ``open``."""

    def page(wheels, hashes):
        links = []
        for wheel in wheels:
            fragment = f"#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}" if hashes else ""
            links.append(f'<a href="/files/{wheel.name}{fragment}">{wheel.name}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()

    def opened(*, hashes=True):
        wheels = sorted(shelf.directory.iterdir())
        for name in {wheel.name.partition("-")[0] for wheel in wheels}:
            listed = page([wheel for wheel in wheels if wheel.name.startswith(f"{name}-")], hashes)
            site.add(f"/simple/{name}/", listed, *[status(200, {"Content-Type": "text/html"}, listed)] * 9)
        for wheel in wheels:
            site.add(f"/files/{wheel.name}", wheel.read_bytes())
        return site

    site = Site()
    site.open = opened
    with serving(site, handler=WithHead):
        yield site


def index_of(site, **options):
    return IndexOptions(index_url=f"{site.base}/simple", retries=0, **options)


@pytest.mark.parametrize("hashes", [True, False])
def test_wheels_of_an_index_are_pinned_by_url_and_hash_whether_it_lists_hashes_or_not(shelf, ask, site, hashes):
    wheel = shelf("plain", "1.0")
    (pin,) = ask("plain", indexes=index_of(site.open(hashes=hashes))).pins
    assert pin.url == f"{site.base}/files/{wheel.name}"
    assert pin.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_of_several_indexes_the_best_version_of_all_is_chosen(shelf, ask, site, tmp_path):
    shelf("plain", "1.0")
    more = make_wheel(tmp_path / "more", "plain", "2.0")
    indexes = index_of(site.open(), find_links=(str(more.parent),))
    assert chosen(ask("plain", indexes=indexes)) == [more.name]
    site.add(f"/files/{more.name}", more.read_bytes())
    listed = f'<!DOCTYPE html><html><body><a href="/files/{more.name}">{more.name}</a></body></html>'.encode()
    site.add("/newer/plain/", listed, *[status(200, {"Content-Type": "text/html"}, listed)] * 9)
    for first, second in (("simple", "newer"), ("newer", "simple"), ("none", "newer")):
        indexes = IndexOptions(index_url=f"{site.base}/{first}", extra_index_urls=(f"{site.base}/{second}",), retries=0)
        assert chosen(ask("plain", indexes=indexes)) == [more.name]


def test_a_login_is_used_and_never_shown_or_locked(shelf, ask, site):
    wheel = shelf("plain", "1.0")
    site.open().login = "user:s3cr3t"
    base = site.base.replace("://", "://user:s3cr3t@")
    assert chosen(ask("plain", indexes=IndexOptions(index_url=f"{base}/simple"))) == [wheel.name]
    lock = ask(f"plain @ {base}/files/{wheel.name}", indexes=IndexOptions(no_index=True))
    assert "s3cr3t" not in lock.to_toml()
    assert f"{site.base}/files/{wheel.name}" in lock.to_toml()


@pytest.mark.parametrize(
    ("code", "words"),
    [(500, "500"), (404, "plain was not found"), (401, "plain was not found")],
)
def test_an_index_that_fails_is_named_without_its_login(shelf, ask, site, code, words):
    shelf("plain", "1.0")
    site.open()
    site.faults["/simple/plain/"] = [status(code)] * 9
    url = site.base.replace("://", "://user:s3cr3t@") + "/simple?token=s3cr3t"
    with pytest.raises(BundleError, match=words) as caught:
        ask("plain", indexes=IndexOptions(index_url=url, retries=0))
    assert site.base in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in caught.value.fault


def test_a_page_of_another_kind_is_no_index(shelf, ask, site):
    shelf("plain", "1.0")
    site.open()
    site.faults["/simple/plain/"] = [status(200, {"Content-Type": "text/plain"}, b"hello")] * 9
    with pytest.raises(BundleError, match="Expected JSON or HTML"):
        ask("plain", indexes=index_of(site))


def test_find_links_that_cannot_be_reached_are_named_without_their_login(ask):
    place = "http://user:s3cr3t@127.0.0.1:9/wheels?sig=s3cr3t"
    with pytest.raises(BundleError, match=r"127\.0\.0\.1:9/wheels") as caught:
        ask("plain", indexes=IndexOptions(no_index=True, find_links=(place,), retries=0, timeout=2))
    assert "s3cr3t" not in str(caught.value)


def test_a_find_links_directory_that_is_not_there_is_named(ask, tmp_path):
    with pytest.raises(BundleError, match="nowhere"):
        ask("plain", indexes=IndexOptions(no_index=True, find_links=(str(tmp_path / "nowhere"),)))


def test_offline_only_what_is_cached_is_found(shelf, ask, site):
    shelf("plain", "1.0")
    indexes = index_of(site.open())
    with pytest.raises(BundleError, match="offline") as caught:
        ask("plain", indexes=indexes, offline=True)
    assert "--offline" in caught.value.hint
    ask("plain", indexes=indexes)
    asked = len(site.requests)
    assert chosen(ask("plain", indexes=indexes, offline=True)) == ["plain-1.0-py3-none-any.whl"]
    assert len(site.requests) == asked


# uv itself


def stand_in(tmp_path, monkeypatch, body):
    """Put a program of *body* in the place of uv."""
    program = tmp_path / "uv-stand-in"
    program.write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(program))


def test_credentials_are_not_on_the_command_line_that_others_can_read(ask, tmp_path, monkeypatch):
    body = f"json.dump([sys.argv, dict(os.environ)], open({str(tmp_path / 'told')!r}, 'w')); sys.exit('stop')"
    stand_in(tmp_path, monkeypatch, body)
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2001-01-01")
    secret = "https://user:s3cr3t@example.test"
    indexes = IndexOptions(
        index_url=f"{secret}/simple",
        extra_index_urls=(f"{secret}/a", f"{secret}/b"),
        find_links=(f"{secret}/wheels", str(tmp_path)),
        proxy="http://user:s3cr3t@proxy.example.test:8080",
        cert=Path("/certificates/ca.pem"),
        timeout=0.5,
    )
    with pytest.raises(BundleError):
        ask(f"plain @ {secret}/plain-1.0-py3-none-any.whl", indexes=indexes)
    arguments, environment = json.loads((tmp_path / "told").read_text())
    assert "s3cr3t" not in " ".join(arguments)
    assert environment["UV_DEFAULT_INDEX"] == f"{secret}/simple"
    assert environment["UV_INDEX"] == f"{secret}/a {secret}/b"
    assert environment["https_proxy"] == environment["ALL_PROXY"] == indexes.proxy
    assert environment["SSL_CERT_FILE"] == "/certificates/ca.pem"
    assert environment["UV_HTTP_TIMEOUT"] == "1"
    assert "UV_EXCLUDE_NEWER" not in environment


@pytest.mark.parametrize("body", ["os.kill(os.getpid(), 9)", "sys.exit(3)"])
def test_a_uv_that_dies_without_a_word_is_an_error(ask, tmp_path, monkeypatch, body):
    stand_in(tmp_path, monkeypatch, body)
    with pytest.raises(BundleError, match="ended with status"):
        ask("plain")


def test_a_missing_uv_is_an_error(ask, monkeypatch):
    def missing():
        raise FileNotFoundError("uv")

    monkeypatch.setattr(uv, "find_uv_bin", missing)
    with pytest.raises(BundleError, match="uv: cannot be run"):
        ask("plain")


# As older versions of uv print it.
DRAWN = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because app==1.0 depends on plain<2 and you require app==1.0, we can
      conclude that plain<2. And because you require plain>=2, we can conclude
      that your requirements are unsatisfiable.
"""


def test_the_explanation_of_an_older_uv_is_understood(ask, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f"sys.exit({DRAWN!r})")
    with pytest.raises(BundleError, match=r"cannot be resolved: Because app==1\.0 depends on plain<2") as caught:
        ask("app")
    assert not set("×╰─▶\n") & set(caught.value.fault)
    assert caught.value.hint is not None


# What is asked


def test_files_without_a_requirement_ask_for_nothing(ask, tmp_path):
    (tmp_path / "requirements.txt").write_text("# later\n\n--pre\n")
    with pytest.raises(UsageError, match="nothing was asked for"):
        ask(files=[tmp_path / "requirements.txt"])


def test_a_missing_constraints_file_is_named(ask, tmp_path):
    with pytest.raises(BundleError, match=r"none\.txt: cannot be read"):
        ask("plain", constraints=[tmp_path / "none.txt"])


def test_a_local_wheel_may_have_extras_and_a_marker(shelf, ask, tmp_path, monkeypatch):
    make_wheel(tmp_path, "mine", "1.0", requires=["plain ; extra == 'all'"])
    shelf("plain", "1.0")
    monkeypatch.chdir(tmp_path)
    lock = ask("./mine-1.0-py3-none-any.whl[all] ; python_version < '3.8'")
    assert [pin.name for pin in lock.pins] == ["mine", "plain"]
