from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.locks import Lock, Pin
from bundler.runtime.errors import ContentError, UsageError
from bundler.targets import PRESETS

PY37 = PRESETS["azureml-py37"]
PY312 = PRESETS["azureml-py312"]
HASH = "ab" * 32


def document(packages, *, head=""):
    return f'lock-version = "1.0"\ncreated-by = "someone"\n{head}\n{packages}'


def package(name="demo", version="1.0", wheels=(), more=""):
    rows = ", ".join(
        f'{{ url = "https://example.test/{filename}", hashes = {{ sha256 = "{HASH}" }} }}' for filename in wheels
    )
    listed = f"wheels = [{rows}]\n" if wheels else ""
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{more}\n{listed}'


def read(text, target=PY37, where=Path("/locks/pylock.toml")):
    return Lock.from_toml(text, where, target)


PINS = st.builds(
    lambda name, version, sha256, size: Pin(
        name=canonicalize_name(name),
        version=Version(version),
        filename=f"{name}-{version}-py3-none-any.whl",
        sha256=sha256,
        size=size,
        url=f"https://example.test/{name}.whl/{name}-{version}-py3-none-any.whl",
    ),
    st.from_regex("[a-z][a-z0-9]{0,8}", fullmatch=True),
    st.sampled_from(["1.0", "2.3.4", "0.1a1"]),
    st.from_regex("[0-9a-f]{64}", fullmatch=True),
    st.none() | st.integers(0, 10**12),
)


@given(st.lists(PINS, unique_by=lambda pin: pin.name, max_size=5))
def test_a_lock_reads_back_as_itself(pins):
    lock = Lock(target=PY37, pins=tuple(sorted(pins, key=lambda pin: pin.name)))
    assert read(lock.to_toml()) == lock
    assert read(lock.to_toml()).to_toml() == lock.to_toml()


def test_a_universal_lock_is_narrowed_to_the_target():
    text = document(
        package("zipp", wheels=["zipp-1.0-py3-none-any.whl"], more="marker = \"python_version < '3.8'\"")
        + package(
            "numpy",
            wheels=[
                "numpy-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
                "numpy-1.0-cp37-cp37m-manylinux2010_x86_64.whl",
                "numpy-1.0-cp37-cp37m-manylinux2014_x86_64.whl",
                "numpy-1.0-cp37-cp37m-win_amd64.whl",
            ],
        )
    )
    assert [pin.filename for pin in read(text).pins] == [
        "numpy-1.0-cp37-cp37m-manylinux2014_x86_64.whl",
        "zipp-1.0-py3-none-any.whl",
    ]
    assert [pin.filename for pin in read(text, PY312).pins] == ["numpy-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"]


def test_a_lock_made_for_another_target_is_refused():
    text = Lock(target=PY37, pins=()).to_toml()
    with pytest.raises(UsageError, match="another target") as caught:
        read(text, PY312)
    assert "3.7.16" in str(caught.value)
    assert "3.12.1" in str(caught.value)


SDIST = f"url = 'https://example.test/demo-1.0.tar.gz'\nhashes = {{ sha256 = '{HASH}' }}"
WHEEL = ["demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("lock-version = \n", ContentError, "line 1"),
        ("", ContentError, "lock-version"),
        (document(package(wheels=WHEEL)).replace('"1.0"', '"9.0"', 1), ContentError, "9.0"),
        (document(package(wheels=WHEEL), head='requires-python = ">=3.11"'), UsageError, "3.11"),
        (document(package(wheels=["demo-1.0-cp312-cp312-win_amd64.whl"])), UsageError, "demo"),
        (document(package(wheels=WHEEL).replace("sha256", "md5")), ContentError, "no valid sha256"),
        (document(package(wheels=WHEEL).replace(HASH, HASH.upper())), ContentError, "no valid sha256"),
        (document(package(wheels=WHEEL).replace(HASH, HASH[:-1])), ContentError, "no valid sha256"),
        (document(package(wheels=WHEEL) * 2), ContentError, r"locked more than once.*\[A1\]"),
        (document(package(wheels=["other-1.0-py3-none-any.whl"])), ContentError, "not consistent"),
        (
            document(package(more=f"[packages.sdist]\nname = 'demo-1.0.tar.gz'\n{SDIST}")),
            UsageError,
            "demo",
        ),
        (document(package(more='directory = { path = "demo" }')), UsageError, "locked as source"),
        (document(package(wheels=WHEEL, more="marker = \"platform_release > '5'\"")), UsageError, "platform_release"),
        (document(package(wheels=WHEEL, more="marker = \"platform_version != ''\"")), UsageError, "platform_version"),
    ],
)
def test_a_lock_that_cannot_be_used_says_why(text, error, words):
    with pytest.raises(error, match=words):
        read(text)


def test_local_wheels_are_relative_to_the_lock(tmp_path):
    pin = Pin(
        name=canonicalize_name("demo"),
        version=Version("1.0"),
        filename=WHEEL[0],
        sha256=HASH,
        path=tmp_path / "wheels" / WHEEL[0],
    )
    lock = Lock(target=PY37, pins=(pin,))
    text = lock.to_toml(relative_to=tmp_path / "locks")
    assert f'path = "../wheels/{WHEEL[0]}"' in text
    assert read(text, where=tmp_path / "locks" / "pylock.toml") == lock


def test_the_copy_in_the_bundle_names_no_place_of_this_host_and_no_credentials(tmp_path):
    def pin(name, **where):
        filename = f"{name}-1.0-py3-none-any.whl"
        return Pin(name=canonicalize_name(name), version=Version("1.0"), filename=filename, sha256=HASH, **where)

    local = pin("local", path=tmp_path / "local-1.0-py3-none-any.whl")
    remote = pin("remote", url="https://user:secret@example.test/remote-1.0-py3-none-any.whl?sig=secret#x")
    text = Lock(target=PY37, pins=(local, remote)).to_embedded_toml()
    assert str(tmp_path) not in text
    assert "secret" not in text
    assert "secret" not in Lock(target=PY37, pins=(remote,)).to_toml().replace("sig=secret", "")
    assert [each.filename for each in read(text).pins] == [local.filename, remote.filename]
