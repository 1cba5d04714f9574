from __future__ import annotations

import pytest

from bundler.requirement_files import demanded_hashes
from bundler.runtime.errors import BundleError, ContentError
from bundler.targets import PRESETS, marker_environment

MARKERS = marker_environment(PRESETS["azureml-py37"])
ONE, TWO = "11" * 32, "22" * 32


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def demands(path, **environ):
    found = demanded_hashes([path], MARKERS, environ)
    return {name: [(demand.where, sorted(demand.sha256)) for demand in each] for name, each in found.items()}


def test_hashes_are_found_across_continued_lines_comments_and_includes(tmp_path):
    write(tmp_path / "more" / "b.txt", f"Six==1.16.0 --hash=sha256:{TWO}\n")
    path = write(
        tmp_path / "a.txt",
        f"# a comment\nattrs==1.0 \\\n  --hash=sha256:{ONE} \\\n  --hash=sha256:{TWO}  # both\n"
        "\n-r more/b.txt\nplain==1\n",
    )
    assert demands(path) == {"attrs": [("a.txt:2", [ONE, TWO])], "six": [("b.txt:1", [TWO])]}


def test_a_line_whose_marker_does_not_hold_demands_nothing(tmp_path):
    line = f'six==1.16.0 ; python_version == "{{}}" --hash=sha256:{ONE}\n'
    path = write(tmp_path / "a.txt", line.format("3.12") + line.format("3.7"))
    assert demands(path) == {"six": [("a.txt:2", [ONE])]}


def test_variables_are_replaced(tmp_path):
    path = write(tmp_path / "a.txt", f"six==${{WANTED}} --hash=sha256:{ONE}\n")
    assert demands(path, WANTED="1.16.0") == {"six": [("a.txt:1", [ONE])]}


def test_a1_a_weak_hash_is_no_hash(tmp_path):
    path = write(tmp_path / "a.txt", "\nsix==1.16.0 --hash=md5:d41d8cd98f00b204e9800998ecf8427e\n")
    with pytest.raises(ContentError) as caught:
        demands(path)
    assert (caught.value.rule, caught.value.where) == ("A1", "a.txt:2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\n-e ./project\n", "a.txt:3: is editable"),
        ("six @ git+https://example.test/six\n", "a.txt:1: is a repository"),
        ("./six-1.0.tar.gz\n", "a.txt:1: is a source distribution"),
        ("https://example.test/six-1.0.zip\n", "a.txt:1: is a source distribution"),
        ("-r a.txt\n", "includes itself"),
        ("-r missing.txt\n", "missing.txt"),
    ],
)
def test_what_can_never_be_a_wheel_is_refused_with_its_line(tmp_path, text, words):
    with pytest.raises(BundleError, match=words):
        demands(write(tmp_path / "a.txt", text))


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(BundleError, match="cannot be read"):
        demands(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(BundleError, match="not UTF-8"):
        demands(tmp_path / "latin.txt")
