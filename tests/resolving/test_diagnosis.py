"""What cannot be had is named in one run: each line with its reason, the way to it, and what to type instead."""

from __future__ import annotations

import pytest

from bundler.resolving.resolver_errors import NoWheelError, ResolutionError
from bundler.runtime.errors import BundleError
from bundler.targets import PRESETS

PY38 = PRESETS["azureml-py38"]


@pytest.fixture
def refused(ask, tmp_path):
    """Ask for the lines of a file; return the error."""

    def refused(*lines, constraints=(), **options):
        (tmp_path / "req.txt").write_text("".join(f"{line}\n" for line in lines))
        (tmp_path / "con.txt").write_text("".join(f"{line}\n" for line in constraints))
        with pytest.raises(BundleError) as caught:
            ask(files=[tmp_path / "req.txt"], constraints=[tmp_path / "con.txt"], **options)
        return caught.value

    return refused


def test_everything_that_cannot_be_had_is_named_at_once_each_with_its_line(shelf, refused):
    shelf("good", "1.0")
    shelf("new", "1.0")
    shelf("new", "2.0", "cp39-cp39-manylinux2014_x86_64")
    shelf("old", "1.0")
    error = refused("good", "new==2.0", "# why not", "old==3.0", "nowhere", "cv2")
    assert str(error).startswith("requirements: 4 cannot be had\n")
    for text in (
        "  req.txt:2: new==2.0: has no wheel for cpython 3.7.16",
        "  hint: the nearest versions with a wheel: new 1.0; or ",
        "  req.txt:4: old==3.0: asks for a version that there is not\n",
        "  hint: the newest that this target can have is old==1.0\n",
        "  req.txt:5: nowhere: was not found\n",
        "  req.txt:6: cv2: is a module, and the project that has it is called opencv-python-headless\n",
    ):
        assert text in str(error)
    assert "good" not in str(error)
    assert error.exit_code == 1


def test_what_needs_another_python_says_so_and_which_version_and_which_preset_would_do(shelf, refused):
    shelf("app", "1.0")
    shelf("app", "2.0", requires_python=">=3.8")
    error = refused("app>=2")
    assert error.fault == "req.txt:1: app>=2: needs Python >=3.8, and the target has 3.7.16"
    assert "--target azureml-py38 can have everything" in error.hint
    assert "require app==1.0, the newest for this Python" in error.hint
    assert "--target" not in refused("app>=3").hint


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"tag": "cp39-cp39-manylinux2014_x86_64"}, "deep==1.0; deep 1.0 has no wheel for cpython"),
        ({"requires_python": ">=3.8"}, "deep==1.0 → Python>=3.8; the target has 3.7.16"),
        (None, "deep==1.0, which was not found"),
    ],
)
def test_the_way_to_what_cannot_be_had_is_shown(shelf, refused, last, reason):
    shelf("app", "1.0", requires=["middle<2"])
    shelf("middle", "1.0", requires=["deep==1.0"])
    if last is not None:
        shelf("deep", "1.0", **last)
    error = refused("app", "middle")
    assert f"  req.txt:1: app: requires middle==1.0 → {reason}" in str(error)
    assert "req.txt:2: middle: requires deep==1.0" in str(error)


def test_lines_that_contradict_each_other_are_named_and_a_version_that_goes_with_the_others(shelf, refused):
    for version in ("1.0", "2.0", "3.0"):
        shelf("lib", version)
    shelf("app", "1.0", requires=["lib>=2"])
    shelf("other", "1.0", requires=["lib<3"])
    error = refused("other", "app", "plain", "lib==1.0") if shelf("plain", "1.0") else None
    assert error.where == "req.txt:2: app and req.txt:4: lib==1.0"
    assert "contradict each other, and pip would refuse them too" in error.what
    assert error.hint == "lib==2.0 would go with all others"


def test_several_contradictions_are_named_in_one_run(shelf, refused):
    for name in ("one", "two"):
        shelf(name, "1.0")
        shelf(name, "2.0")
        shelf(f"uses{name}", "1.0", requires=[f"{name}>=2"])
    error = refused("usesone", "one==1.0", "usestwo", "two==1.0")
    assert str(error).startswith("requirements: 2 contradictions\n")
    assert "  req.txt:1: usesone and req.txt:2: one==1.0: contradict" in str(error)
    assert "  req.txt:3: usestwo and req.txt:4: two==1.0: contradict" in str(error)
    assert error.hint == "one==2.0, two==2.0 would go with all others"


def test_a_constraint_takes_part_in_a_contradiction(shelf, refused):
    for version in ("1.0", "2.0"):
        shelf("lib", version)
    error = refused("lib==2.0", constraints=["lib<2"])
    assert error.where == "req.txt:1: lib==2.0"
    assert "lib<2" in error.what


def test_what_is_not_wanted_on_the_target_is_not_blamed(shelf, refused):
    error = refused("nowhere ; python_version >= '3.8'", "missing")
    assert "nowhere" not in str(error)
    assert error.where == "req.txt:2: missing"


def test_a_build_of_its_own_index_is_known_by_its_local_version(shelf, refused):
    shelf("torch", "1.9.0")
    error = refused("torch==1.9.0+cu111")
    assert error.hint == "builds such as +cu111 are on an index of their own: name it with --extra-index-url"


def test_the_kinds_of_errors_are_kept_apart(shelf, refused):
    shelf("native", "1.0", "cp39-cp39-manylinux2014_x86_64")
    assert isinstance(refused("native==1.0"), NoWheelError)
    error = refused("nowhere")
    assert isinstance(error, ResolutionError)
    assert error.projects == {"nowhere"}


def test_an_index_that_breaks_down_is_no_contradiction(ask, shelf, tmp_path):
    with pytest.raises(BundleError) as caught:
        ask("plain", offline=True, indexes=None, target=PY38)
    assert "contradict" not in str(caught.value)
