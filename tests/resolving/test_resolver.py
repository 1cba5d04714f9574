"""Resolution with the real uv, from wheels in a directory."""

from __future__ import annotations

import hashlib

import pytest
from support.wheel_factory import make_wheel

from bundler.resolving.resolver_errors import NoWheelError
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.targets import PRESETS, find_target

PY37 = PRESETS["azureml-py37"]
PY312 = PRESETS["azureml-py312"]


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


def test_nothing_asked_for_is_a_usage_error(ask):
    with pytest.raises(UsageError):
        ask()


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
    with pytest.raises(ContentError, match="no line has one of plain"):
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
