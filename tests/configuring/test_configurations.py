"""What a configuration file says: its values, its bundles, and what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.cli.option_keys import REFUSED, keys_of_commands
from bundler.configuring.configurations import read
from bundler.runtime.errors import UsageError

PASSWORD = "hunter2"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return what a file with a text says; its directory is the current one, or, with *above*, the one above it."""
    monkeypatch.chdir(tmp_path)

    def read_(text, *, above=False, name="bundle.toml"):
        Path(name).write_text(text)
        if above:
            Path("below").mkdir()
            monkeypatch.chdir(tmp_path / "below")
        return read(Path("..", name) if above else Path(name), keys_of_commands(), REFUSED)

    return read_


def values(configuration, bundle=None):
    return {name: setting.value for name, setting in configuration.settings(bundle).items()}


ALL = """
    requirements = ["numpy", "./app", "wheels/x-1-py3-none-any.whl[extra]", "-e ./lib", "y-1.tar.gz",
                    "z @ https://host/z-1-py3-none-any.whl", "w @ file:///w", "https://host/v-1.zip", "/abs/u", "t"]
    requirement = "requirements.txt"
    constraint = ["constraints.txt", "/abs/constraints.txt"]
    target = "targets/image.json"
    index-url = "https://me:pw@mirror/simple"
    find-links = ["shelf", "https://host/shelf"]
    baseline = "freeze.txt"
    output = "out/deps.pyz"
    layer-cache = "layers"
    level = 3
    offline = true
    azureml = false
    build = "never"
    """


def test_each_value_is_what_its_option_would_have_made_of_it(written):
    assert values(written(ALL)) == {
        "requirements": [
            "numpy",
            "./app",
            "wheels/x-1-py3-none-any.whl[extra]",
            "-e ./lib",
            "y-1.tar.gz",
            "z @ https://host/z-1-py3-none-any.whl",
            "w @ file:///w",
            "https://host/v-1.zip",
            "/abs/u",
            "t",
        ],
        "requirement": [Path("requirements.txt")],
        "constraint": [Path("constraints.txt"), Path("/abs/constraints.txt")],
        "target": "targets/image.json",
        "index-url": "https://me:pw@mirror/simple",
        "find-links": ["shelf", "https://host/shelf"],
        "baseline": "freeze.txt",
        "output": Path("out/deps.pyz"),
        "layer-cache": "layers",
        "level": 3,
        "offline": True,
        "azureml": False,
        "build": ["never"],
    }


def test_paths_are_relative_to_the_file(written):
    found = values(written(ALL, above=True))
    assert found["requirements"] == [
        "numpy",
        "../app",
        "../wheels/x-1-py3-none-any.whl[extra]",
        "-e ../lib",
        "../y-1.tar.gz",
        "z @ https://host/z-1-py3-none-any.whl",
        "w @ file:///w",
        "https://host/v-1.zip",
        "/abs/u",
        "t",
    ]
    assert found["requirement"] == [Path("../requirements.txt")]
    assert found["constraint"] == [Path("../constraints.txt"), Path("/abs/constraints.txt")]
    assert (found["target"], found["baseline"]) == ("../targets/image.json", "../freeze.txt")
    assert found["find-links"] == ["../shelf", "https://host/shelf"]
    assert (found["output"], found["layer-cache"]) == (Path("../out/deps.pyz"), "../layers")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('target = "azureml-py37"', "azureml-py37"),
        ('target = "image.json"', "../image.json"),
        ('layer-cache = "oci://registry/team/layers"', "oci://registry/team/layers"),
        ('layer-cache = "oci-archive:layers.tar"', "oci-archive:../layers.tar"),
        ('baseline = "azureml-py38"', "azureml-py38"),
        ('find-links = "file:///shelf"', ["file:///shelf"]),
        ('score-dir = "~/score"', Path("~/score").expanduser()),
        ('score-dir = "~nobody-of-this-name/score"', Path("../~nobody-of-this-name/score")),
        ('requirements = "./~nobody-of-this-name/app"', ["../~nobody-of-this-name/app"]),
    ],
)
def test_a_name_and_a_url_are_no_paths(written, line, value):
    assert list(values(written(line, above=True)).values()) == [value]


def test_a_bundle_has_what_is_above_it_except_for_what_it_says_itself(written):
    configuration = written("""
        target = "azureml-py38"
        requirement = ["base.txt"]
        level = 3
        [bundles.train]
        requirements = ["torch"]
        level = 9
        exclude = []
        [bundles."serve it"]
        requirement = ["serve.txt"]
        """)
    assert values(configuration) == {"target": "azureml-py38", "requirement": [Path("base.txt")], "level": 3}
    assert values(configuration, "train") == {
        **values(configuration),
        "requirements": ["torch"],
        "level": 9,
        "exclude": [],
    }
    assert values(configuration, "serve it")["requirement"] == [Path("serve.txt")]
    assert configuration.settings("train")["level"].where == "bundle.toml:bundles.train.level"
    assert configuration.settings("train")["target"].where == "bundle.toml:target"


def test_a_bundle_with_requirements_of_its_own_has_not_the_lock_of_all(written):
    configuration = written("""
        requirement = ["base.txt"]
        lock = "pylock.toml"
        [bundles.train]
        requirements = ["torch"]
        [bundles.serve]
        level = 3
        [bundles.own]
        lock = "pylock.own.toml"
        """)
    assert "lock" not in values(configuration, "train")
    assert values(configuration, "serve")["lock"] == Path("pylock.toml")
    assert values(configuration, "own") == {"requirement": [Path("base.txt")], "lock": Path("pylock.own.toml")}


def test_a_bundle_with_a_target_of_its_own_has_not_the_python_of_all(written):
    configuration = written("""
        target = "azureml-py37"
        python = "3.7.9"
        platform = "manylinux_2_28_aarch64"
        [bundles.new]
        target = "azureml-py310"
        [bundles.newer]
        python = "3.7.16"
        """)
    assert values(configuration, "new") == {"target": "azureml-py310"}
    assert values(configuration, "newer")["python"] == "3.7.16"
    assert values(configuration, "newer")["target"] == "azureml-py37"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('requirment = ["x"]', "bundle.toml:requirment: is no key\nhint: did you mean requirement?"),
        ('extra_index_url = ["x"]', "bundle.toml:extra_index_url: is no key\nhint: did you mean extra-index-url?"),
        ("bundels = {}", "bundle.toml:bundels: is no key\nhint: did you mean bundles?"),
        ("wholly = 1", "bundle.toml:wholly: is no key\nhint: the keys are the options of bundle create --help"),
        ("path = 'x'", "bundle.toml:path: is no key"),
        ("config = 'x'", "bundle.toml:config: is no key"),
        ("[bundles.a]\nbundles = {}", "bundle.toml:bundles.a.bundles: is no key"),
        ("[bundles.a]\nlevle = 1", "bundle.toml:bundles.a.levle: is no key\nhint: did you mean level?"),
        ("bundles = 3", "bundle.toml:bundles: is no table; want [bundles.NAME]"),
        ("bundles.a = 3", "bundle.toml:bundles.a: is no table"),
        ("[[bundles.a]]", "bundle.toml:bundles.a: is no table"),
        ("level = '3'", "bundle.toml:level: is of the wrong kind; got 3, want a number"),
        ("level = true", "bundle.toml:level: is of the wrong kind; got true, want a number"),
        ("level = 99", "bundle.toml:level: is nothing that it can be; got the number 99, want zstd level, 1 to 19"),
        ("level = 1.5", "bundle.toml:level: is nothing that it can be; got the number 1.5, want zstd level, 1 to 19"),
        ("level = 0x" + "f" * 9000, "bundle.toml:level: is nothing that it can be; got a long number"),
        ("python = 3.7", "bundle.toml:python: is of the wrong kind; got the number 3.7, want text\nhint: put it in q"),
        ("python = 2020-01-01", "bundle.toml:python: is of the wrong kind; got the date 2020-01-01, want text"),
        ("python = ['3.7']", "bundle.toml:python: is of the wrong kind; got a list, want text"),
        ("offline = 1", "bundle.toml:offline: is of the wrong kind; got the number 1, want true or false"),
        ("requirement = 3", "bundle.toml:requirement: is of the wrong kind; got the number 3, want a list of texts"),
        ("requirement = [3]", "bundle.toml:requirement: is of the wrong kind; got the number 3, want a list of texts"),
        ("requirement = {a = 1}", "bundle.toml:requirement: is of the wrong kind; got a table, want a list of texts"),
        ("format = 'zip'", "bundle.toml:format: is none of its values; got zip, want pyz, packed, tree, wheelhouse"),
        ("drop = ['a\\u0000b'", "bundle.toml: is not TOML"),
        ('drop = ["a\\u0000b"]', "bundle.toml:drop: has a line end or another control character; got 'a\\x00b'"),
        ('requirements = ["a\\n-i x"]', "bundle.toml:requirements: has a line end or another control character"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(written, text, fault):
    with pytest.raises(UsageError) as error:
        written(text)
    assert str(error.value).startswith(fault)
    assert error.value.exit_code == 2


def test_in_a_project_file_keys_have_their_whole_name(written):
    with pytest.raises(UsageError, match=r"^pyproject.toml:tool.bundle.bundles.a.levle: is no key"):
        written("[tool.bundle.bundles.a]\nlevle = 1", name="pyproject.toml")


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_may_say_is_refused_with_the_reason(written, name):
    with pytest.raises(UsageError) as error:
        written(f"[bundles.a]\n{name} = true")
    assert str(error.value) == f"bundle.toml:bundles.a.{name}: can be said on the command line only: {REFUSED[name]}"


@pytest.mark.parametrize(
    "text",
    [
        f'level = "https://me:{PASSWORD}@host/simple"',
        f'index-url = ["https://me:{PASSWORD}@host/simple"]',
        f'format = "https://me:{PASSWORD}@host/simple"',
        f'index-url = "https://me:{PASSWORD}@host/sim\\nple"',
    ],
)
def test_no_error_shows_a_password(written, text):
    with pytest.raises(UsageError) as error:
        written(text)
    assert PASSWORD not in str(error.value)


def test_an_unknown_bundle_is_an_error_that_names_the_nearest(written):
    configuration = written("[bundles.train]\n[bundles.serve]\n")
    with pytest.raises(UsageError) as error:
        configuration.settings("trian")
    want = "--bundle: is no bundle of bundle.toml; got trian, want train, serve\nhint: did you mean train?"
    assert str(error.value) == want
    with pytest.raises(UsageError, match=r"--bundle: bundle.toml has no \[bundles.NAME\]; got train"):
        written("level = 1").settings("train")
