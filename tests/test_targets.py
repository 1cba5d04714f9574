from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker, default_environment
from support.interpreters import VERSIONS, python, target_of

from bundler.runtime.errors import TargetError, UsageError
from bundler.runtime.targets import Target, check
from bundler.targets import PRESETS, compatibility_tags, find_target, marker_environment, needed_libc

PY37 = PRESETS["azureml-py37"]

# What pip of the interpreter itself says; every pip has packaging inside.
ASK_PIP = """
import json
try:
    from pip._vendor.packaging import markers, tags
    found = [str(tag) for tag in tags.sys_tags()]
except ImportError:
    from pip._vendor.packaging import markers
    from pip._internal.utils.compatibility_tags import get_supported
    found = [str(tag) for tag in get_supported()]
print(json.dumps([found, markers.default_environment()]))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_tags_and_markers_are_those_of_the_real_interpreter(version):
    answer = subprocess.run(
        [python(version), "-W", "ignore", "-c", ASK_PIP], capture_output=True, text=True, check=True
    )
    tags, markers = json.loads(answer.stdout)
    target = target_of(version)
    ours = [str(tag) for tag in compatibility_tags(target)]
    native = [tag for tag in tags if not tag.endswith("-any")]
    # Where "any" stands among equals, and whether py30 counts, differs between versions of packaging.
    assert [tag for tag in ours if not tag.endswith("-any")] == native
    assert set(tags) <= set(ours)
    unknown = ("platform_release", "platform_version")
    expected = {key: value for key, value in markers.items() if key not in unknown}
    assert {key: value for key, value in marker_environment(target).items() if key not in unknown} == expected


def test_every_marker_variable_is_given():
    assert set(marker_environment(PY37)) == set(default_environment())


def test_python_37_has_its_old_abi_and_patch_versions_count():
    tags = {str(tag) for tag in compatibility_tags(PY37)}
    assert "cp37-cp37m-manylinux_2_27_x86_64" in tags
    assert "cp37-cp37m-manylinux1_x86_64" in tags
    assert "cp36-abi3-manylinux2014_x86_64" in tags
    assert "cp37-cp37m-manylinux_2_28_x86_64" not in tags
    assert Marker("python_full_version >= '3.7.1'").evaluate(marker_environment(PY37))


def test_a_free_threaded_python_takes_no_stable_abi():
    tags = {str(tag) for tag in compatibility_tags(find_target(None, "3.13.1t", None))}
    assert "cp313-cp313t-manylinux_2_17_x86_64" in tags
    assert not any("abi3-" in tag for tag in tags)


@pytest.mark.parametrize(
    ("python_version", "platform", "expected"),
    [
        ("3.9.2", None, Target("cpython", "3.9.2", "cp39", "x86_64", "glibc", "2.27")),
        (None, "manylinux_2_28_aarch64", PY37._replace(arch="aarch64", libc_version="2.28")),
        (None, "manylinux2014_x86_64", PY37._replace(libc_version="2.17")),
        ("3.12.0", "musllinux_1_2_x86_64", Target("cpython", "3.12.0", "cp312", "x86_64", "musl", "1.2")),
        ("3.14.0t", None, Target("cpython", "3.14.0", "cp314t", "x86_64", "glibc", "2.27")),
    ],
)
def test_python_and_platform_change_the_default_target(python_version, platform, expected):
    assert find_target(None, python_version, platform) == expected


@pytest.mark.parametrize(
    ("name", "python_version", "platform", "words"),
    [
        ("azureml-py36", None, None, "azureml-py37"),
        (None, "3.7", None, "complete version"),
        (None, "3.7.16.1", None, "complete version"),
        (None, "3.6.15", None, "unsupported Python"),
        (None, "3.15.0", None, "unsupported Python"),
        (None, "2.7.18", None, "complete version"),
        (None, None, "win_amd64", "--platform"),
        (None, None, "macosx_11_0_arm64", "--platform"),
        (None, None, "manylinux_2_17_i686", "--platform"),
        (None, None, "manylinux_1_17_x86_64", "--platform"),
        (None, None, "linux_x86_64", "--platform"),
        (None, None, "manylinux_2_4_x86_64", "--platform"),
        (None, None, "manylinux_2_16_aarch64", "--platform"),
        (None, None, "manylinux1_aarch64", "--platform"),
        (None, None, "manylinux_2_028_x86_64", "--platform"),
        (None, None, "manylinux_2_99999_x86_64", "--platform"),
        (None, None, "musllinux_2_1_x86_64", "--platform"),
        (None, "3.07.1", None, "complete version"),
        (None, "3.7.16t", None, "unsupported ABI"),
        (None, "3.12.1t", None, "unsupported ABI"),
        (None, "٣.٧.١", None, "complete version"),  # noqa: RUF001 - digits that int() takes
    ],
)
def test_a_target_that_is_not_understood_is_a_usage_error(name, python_version, platform, words):
    with pytest.raises(UsageError, match=words) as caught:
        find_target(name, python_version, platform)
    assert caught.value.exit_code == 2


def test_a_target_is_read_from_a_file(tmp_path):
    path = tmp_path / "target.json"
    path.write_text(json.dumps(PY37.to_json()))
    assert find_target(str(path), None, None) == PY37
    path.write_text(json.dumps({**PY37.to_json(), "python": "3.7"}))
    with pytest.raises(UsageError, match="not a complete version"):
        find_target(str(path), None, None)
    path.write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        find_target(str(path), None, None)
    path.write_text(json.dumps({**PY37.to_json(), "abi": "cp38"}))
    with pytest.raises(UsageError, match="unsupported ABI"):
        find_target(str(path), None, None)


@pytest.mark.parametrize(
    ("filenames", "expected"),
    [
        ([], "2.5"),
        (["six-1.0-py3-none-any.whl"], "2.5"),
        (["a-1-cp37-cp37m-manylinux_2_12_x86_64.manylinux2010_x86_64.whl"], "2.12"),
        (["a-1-cp37-cp37m-manylinux_2_12_x86_64.whl", "b-1-py3-none-manylinux2014_x86_64.whl"], "2.17"),
        (["a-1-cp37-cp37m-manylinux_2_24_x86_64.manylinux_2_17_x86_64.whl"], "2.17"),
        (["a-1-cp37-cp37m-linux_x86_64.whl"], "2.27"),
        (["a-1-py3-none-macosx_10_9_x86_64.manylinux1_x86_64.win_amd64.whl"], "2.5"),
        (["a-1-py3-none-manylinux2014_aarch64.manylinux_2_24_x86_64.whl"], "2.24"),
    ],
)
def test_the_libc_needed_is_the_oldest_that_all_wheels_accept(filenames, expected):
    assert needed_libc(PY37, filenames) == expected


@pytest.mark.parametrize(
    "here",
    [
        PY37._replace(implementation="pypy"),
        PY37._replace(python="3.8.0", abi="cp38"),
        PY37._replace(abi="cp37dm"),
        PY37._replace(arch="aarch64"),
        PY37._replace(libc="musl", libc_version="0.0"),
        PY37._replace(libc_version="2.17"),
    ],
)
def test_c22_another_interpreter_or_system_is_refused(here):
    with pytest.raises(TargetError) as caught:
        check(PY37, here, where="deps.pyz")
    assert caught.value.exit_code == 5
    assert caught.value.got is not None
    assert caught.value.want is not None


@given(st.integers(0, 40), st.integers(0, 99))
def test_another_patch_version_and_a_newer_libc_will_do(patch, newer):
    check(PY37, PY37._replace(python=f"3.7.{patch}", libc_version=f"2.{27 + newer}"), where="deps.pyz")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("implementation", "pypy", "unsupported implementation"),
        ("python", "2.7.18", "unsupported Python"),
        ("python", "3.7.016", "unsupported Python"),
        ("python", "3.15.0", "unsupported Python"),
        ("arch", "ppc64le", "unsupported architecture"),
        ("libc", "bionic", "unsupported libc"),
        ("libc_version", "2.4", "unsupported glibc version"),
        ("libc_version", "3.1", "unsupported glibc version"),
        ("libc_version", "2.27.1", "unsupported glibc version"),
        ("libc_version", "2.100000", "unsupported glibc version"),
    ],
)
def test_a_file_with_a_target_that_cannot_be_built_for_is_a_usage_error(tmp_path, field, value, words):
    path = tmp_path / "target.json"
    path.write_text(json.dumps({**PY37.to_json(), field: value}))
    with pytest.raises(UsageError, match=words):
        find_target(str(path), None, None)


TARGETS = st.builds(
    find_target,
    st.just(None),
    st.sampled_from(["3.7.16", "3.8.1", "3.12.0", "3.13.1", "3.13.1t", "3.14.0t"]),
    st.sampled_from(["manylinux{}_x86_64", "manylinux{}_aarch64"]).flatmap(
        lambda form: st.integers(17, 45).map(lambda minor: form.format(f"_2_{minor}"))
    )
    | st.integers(0, 4).map("musllinux_1_{}_x86_64".format),
)


@given(TARGETS)
def test_a_target_reads_back_and_its_tags_are_its_own(target):
    assert Target.from_json(target.to_json()) == target
    tags = compatibility_tags(target)
    assert len(set(tags)) == len(tags)
    assert {tag.platform.endswith(f"_{target.arch}") for tag in tags if tag.platform != "any"} == {True}
    other = "musllinux" if target.libc == "glibc" else "manylinux"
    assert not any(tag.platform.startswith(other) for tag in tags)
    assert any(tag.abi == "abi3" for tag in tags) == (not target.abi.endswith("t"))


@given(TARGETS, st.data())
def test_a_target_with_just_the_libc_needed_still_takes_all_the_wheels(target, data):
    tags = compatibility_tags(target)
    chosen = data.draw(st.lists(st.sampled_from(tags), max_size=4))
    filenames = [f"demo-1.0-{tag}.whl" for tag in chosen]
    needed = target._replace(libc_version=needed_libc(target, filenames))
    assert set(chosen) <= set(compatibility_tags(needed))


@pytest.mark.parametrize(
    ("platform", "tag"),
    [("musllinux_1_2_x86_64", "musllinux_1_0_x86_64"), ("manylinux_2_28_aarch64", "manylinux2014_aarch64")],
)
def test_the_oldest_libc_of_every_platform_is_accepted(platform, tag):
    target = find_target(None, None, platform)
    names = [each.platform for each in compatibility_tags(target) if each.abi == target.abi]
    assert names[-2:] == [tag, f"linux_{target.arch}"]
