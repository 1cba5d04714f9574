from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.baseline_factory import provided

from bundler.locks import Lock
from bundler.pins import Pin
from bundler.runtime.errors import BundleError, ContentError, UsageError
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


@pytest.mark.parametrize(
    ("wheels", "chosen"),
    [
        (["demo-1.0-9-py3-none-any.whl", "demo-1.0-10-py3-none-any.whl"], "demo-1.0-10-py3-none-any.whl"),
        (["demo-1.0-1-py3-none-any.whl", "demo-1.0-py3-none-any.whl"], "demo-1.0-1-py3-none-any.whl"),
        (["demo-1.0-1a-py3-none-any.whl", "demo-1.0-1b-py3-none-any.whl"], "demo-1.0-1b-py3-none-any.whl"),
        # Tags come first.
        (["demo-1.0-2-py3-none-any.whl", "demo-1.0-1-cp37-none-any.whl"], "demo-1.0-1-cp37-none-any.whl"),
    ],
)
def test_of_wheels_that_fit_equally_the_highest_build_number_is_chosen(wheels, chosen):
    for listed in (wheels, wheels[::-1]):
        (pin,) = read(document(package(wheels=listed))).pins
        assert pin.filename == chosen


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


ARCHIVE = 'archive = {{ url = "https://example.test/{}", hashes = {{ sha256 = "{}" }} }}'


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (document("packages = []", head="tool.bundler = 1"), ContentError, r"no table.*\[B15\]"),
        (document("packages = []", head="tool.bundler.target = 1"), ContentError, "is not a target"),
        (document("a = " + "[" * 100_000), ContentError, "nested too deeply|is not TOML"),
        (document("packages = []", head="tool.x = " + "[" * 40 + "]" * 40), ContentError, "nested too deeply"),
        (
            document(package(wheels=WHEEL, more=f"marker = \"{'(' * 40}os_name == 'x'{')' * 40}\"")),
            ContentError,
            "nested too deeply",
        ),
        (document(package(wheels=WHEEL).replace("hashes", "size = -1, hashes")), ContentError, "negative"),
        (document(package(wheels=WHEEL, more='requires-python = ">=3.11"')), UsageError, "3.11"),
        (document(package(more=ARCHIVE.format("demo-1.0.tar.gz", HASH))), UsageError, "is no wheel"),
        (document(package(more=ARCHIVE.format("demo-1.0-cp312-cp312-win_amd64.whl", HASH))), UsageError, r"\[A2\]"),
        (document(package(more=ARCHIVE.format("demo-2.0-py3-none-any.whl", HASH))), ContentError, r"\[A2\]"),
        (document(package(more=ARCHIVE.format("demo-1.0-1%2F..-py3-none-any.whl", HASH))), UsageError, "is no wheel"),
        (
            document(package(more='vcs = { type = "git", url = "https://example.test/demo", commit-id = "abc" }')),
            UsageError,
            "demo: is locked as source",
        ),
    ],
)
def test_what_is_no_wheel_with_a_hash_for_this_target_is_no_pin(text, error, words):
    with pytest.raises(error, match=words):
        read(text)


def test_a_project_may_be_locked_twice_if_markers_tell_which_one_is_meant():
    marked = "marker = \"python_version {} '3.8'\""
    text = document(
        package(wheels=WHEEL, more=marked.format("<"))
        + package(version="2.0", wheels=["demo-2.0-py3-none-any.whl"], more=marked.format(">="))
    )
    assert [str(pin.version) for pin in read(text).pins] == ["1.0"]
    assert [str(pin.version) for pin in read(text, PY312).pins] == ["2.0"]


def test_a_lock_knows_its_target():
    assert read(Lock(target=PY312, pins=()).to_toml(), None).target == PY312
    with pytest.raises(UsageError, match="which target") as caught:
        read(document(package(wheels=WHEEL)), None)
    assert "--target" in caught.value.hint


def test_what_is_left_to_the_image_is_written_sorted_and_read_again():
    lock = Lock(target=PY37, pins=(), provided=(provided("b 2.0"), provided("a 1.0+cpu")))
    for text in (lock.to_toml(), lock.to_embedded_toml()):
        assert list(map(str, read(text).provided)) == ["a 1.0+cpu", "b 2.0"]
    assert "provided" not in Lock(target=PY37, pins=()).to_toml()


def test_what_was_dropped_is_written_and_read_again_and_may_be_dropped_again():
    url, sha256 = "https://example.test/x.whl", "0" * 64
    pins = tuple(
        Pin(name=name, version=Version("1.0"), filename=f"{name}-1.0-py3-none-any.whl", sha256=sha256, url=url)
        for name in ("a-b", "c", "d")
    )
    lock = Lock(target=PY37, pins=pins).without(["D", "A_b"])
    assert [pin.name for pin in lock.pins] == ["c"]
    for text in (lock.to_toml(), lock.to_embedded_toml()):
        again = read(text)
        assert list(map(str, again.dropped)) == ["a-b 1.0", "d 1.0"]
        assert again.without(["d"]) == again
    assert "dropped" not in Lock(target=PY37, pins=pins).without([]).to_toml()


def test_what_is_not_in_the_lock_cannot_be_dropped():
    with pytest.raises(UsageError, match="--drop: names what is not in the lock; got a, b"):
        Lock(target=PY37, pins=()).without(["b", "A"])


@pytest.mark.parametrize(
    "listed", ["3", "'a'", "[3]", "[{name = 'a'}]", "[{name = 'a', version = 'x y'}]", "[{name = '-', version = '1'}]"]
)
def test_a_wrong_list_of_what_is_left_to_the_image_is_refused(listed):
    for key in ("provided", "dropped"):
        with pytest.raises(ContentError, match=rf"{key}: is no list of names and versions \[B15\]"):
            read(document(package(wheels=WHEEL) + f"[tool.bundler]\n{key} = {listed}\n"))


def test_a_direct_wheel_of_another_tools_lock_is_a_pin():
    text = document(package(more=ARCHIVE.format(WHEEL[0], HASH)))
    (pin,) = read(text).pins
    assert (pin.filename, pin.url) == (WHEEL[0], f"https://example.test/{WHEEL[0]}")


@given(st.permutations(["a", "b", "c"]))
def test_the_order_of_the_pins_does_not_change_the_bytes(names):
    pins = [
        Pin(
            name=canonicalize_name(name),
            version=Version("1.0"),
            filename=f"{name}-1.0-py3-none-any.whl",
            sha256=HASH,
            url=f"https://example.test/{name}-1.0-py3-none-any.whl",
        )
        for name in names
    ]
    expected = Lock(target=PY37, pins=tuple(sorted(pins, key=lambda pin: pin.name))).to_toml()
    assert Lock(target=PY37, pins=tuple(pins)).to_toml() == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "demo", "1.0", HASH, WHEEL[0], ">=3.7"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["url", "hashes", "a"]), inner),
    max_leaves=4,
)
KEYS = ["name", "version", "marker", "requires-python", "wheels", "sdist", "archive", "directory", "vcs", "tool"]


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.dictionaries(st.sampled_from(["tool", "extras"]), VALUES))
def test_any_document_is_a_lock_or_an_error_of_ours(fields, head):
    def without_none(value):
        if isinstance(value, dict):
            return {key: without_none(item) for key, item in value.items() if item is not None}
        return [without_none(item) for item in value if item is not None] if isinstance(value, list) else value

    named = {"name": "demo", **fields}
    raw = {"lock-version": "1.0", "created-by": "x", "packages": [named], **head}
    try:
        read(tomli_w.dumps(without_none(raw)))
    except BundleError as error:
        assert "pylock.toml" in error.where  # noqa: PT017 - either way out is right


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
