"""Resolution against an image, with the real uv, from wheels in a directory."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace

import pytest
from support.baseline_factory import image
from support.reporters import Heard
from support.wheel_factory import make_wheel

from bundler.fetching.index_options import IndexOptions
from bundler.resolving.baseline.baselines import requires_of
from bundler.resolving.baseline.metadata_only_wheels import write_metadata_only_wheels
from bundler.resolving.baseline_constraints import BaselineConstraints
from bundler.resolving.resolver import resolve
from bundler.runtime.errors import BundleError
from bundler.targets import PRESETS

PY37 = PRESETS["azureml-py37"]


@pytest.fixture
def shelf(tmp_path):
    directory = tmp_path / "shelf"
    directory.mkdir()

    def put(name, *versions, requires=(), tag="py3-none-any"):
        for version in versions:
            make_wheel(directory, name, version, {f"{name}.py": b""}, requires=requires, tag=tag)

    put.directory = directory
    return put


@pytest.fixture
def ask(shelf, tmp_path):
    """Resolve against an image; *completed* are the requirements that the index would know."""

    def ask(*requirements, over, skip=False, completed=None, files=(), constraints=()):
        asked = []

        def complete(baseline):
            asked.append(baseline)
            return replace(baseline, packages={**baseline.packages, **image(completed or {}).packages})

        reporter = Heard()
        lock = resolve(
            requirements,
            requirement_files=files,
            constraint_files=constraints,
            target=PY37,
            indexes=IndexOptions(no_index=True, find_links=(str(shelf.directory),)),
            cache_dir=tmp_path / "uv",
            reporter=reporter,
            baseline_constraints=BaselineConstraints(
                baseline=image(over), complete=complete, leave_out=skip, wheels=tmp_path / "uv" / "wheels"
            ),
        )
        ask.warnings, ask.completed = reporter.warnings, len(asked)
        return " ".join(f"{pin.name} {pin.version}" for pin in lock.pins), ", ".join(map(str, lock.provided))

    return ask


def test_what_is_needed_is_taken_in_the_images_version_and_no_requirements_are_looked_for(shelf, ask):
    shelf("app", "1.0", requires=["lib"])
    shelf("lib", "1.0", "2.0")
    shelf("other", "1.0", "2.0")
    assert ask("app", over={"lib 1.0": None, "other 1.0": None}) == ("app 1.0 lib 1.0", "")
    assert ask.completed == 0
    assert ask("app", over={"other 1.0": None}) == ("app 1.0 lib 2.0", "")


def test_what_the_image_has_is_left_out_in_exactly_that_version_only(shelf, ask):
    shelf("app", "1.0", requires=["lib", "more>=2"])
    shelf("lib", "1.0", "2.0")
    shelf("more", "1.0", "2.0")
    assert ask("app", over={"lib 1.0": [], "more 1.0": []}, skip=True) == ("app 1.0 more 2.0", "lib 1.0")
    assert ask("app", over={"lib 1.0+cpu": [], "more 2.0": []}, skip=True) == ("app 1.0", "lib 1.0+cpu, more 2.0")
    assert ask("lib", over={"lib 1.0": []}, skip=True) == ("", "lib 1.0")
    assert ask("lib>=2", over={"lib 1.0": []}, skip=True) == ("lib 2.0", "")


def test_an_override_gets_on_with_what_the_image_requires_of_it(shelf, ask):
    """Otherwise 3.0 would be chosen, the newest."""
    shelf("lib", "1.0", "1.5", "2.0", "3.0")
    over = {"server 1.0": ["lib<2"], "lib 1.0": []}
    assert ask("lib>1", over=over) == ("lib 1.5", "")
    assert ask("lib>1", over={"server 1.0": None, "lib 1.0": None}, completed=over) == ("lib 1.5", "")
    assert ask.completed == 1
    assert ask("lib>1", over={"lib 1.0": []}) == ("lib 3.0", "")


def test_an_override_deep_below_gets_on_with_the_image_too(shelf, ask):
    shelf("app", "1.0", requires=["lib<2"])
    shelf("app", "2.0", requires=["lib>=2"])
    shelf("lib", "1.0", "2.0")
    assert ask("app", over={"lib 1.0": [], "server 1.0": ["lib<2"]}) == ("app 1.0 lib 1.0", "")
    assert ask.warnings == ["image: held back by the image: app 1.0 (without the image: 2.0)"]
    # nobody in the image minds lib 2: but without asking for it, nothing of the image is overridden
    assert ask("app", over={"lib 1.0": []}) == ("app 1.0 lib 1.0", "")
    assert ask("app>=2", over={"lib 1.0": []}) == ("app 2.0 lib 2.0", "")


def test_what_is_asked_for_in_another_version_leaves_the_rest_as_it_is(shelf, ask):
    shelf("app", "2.0", requires=["lib", "lower"])
    shelf("lib", "1.0", "2.0")
    shelf("lower", "1.0", "2.0")
    assert ask("app", "lib>=2", over={"lib 1.0": [], "lower 1.0": []}) == ("app 2.0 lib 2.0 lower 1.0", "")


def test_a_wheel_of_ones_own_takes_the_place_of_the_images(shelf, ask, tmp_path):
    wheel = make_wheel(tmp_path, "lib", "7.0", {"lib.py": b""})
    assert ask(str(wheel), over={"lib 1.0": []}) == ("lib 7.0", "")
    with pytest.raises(BundleError, match=r"server 1\.0 requires lib<2"):
        ask(f"lib @ file://{wheel}", over={"lib 1.0": [], "server 1.0": ["lib<2"]})


def test_the_extras_that_the_image_asks_for_come_along_with_an_override(shelf, ask):
    """Msal wants jwt[crypto]: a bundle with another jwt needs what that one's extra needs."""
    shelf("jwt", "2.0", requires=["cryptography>=40 ; extra == 'crypto'"])
    shelf("cryptography", "3.0", "41.0")
    over = {"msal 1.0": ["jwt[crypto]>=1"], "jwt 1.0": [], "cryptography 3.0": []}
    assert ask("jwt>=2", over=over) == ("cryptography 41.0 jwt 2.0", "")
    assert ask("jwt>=2", over={"jwt 1.0": [], "cryptography 3.0": []}) == ("jwt 2.0", "")


def test_an_extra_of_what_is_left_out_is_not_left_out(shelf, ask):
    shelf("lib", "1.0", requires=["socks ; extra == 'socks'"])
    shelf("socks", "1.0")
    assert ask("lib[socks]", over={"lib 1.0": ["socks ; extra == 'socks'"]}, skip=True) == ("socks 1.0", "lib 1.0")


def test_what_is_left_to_the_image_takes_along_what_it_needs_there(shelf, ask):
    shelf("app", "1.0", requires=["server"])
    over = {"server 1.0": ["deep>=1", "more ; extra == 'x'"], "deep 1.0": ["deeper<2"], "deeper 1.0": []}
    over["more 1.0"] = []
    assert ask("app", over=over, skip=True) == ("app 1.0", "deep 1.0, deeper 1.0, server 1.0")
    assert ask("server[x]", over=over, skip=True) == ("", "deep 1.0, deeper 1.0, more 1.0, server 1.0")


def test_what_the_image_needs_and_lacks_is_bundled(shelf, ask):
    shelf("deep", "1.0", "2.0")
    assert ask("server", over={"server 1.0": ["deep"]}, skip=True) == ("deep 2.0", "server 1.0")
    assert ask("server", over={"server 1.0": ["deep>=2"], "deep 1.0": []}, skip=True) == ("deep 2.0", "server 1.0")


def test_an_older_version_of_what_is_asked_for_is_not_taken_to_leave_more_to_the_image(shelf, ask):
    shelf("app", "1.0", requires=["lib<2"])
    shelf("app", "2.0", requires=["lib>=2"])
    shelf("lib", "1.0", "2.0")
    assert ask("app", over={"lib 1.0": []}, skip=True) == ("app 2.0 lib 2.0", "")
    assert ask.warnings == []
    assert ask("app", over={"lib 1.0": [], "server 1.0": ["lib<2"]}, skip=True) == ("app 1.0", "lib 1.0")
    assert ask.warnings == ["image: held back by the image: app 1.0 (without the image: 2.0)"]


def test_what_no_index_has_can_be_left_to_the_image(shelf, ask):
    shelf("app", "1.0", requires=["wrapt>=1.11"])
    shelf("wrapt", "1.16")
    over = {"server 1.0": ["wrapt==1.12.1"], "wrapt 1.12.1": []}
    assert ask("app", over=over, skip=True) == ("app 1.0", "wrapt 1.12.1")
    with pytest.raises(BundleError, match=r"server 1\.0 requires wrapt==1\.12\.1") as caught:
        ask("app", over=over)
    assert "another wrapt" in caught.value.hint


def test_what_has_no_wheel_can_be_left_to_the_image_and_the_error_says_so(shelf, ask):
    shelf("app", "1.0", requires=["wrapt>=1.11"])
    shelf("wrapt", "1.12.1", tag="cp36-cp36m-win_amd64")
    shelf("wrapt", "1.16")
    with pytest.raises(BundleError, match="has no wheels") as caught:
        ask("app", over={"server 1.0": ["wrapt==1.12.1"], "wrapt 1.12.1": []})
    assert caught.value.hint.startswith("--skip-provided leaves wrapt to the image")


def test_the_image_in_the_way_is_named_and_nothing_else(shelf, ask):
    shelf("pydantic", "1.10", "2.5")
    shelf("other", "1.0", "2.0")
    over = {"server 0.8": ["pydantic~=1.10.0"], "fine 1.0": ["other"], "pydantic 1.10": [], "other 1.0": []}
    with pytest.raises(BundleError) as caught:
        ask("pydantic>=2", "other>=2", over=over)
    assert caught.value.fault.startswith("image: the image is in the way: server 0.8 requires pydantic~=1.10.0; ")
    assert "fine" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_what_cannot_be_resolved_anyway_is_explained_without_the_image(shelf, ask):
    shelf("lib", "1.0")
    with pytest.raises(BundleError, match="a version that there is not") as caught:
        ask("lib>=2", over={"lib 1.0": [], "server 1.0": ["lib<2"]})
    assert "image" not in str(caught.value)


def test_what_is_broken_in_the_image_already_binds_nobody(shelf, ask):
    shelf("lib", "2.0", "3.0")
    assert ask("lib>=3", over={"server 1.0": ["lib<2"], "lib 2.0": []}) == ("lib 3.0", "")


def test_constraints_of_the_user_count_as_asking(shelf, ask, tmp_path):
    shelf("lib", "1.0", "2.0")
    (tmp_path / "c.txt").write_text("lib>=2\n")
    assert ask("lib", over={"lib 1.0": []}, constraints=[tmp_path / "c.txt"]) == ("lib 2.0", "")


def test_a_marker_that_does_not_hold_asks_for_nothing(shelf, ask):
    shelf("app", "1.0", requires=["lib"])
    shelf("lib", "1.0", "2.0")
    assert ask("app", "lib>=2 ; python_version > '3.7'", over={"lib 1.0": []}) == ("app 1.0 lib 1.0", "")


def test_a_prerelease_in_the_image_is_taken_as_it_is(shelf, ask):
    shelf("lib", "1.0", "2.0rc1")
    assert ask("lib", over={"lib 2.0rc1": []}) == ("lib 2.0rc1", "")


def test_what_is_not_known_of_the_image_is_said_where_something_is_overridden(shelf, ask):
    shelf("lib", "1.0", "2.0")
    over = {"server 1.0": None, "other 2.0": None, "lib 1.0": None}
    assert ask("lib>=2", over=over) == ("lib 2.0", "")
    assert ask.warnings == ["image: not checked: other 2.0, server 1.0: its requirements are not listed"]
    ask("lib", over=over)
    assert ask.warnings == []


def test_a1_hashes_are_enforced_on_what_is_bundled_and_not_on_what_is_left_out(shelf, ask, tmp_path):
    shelf("app", "1.0", requires=["lib"])
    shelf("lib", "1.0")
    right = hashlib.sha256((shelf.directory / "app-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"app --hash=sha256:{right}\nlib --hash=sha256:{'0' * 64}\n")
    assert ask(over={"lib 1.0": []}, files=[path], skip=True) == ("app 1.0", "lib 1.0")
    with pytest.raises(BundleError, match="lists no hash of a wheel of lib"):
        ask(over={"lib 1.0": []}, files=[path])


def test_metadata_only_wheels_require_only_what_the_image_lacks(tmp_path):
    over = {
        "server 1.0": ["a>=1", "b>=2", "c[x]", "d ; extra == 'y'", "e", "f ; python_version > '3'"],
        **dict.fromkeys(["a 1.0", "b 1.0", "c 1.0", "d 1.0", "f 1.0"], ()),
    }
    directory = write_metadata_only_wheels(image(over), tmp_path)
    with zipfile.ZipFile(directory / "server-1.0-py3-none-any.whl") as wheel:
        metadata = wheel.read("server-1.0.dist-info/METADATA").decode()
    assert requires_of(metadata) == ["b>=2", "c[x]", 'd; extra == "y"', "e"]


def test_metadata_only_wheels_are_written_once_and_never_bundled(shelf, ask, tmp_path):
    shelf("app", "1.0", requires=["lib"])
    over = {"lib 1.0": [], "server 1.0": ["lib"]}
    for _ in range(2):
        assert ask("app", over=over, skip=True) == ("app 1.0", "lib 1.0")
    (directory,) = (tmp_path / "uv" / "wheels").iterdir()
    assert sorted(path.name for path in directory.iterdir()) == [
        "lib-1.0-py3-none-any.whl",
        "server-1.0-py3-none-any.whl",
    ]
