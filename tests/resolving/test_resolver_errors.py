"""What uv says when there is no solution becomes an error that names what matters."""

from __future__ import annotations

import pytest

from bundler.resolving.resolver_errors import NoWheelError
from bundler.runtime.errors import BundleError


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
    assert caught.value.where == "native==1.1"
    assert "native 1.0 and 1.3" in str(caught.value)


def test_a_project_without_a_wheel_is_named_also_if_its_requirement_has_a_marker(shelf, ask):
    shelf("native", "1.1", "cp39-cp39-manylinux2014_x86_64")
    with pytest.raises(NoWheelError) as caught:
        ask("native==1.1 ; python_version < '3.8'")
    assert caught.value.where == "native==1.1 ; python_version < '3.8'"


def test_a_pin_whose_wheels_need_a_newer_glibc_is_explained_as_that(shelf, ask):
    shelf("native", "1.0", "cp37-cp37m-manylinux2014_x86_64")
    shelf("native", "2.0", "cp37-cp37m-manylinux_2_28_x86_64")
    shelf("native", "3.0", "cp37-cp37m-manylinux_2_27_x86_64")
    with pytest.raises(NoWheelError) as caught:
        ask("native==2.0")
    assert caught.value.where == "native==2.0"
    assert "!=" not in str(caught.value)
    assert "native 1.0 and 3.0" in caught.value.hint


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


# As older versions of uv print it.
DRAWN = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because app==1.0 depends on plain<2 and you require app==1.0, we can
      conclude that plain<2. And because you require plain>=2, we can conclude
      that your requirements are unsatisfiable.
"""


def test_the_explanation_of_an_older_uv_is_understood(ask, stand_in):
    stand_in(f"sys.exit({DRAWN!r})")
    with pytest.raises(BundleError, match=r"cannot be resolved: Because app==1\.0 depends on plain<2") as caught:
        ask("app")
    assert not set("×╰─▶\n") & set(caught.value.fault)
    assert caught.value.hint is not None


@pytest.mark.parametrize(("name", "project"), [("cv2", "opencv-python-headless"), ("PIL", "pillow")])
def test_a_module_is_told_from_the_project_that_has_it(ask, name, project):
    with pytest.raises(BundleError, match=f"is a module, and the project that has it is called {project}") as caught:
        ask(name)
    assert caught.value.hint == f"require {project}"
