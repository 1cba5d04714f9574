from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.resolving.lines.requirement_files import Line, read_requirement_files
from bundler.resolving.lines.requirement_lines import parse_line as parse
from bundler.resolving.lines.requirement_lines import parse_lines
from bundler.runtime.errors import BundleError, ContentError, UsageError
from bundler.targets import PRESETS, marker_environment

MARKERS = marker_environment(PRESETS["azureml-py37"])
ONE, TWO = "11" * 32, "22" * 32


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(path, **environ):
    lines = parse_lines(read_requirement_files([path], environ=environ).lines)
    return [(line.where, line.name, sorted(line.sha256)) for line in lines]


def parse_line(text, where):
    return parse(Line(where=where, text=text))


def test_hashes_are_found_across_continued_lines_comments_and_includes(tmp_path):
    write(tmp_path / "more" / "b.txt", f"Six==1.16.0 --hash=sha256:{TWO}\n")
    path = write(
        tmp_path / "a.txt",
        f"# a comment\nattrs==1.0 \\\n  --hash=sha256:{ONE} \\\n  --hash sha256:{TWO}  # both\n"
        "\n-r more/b.txt\nplain==1\n",
    )
    assert read(path) == [("a.txt:2", "attrs", [ONE, TWO]), ("b.txt:1", "six", [TWO]), ("a.txt:7", "plain", [])]


@pytest.mark.parametrize("option", ["-r b.txt", "-rb.txt", "-c b.txt", "--requirement=b.txt", "--constraint 'b.txt'"])
def test_every_spelling_of_an_include_is_followed(tmp_path, option):
    write(tmp_path / "b.txt", "six\n")
    found = read_requirement_files([write(tmp_path / "a.txt", f"{option}\n")])
    lines = found.constraints if "-c" in option else found.lines
    assert [(line.where, line.text) for line in lines] == [("b.txt:1", "six")]


def test_a_file_may_be_included_twice_but_not_by_itself(tmp_path):
    write(tmp_path / "c.txt", "six\n")
    write(tmp_path / "b.txt", "-r c.txt\n")
    path = write(tmp_path / "a.txt", "-r b.txt\n-r c.txt\n")
    assert len(read(path)) == 2
    write(tmp_path / "c.txt", "-r a.txt\n")
    with pytest.raises(UsageError, match="includes itself") as caught:
        read(path)
    assert caught.value.got == "a.txt → b.txt → c.txt → a.txt"


def test_a_line_whose_marker_does_not_hold_is_not_wanted():
    line = f'six==1.16.0 ; python_version == "{{}}" --hash=sha256:{ONE}'
    assert not parse_line(line.format("3.12"), "a.txt:1").is_wanted(MARKERS)
    assert parse_line(line.format("3.7"), "a.txt:1").is_wanted(MARKERS)


def test_variables_are_replaced(tmp_path):
    path = write(tmp_path / "a.txt", "${WANTED}==1.16.0\n")
    assert read(path, WANTED="six") == [("a.txt:1", "six", [])]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfsix\r\n")
    assert read(tmp_path / "a.txt") == [("a.txt:1", "six", [])]


@pytest.mark.parametrize(
    "line",
    [
        "./wheels/six-1.0-py3-none-any.whl",
        "six-1.0-py3-none-any.whl",
        "https://example.test/six-1.0-py3-none-any.whl?sig=a#sha256=b",
        "six @ https://example.test/six-1.0-py3-none-any.whl",
        "six[extra]@./six-1.0-py3-none-any.whl",
        "six [extra] >=1,<2 ; python_version < '3.8'",
        "six==1.0 --config-settings=x=y",
    ],
)
def test_the_project_of_a_line_is_known_however_it_is_named(line):
    assert parse_line(f"{line} --hash=sha256:{ONE}", "a.txt:1").name == "six"


def test_options_for_uv_are_no_requirements(tmp_path):
    text = "--index-url https://example.test/simple\n--pre\n--only-binary :all:\n--find-links ./wheels\nsix\n"
    assert read(write(tmp_path / "a.txt", text)) == [("a.txt:5", "six", [])]


def test_a_demand_for_hashes_of_everything_is_noticed(tmp_path):
    write(tmp_path / "b.txt", "\n--require-hashes\n")
    assert read_requirement_files([write(tmp_path / "a.txt", "-r b.txt\nsix\n")]).options.require_hashes == "b.txt:2"


@pytest.mark.parametrize("text", ["md5:d41d8cd98f00b204e9800998ecf8427e", f"sha512:{ONE}{ONE}", f"sha256:{ONE[1:]}"])
def test_a1_a_weak_or_wrong_hash_is_no_hash(tmp_path, text):
    path = write(tmp_path / "a.txt", f"\nsix==1.16.0 --hash={text}\n")
    with pytest.raises(ContentError) as caught:
        read(path)
    assert (caught.value.rule, caught.value.where) == ("A1", "a.txt:2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\n-e ./project\n", "a.txt:3: is editable"),
        ("--editable=./project\n", "a.txt:1: is editable"),
        ("six @ git+https://example.test/six\n", "a.txt:1: is a repository"),
        ("git+ssh://example.test/six.git@v1#egg=six\n", "a.txt:1: is a repository"),
        ("./six-1.0.tar.gz\n", "a.txt:1: is a source distribution"),
        ("six @ https://example.test/six-1.0.tar.gz#sha256=a\n", "a.txt:1: is a source distribution"),
        ("https://example.test/six-1.0.zip\n", "a.txt:1: is a source distribution"),
        (".\n", "a.txt:1: is a directory"),
        ("../project[extra]\n", "a.txt:1: is a directory"),
        ("six @ file:///project\n", "a.txt:1: is a directory"),
        ("six @ https://example.test/six\n", "a.txt:1: is no wheel"),
        ("--no-binari :all:\n", "a.txt:1: is no option of a requirements file"),
        ("-r https://example.test/b.txt\n", "a.txt:1: includes a file from the network"),
        ("-r 'b.txt\n", "a.txt:1: does not name one file"),
        ("-r missing.txt\n", "missing.txt: cannot be read"),
        ("six\nsix ==\n", "a.txt:2: is not a requirement"),
        ("six=1.16\n", "a.txt:1: is not a requirement: .*\nhint: that is how conda writes it: six==1.16"),
        ("six ; platform_release > '5'\n", "a.txt:1: depends on platform_release"),
    ],
)
def test_what_can_never_be_a_wheel_is_refused_with_its_line(tmp_path, text, words):
    with pytest.raises(BundleError, match=words):
        read(write(tmp_path / "a.txt", text))


@pytest.mark.parametrize("line", ["-e .", "-r other.txt", "six\n-e .", "--index-url https://example.test/"])
def test_a_requirement_of_the_command_line_cannot_be_an_option(line):
    with pytest.raises(UsageError):
        parse_line(line, "requirement")


@pytest.mark.parametrize(
    "line",
    [
        "-e git+https://${TOKEN}@example.test/six\n",
        "six @ https://user:${TOKEN}@example.test/six-1.0.zip\n",
        "six @ https://example.test/six-1.0.zip?sig=${TOKEN}\n",
        "six six @ https://user:${TOKEN}@example.test/\n",
        "-r https://user:${TOKEN}@example.test/a.txt\n",
    ],
)
def test_credentials_in_a_refused_line_are_not_shown(tmp_path, line):
    with pytest.raises(BundleError) as caught:
        read(write(tmp_path / "a.txt", line), TOKEN="s3cr3t")
    assert "s3cr3t" not in str(caught.value)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(BundleError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(BundleError, match=r"latin\.txt: is not UTF-8"):
        read(tmp_path / "latin.txt")


def test_the_hash_of_a_wheels_url_counts_and_demands_nothing_of_others(tmp_path):
    line = parse_line(f"six @ https://example.test/six-1.0-py3-none-any.whl#sha256={ONE}", "a.txt:1")
    assert (line.sha256, line.demands_hashes) == ({ONE}, False)
    assert line.text == "six @ https://example.test/six-1.0-py3-none-any.whl"


@given(st.lists(st.sampled_from(["", "# no", "six", "attrs>=1 # yes", "plain\\\n==1", "  "]), max_size=12))
def test_a_line_number_is_that_of_the_file(tmp_path_factory, parts):
    path = tmp_path_factory.mktemp("numbers") / "a.txt"
    text = "".join(f"{part}\n" for part in parts)
    path.write_text(text)
    for where, name, _ in read(path):
        assert text.splitlines()[int(where.rpartition(":")[2]) - 1].startswith(name)


@given(st.text(alphabet="asix-e@./:[]=<>;#\\ \t'\"!~", max_size=30))
def test_any_line_is_a_requirement_or_an_error_of_ours(line):
    try:
        parse_line(line.strip(), "a.txt:1")
    except BundleError as error:
        assert error.where == "a.txt:1"  # noqa: PT017 - either way out is right
