from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.commands import REQUIREMENTS, bundle

from bundler.inputs.conda.environment_files import is_conda_file, parse_conda_file, read_conda_file
from bundler.inputs.conda.match_specs import MatchSpec
from bundler.inputs.conda.package_names import LEFT_OUT, PATTERNS, PYPI_NAMES
from bundler.resolving.lines.requirement_files import read_requirement_files
from bundler.resolving.lines.requirement_lines import parse_lines
from bundler.runtime.errors import UsageError
from bundler.targets import PRESETS

CONDA = REQUIREMENTS / "conda"
PATH = Path("/project/environment.yml")


def parse(*dependencies, more=""):
    lines = "".join(f"  - {line}\n" for line in dependencies)
    return parse_conda_file(f"dependencies:\n{lines}{more}", PATH)


def requirement(spec):
    (mapped,) = parse(spec).mapped
    return mapped.requirement


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("numpy", "numpy"),
        ("numpy=1.21.6", "numpy==1.21.6.*"),
        ("numpy==1.21.6", "numpy==1.21.6"),
        ("numpy=1.21", "numpy==1.21.*"),
        ("numpy=1.21.*", "numpy==1.21.*"),
        ("numpy==1.21.*", "numpy==1.21.*"),
        ("numpy=1.21*", "numpy==1.21.*"),
        ("numpy 1.21.*", "numpy==1.21.*"),
        ("numpy 1.21.6", "numpy==1.21.6"),
        ("numpy =1.21", "numpy==1.21.*"),
        ("numpy = 1.21", "numpy==1.21.*"),
        ("numpy=*", "numpy"),
        ("numpy *", "numpy"),
        ("numpy>=1.20,<1.22", "numpy>=1.20,<1.22"),
        ("numpy >=1.20, <1.22", "numpy>=1.20,<1.22"),
        ("'numpy >= 1.20 , < 1.22'", "numpy>=1.20,<1.22"),
        ("numpy>=1.20,<1.22.0a0", "numpy>=1.20,<1.22.0"),
        ("numpy>=1.20.*", "numpy>=1.20"),
        ("numpy!=1.20.1", "numpy!=1.20.1"),
        ("numpy!=1.20.*", "numpy!=1.20.*"),
        ("numpy~=1.20", "numpy~=1.20"),
        ("numpy<=1.20", "numpy<=1.20"),
        ("numpy>1.20", "numpy>1.20"),
        ("numpy=1.21.6=py37h123_0", "numpy==1.21.6"),
        ("numpy==1.21.6=py37h123_0", "numpy==1.21.6"),
        ("numpy=1.21.*=py37*", "numpy==1.21.*"),
        ("numpy 1.21.6 py37h123_0", "numpy==1.21.6"),
        ("numpy >=1.20,<2 py37*", "numpy>=1.20,<2"),
        ("conda-forge::numpy=1.21", "numpy==1.21.*"),
        ("conda-forge/linux-64::numpy", "numpy"),
        ("black=22.1b0", "black==22.1b0"),
        ("NumPy=1.21", "numpy==1.21.*"),
        ("ruamel_yaml=0.17", "ruamel_yaml==0.17.*"),
        ("pytorch=1.10.0=py3.7_cuda11.3_cudnn8.2.0_0", "torch==1.10.0"),
        ("dask=2022.2", "dask[complete]==2022.2.*"),
        ("opencv=4.5.5", "opencv-python-headless==4.5.5.*"),
        ("opencv==4.5.5", "opencv-python-headless==4.5.5.*"),
        ("opencv=4.5.5=py37_1", "opencv-python-headless==4.5.5.*"),
        ("faiss-cpu=1.7.2", "faiss-cpu==1.7.2.*"),
    ],
)
def test_a_match_spec_is_said_in_pypis_words(spec, expected):
    assert requirement(spec) == expected


@pytest.mark.parametrize(
    "spec",
    [
        "numpy=1.20|1.21",
        "numpy=9e",
        "numpy=1.2_3",
        "numpy>=",
        "numpy=1.*.2",
        "numpy 1.21 py37 more",
        "numpy~=1",
        "numpy=1.21,",
    ],
)
def test_versions_that_pypi_cannot_name_are_refused(spec):
    with pytest.raises(UsageError, match="asks for versions that PyPI cannot name") as caught:
        parse(spec)
    assert (caught.value.where, caught.value.got) == ("environment.yml:2", spec)


@pytest.mark.parametrize(
    "spec",
    [
        "'numpy[version=1.21]'",
        "'-r requirements.txt'",
        "https://example.test/linux-64/numpy-1.21.6-py37_0.tar.bz2",
        "numpy-1.21.6-py37_0.conda",
        "näme=1",
        "=1.2",
        "numpy-=1.2",
        "n" * 301,
    ],
)
def test_what_is_no_match_spec_is_refused(spec):
    with pytest.raises(UsageError, match="is not understood as a conda package"):
        parse(spec)


@pytest.mark.parametrize(
    ("spec", "preset", "version"),
    [
        ("python=3.7", "azureml-py37", None),
        ("python==3.7", "azureml-py37", None),
        ("python 3.7", "azureml-py37", None),
        ("python=3.7.*", "azureml-py37", None),
        ("python=3.10", "azureml-py310", None),
        ("python=3.7.16", "azureml-py37", "3.7.16"),
        ("python==3.8.10", "azureml-py38", "3.8.10"),
        ("python=3.9.15=h7a1cb2a_0", "azureml-py39", "3.9.15"),
        ("conda-forge::python=3.9.15", "azureml-py39", "3.9.15"),
        ("python=3.13.1", None, "3.13.1"),
        ("python>=3.7", "azureml-py37", None),
        ("python>=3.6", "azureml-py37", None),
        ("python>=3.8,<3.11", "azureml-py38", None),
        ("python=3", "azureml-py37", None),
        ("python", "azureml-py37", None),
    ],
)
def test_python_chooses_the_target(spec, preset, version):
    python = parse(spec).python
    assert (python.text, python.where) == (spec, "environment.yml:2")
    assert python.find_target() == (preset, version)


@pytest.mark.parametrize("spec", ["python=3.6", "python=2.7", "python=3.13", "python>3.12.1", "python=4"])
def test_a_python_without_a_preset_is_refused_with_what_to_type(spec):
    with pytest.raises(UsageError, match="asks for a Python that no preset has") as caught:
        parse(spec).python.find_target()
    assert caught.value.got == spec
    assert "--python X.Y.Z" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "python", "fits"),
    [
        ("python=3.7", "3.7.16", True),
        ("python=3.7.4", "3.7.16", True),
        ("python=3.7", "3.8.18", False),
        ("python=3.7.4", "3.8.18", False),
        ("python>=3.7", "3.8.18", True),
        ("python>=3.7.17", "3.7.16", False),
    ],
)
def test_a_target_that_somebody_named_has_the_same_minor_version(spec, python, fits):
    target = PRESETS["azureml-py37"]._replace(python=python)
    found = parse(spec).python
    if fits:
        found.check(target, "--target")
        return
    with pytest.raises(UsageError, match="asks for another Python than --target") as caught:
        found.check(target, "--target")
    assert (caught.value.got, caught.value.want) == (spec, python)


def test_python_is_named_once():
    with pytest.raises(UsageError, match="names python a second time") as caught:
        parse("python=3.7", "numpy", "python=3.8")
    assert (caught.value.where, caught.value.got) == ("environment.yml:4", "python=3.7, python=3.8")


def test_a_file_without_python_has_none():
    assert parse("numpy").python is None


@pytest.mark.parametrize(
    "spec",
    [
        *("pip", "pip=20.1.1", "pip<=22.3.1", "setuptools", "wheel", "cudatoolkit=11.3", "mkl", "openssl=1.1.1t=h7f_0"),
        *("_libgcc_mutex=0.1=main", "libgcc-ng=9.3.0", "gcc_linux-64", "jpeg=9e", "tk", "snappy", "r-ggplot2=3.4"),
        *("mkl_fft", "ld_impl_linux-64=2.38", "python_abi=3.7=2_cp37m", "graphviz", "__glibc>=2.17"),
    ],
)
def test_what_has_no_place_in_a_bundle_is_left_out_with_a_reason(spec):
    file = parse(spec)
    assert (file.mapped, file.lines) == ((), ())
    (left_out,) = file.left_out
    assert spec.startswith(left_out.name)
    assert left_out.reason


def test_each_mapping_is_told_and_whether_the_table_knows_it():
    file = parse("pytorch=1.10", "pandas=1.3", "something-unknown")
    assert [(item.spec, item.requirement, item.by_table) for item in file.mapped] == [
        ("pytorch=1.10", "torch==1.10.*", True),
        ("pandas=1.3", "pandas==1.3.*", False),
        ("something-unknown", "something-unknown", False),
    ]


def test_nothing_is_both_mapped_and_left_out_or_listed_twice():
    names = [name for group in LEFT_OUT.values() for name in group.split()]
    assert len(names) == len(set(names))
    assert set(PYPI_NAMES).isdisjoint(names)
    left_out = [name for name in PYPI_NAMES if parse(name).left_out]
    assert left_out == []
    for name in names:
        assert MatchSpec.parse(name, "x").name == name
        assert not parse(name).mapped


def test_pip_lines_are_requirement_lines_in_their_own_place(tmp_path):
    (tmp_path / "more.txt").write_text("six\n")
    text = "dependencies:\n- pandas=1.3\n\n- pip:\n  # said so\n  - attrs==1.0  # why\n  - -r more.txt\n- scipy\n"
    path = tmp_path / "environment.yml"
    file = parse_conda_file(text, path)
    written = tmp_path / "elsewhere" / path.name
    written.parent.mkdir()
    written.write_text(file.listing(PATH).text())
    lines = parse_lines(read_requirement_files([written], environ={}).lines)
    assert [(line.where, line.name) for line in lines] == [
        ("environment.yml:2", "pandas"),
        ("environment.yml:6", "attrs"),
        ("more.txt:1", "six"),
        ("environment.yml:8", "scipy"),
    ]


def test_several_in_one_line_follow_each_other():
    file = parse("pip: [six, attrs]", "scipy")
    assert file.listing(PATH).text() == "\nsix\nattrs\nscipy\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-r requirements.txt", "-r /project/requirements.txt"),
        ("-rrequirements.txt", "-r /project/requirements.txt"),
        ("--requirement=../a.txt", "--requirement /a.txt"),
        ("-c 'more/c.txt'", "-c /project/more/c.txt"),
        ("-r two words.txt", "-r '/project/two words.txt'"),
        ("--find-links wheels", "--find-links /project/wheels"),
        ("-e .", "-e /project"),
        ("-e ./src[dev]", "-e /project/src[dev]"),
        ("./wheels/a-1-py3-none-any.whl", "/project/wheels/a-1-py3-none-any.whl"),
        ("a-1-py3-none-any.whl ; python_version < '3.8'", "/project/a-1-py3-none-any.whl ; python_version < '3.8'"),
        (".[dev]", "/project[dev]"),
    ],
)
def test_paths_are_relative_to_the_conda_file(line, expected):
    assert parse(f'pip: ["{line}"]').lines == ((2, expected),)


@pytest.mark.parametrize(
    "line",
    [
        *("-r /etc/requirements.txt", "-r ${HOME}/r.txt", "-e git+https://example.test/a.git#egg=a", "--pre"),
        *("--extra-index-url https://example.test/simple", "-f https://example.test/links", "--require-hashes"),
        *("a @ https://example.test/a-1-py3-none-any.whl", "https://example.test/a-1-py3-none-any.whl", "/a/b.whl"),
        *("pandas[test]==1.3.5 ; python_version < '3.8'", "a @ ./a-1-py3-none-any.whl", "~/a.whl"),
    ],
)
def test_other_lines_are_handed_on_as_they_are(line):
    assert parse(f'pip: ["{line}"]').lines == ((2, line),)


def test_an_empty_list_for_pip_is_one():
    assert parse("pip", "pip:").lines == ()
    assert parse("pip: []").lines == ()


def test_what_is_not_part_of_a_bundle_is_noted():
    file = parse("numpy", more="name: x\nprefix: /opt\nchannels: [a]\nvariables: {A: b}\nplatforms: [linux-64]\n")
    assert file.notes == (
        "the key platforms is not known, and ignored",
        "its variables are not part of a bundle: set them where it runs",
    )
    assert parse("numpy", more="name:\nchannels:\nvariables:\n").notes == ()


BOMB = "a: &a [x,x]\nb: &b [*a,*a]\ndependencies: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "environment.yml: is not a conda environment file; got nothing"),
        ("# nothing\n", "is not a conda environment file; got nothing"),
        ("numpy==1.21\npandas\n", "environment.yml:1: is not what a conda environment file has here"),
        ("- numpy\n", "got a sequence, want a mapping"),
        ("name: x\nchannels: []\n", "got the keys name, channels, want dependencies"),
        ("{}", "got no keys"),
        ("dependencies: numpy\n", "environment.yml:1: is not what a conda environment file has here; got numpy, want"),
        ("dependencies: {a: b}\n", "got a mapping, want a list"),
        ("dependencies:\n- 3.7\n", "environment.yml:2: is not what a conda environment file has here; got 3.7, want t"),
        ("dependencies:\n- [numpy]\n", "got a sequence, want text"),
        ("dependencies:\n- !!python/object:os.system x\n", "want text"),
        ("dependencies:\n- !!map [a]\n", "want text"),
        ("dependencies:\n- npm: [a]\n", "environment.yml:2: is no kind of dependency; got npm, want pip"),
        ("dependencies:\n- {}\n", "is no kind of dependency; got nothing"),
        ("dependencies:\n- pip: [a]\n- pip: [b]\n", "environment.yml:3: is a second list for pip"),
        ("dependencies:\n- pip: a\n", "got a, want a list"),
        ("dependencies:\n- pip: [{a: b}]\n", "got a mapping, want text"),
        ('dependencies:\n- pip: ["a\\nb"]\n', "environment.yml:2: is not one line of text"),
        ('dependencies:\n- pip: ["a \\\\"]\n', "is not one line of text"),
        ('dependencies:\n- pip: ["a\\u2028b"]\n', "is not one line of text"),
        ('dependencies:\n- "\\ud800"\n', "is not one line of text"),
        ('dependencies:\n- ""\n', "is not one line of text"),
        ("dependencies: []\ndependencies: []\n", "environment.yml:2: is there twice; got dependencies"),
        ("dependencies: [\n", "is not YAML: "),
        ("dependencies:\n- a\n b: c\n", "environment.yml:3: is not YAML: "),
        ("dependencies:\n\t- a\n", "environment.yml:2: is not YAML: "),
        ("dependencies: []\n---\nmore: []\n", "is not YAML: "),
        ("dependencies: \x07\n", "is not YAML: "),
        ('dependencies: ["\\U99999999"]\n', "is not YAML: it has a character that does not exist"),
        ("%YAML " + "9" * 5000 + ".1\n--- {}\n", "is not YAML: "),
        (BOMB, "environment.yml:2: is a YAML alias"),
        ("a: &a [*a]\n", "environment.yml:1: is a YAML alias"),
        ("dependencies: " + "[" * 50_000, "environment.yml:1: is nested too deeply"),
        ("dependencies:\n" + "- " * 20_000, "is nested too deeply"),
    ],
)
def test_what_is_no_conda_file_is_refused_at_once(text, what):
    started = time.monotonic()
    with pytest.raises(UsageError) as caught:
        parse_conda_file(text, Path("environment.yml"))
    assert what in str(caught.value)
    assert time.monotonic() - started < 10


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "environment.yml"
    path.write_text("dependencies:\n" + "- numpy\n" * 20_000)
    with pytest.raises(UsageError, match="is too large"):
        read_conda_file(path)


def test_an_environment_of_azure_ml_says_which_file_to_name():
    with pytest.raises(UsageError, match=r"hint: name the file that it names: -r conda\.yaml"):
        parse_conda_file("name: x\nimage: y\nconda_file: conda.yaml\n", PATH)


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("environment.yml", "whatever", True),
        ("conda.YAML", "whatever", True),
        ("environment.txt", "name: x\ndependencies:\n  - numpy\n", True),
        ("environment", "dependencies: [numpy]\r\n", True),
        ("requirements.txt", "numpy\n# dependencies:\ndependencies==1.0\n", False),
    ],
)
def test_a_conda_file_is_known_by_its_name_or_contents(tmp_path, name, text, is_one):
    path = tmp_path / name
    path.write_text(text)
    assert is_conda_file(path) is is_one


def test_what_is_no_file_is_left_to_who_reads_it(tmp_path):
    assert not is_conda_file(tmp_path)
    assert not is_conda_file(tmp_path / "missing.txt")


@pytest.mark.parametrize("path", sorted(CONDA.rglob("*.y*ml")), ids=lambda path: path.name)
def test_files_as_people_have_them_are_read_and_every_package_is_accounted_for(path):
    file = read_conda_file(path)
    assert file.python.find_target()[0] in PRESETS
    assert file.lines
    packages = [line for line in path.read_text().splitlines() if line.startswith(("- ", "  - ")) and "=" in line]
    told = {item.spec for item in file.mapped} | {file.python.text}
    for line in packages:
        spec = line.strip().removeprefix("- ")
        assert (
            spec in told
            or any(spec.startswith(item.name) for item in file.left_out)
            or (any(spec == text for _, text in file.lines))
        )


def _rows(section):
    page = (Path(__file__).parents[3] / "docs" / "requirements.md").read_text()
    text = page.split(f"\n### {section}\n", 1)[1].split("\n### ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_page_shows_the_tables():
    shown = {name.strip("`"): pypi.strip("`") for pypi, names in _rows("Other names") for name in names.split(", ")}
    assert shown == PYPI_NAMES
    left_out = {}
    for names, reason in _rows("Left out"):
        left_out.setdefault(reason, set()).update(name.strip("`") for name in names.split(", "))
    wanted = {reason: set(names.split()) for reason, names in LEFT_OUT.items()}
    for shape, (_, reason) in PATTERNS.items():
        wanted.setdefault(reason, set()).add(shape)
    assert left_out == wanted


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "pins"),
    [
        ("conda_dependencies.yml", ("xgboost-0.90-", "scikit_learn-0.22.1-cp37", "joblib-0.14.1-")),
        ("exported.yml", ("numpy-1.21.5-cp37", "pandas-1.3.5-cp37", "numexpr-2.8.4-cp37", "joblib-1.2.0-")),
    ],
)
def test_real_ones_are_locked(cache, name, pins):
    answer = bundle("lock", "-r", CONDA / name, "--cache-dir", cache.root)
    assert answer.returncode == 0, answer.stderr
    for pin in pins:
        assert f"/{pin}" in answer.stdout
