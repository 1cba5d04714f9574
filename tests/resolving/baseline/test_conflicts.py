"""What a bundle over an image overrides and breaks: rows of requirements."""

from __future__ import annotations

import pytest
from support.baseline_factory import image, provided

from bundler.resolving.baseline.conflicts import check, depends_on_requirements, pinned_around
from bundler.runtime.indexes import Distribution
from bundler.targets import PRESETS

PY37 = PRESETS["azureml-py37"]


def bundle(packages):
    return [
        Distribution(*key.split(), f"{key.replace(' ', '-')}-py3-none-any.whl", "0" * 64, 1, 0, tuple(requires))
        for key, requires in packages.items()
    ]


def faults(report):
    lost = [f"lost {item}: {found}" for item, found in report.lost]
    return [f"{c.demand}: {c.found}" for c in (*report.broken, *report.unmet)] + lost


@pytest.mark.parametrize(
    ("installed", "bundled", "found"),
    [
        ({"server 1.0": ["pydantic~=1.10.0"]}, {"pydantic 2.5.3": []}, ["server 1.0 requires pydantic~=1.10.0: 2.5.3"]),
        ({"server 1.0": ["pydantic~=1.10.0"], "pydantic 1.10.2": []}, {"pydantic 1.10.9": []}, []),
        # names and prereleases as the standards have them
        ({"server 1.0": ["A_B (>=4)"]}, {"a.b 3.7": []}, ["server 1.0 requires A_B>=4: 3.7"]),
        ({"server 1.0": ["a>=2"]}, {"a 3.0rc1": []}, []),
        ({"server 1.0": ["a @ https://example.test/a-1.0.whl"]}, {"a 3.0": []}, []),
        # markers are the target's
        ({"server 1.0": ["a<2 ; python_version < '3.8'"]}, {"a 2.0": []}, ["server 1.0 requires a<2: 2.0"]),
        ({"server 1.0": ["a<2 ; python_version >= '3.8'"]}, {"a 2.0": []}, []),
        ({"server 1.0": ["a<2 ; platform_machine == 'aarch64'"]}, {"a 2.0": []}, []),
        # extras count where somebody asks for them, through any chain
        ({"jwt 1.0": ["a<2 ; extra == 'crypto'"]}, {"a 2.0": []}, []),
        (
            {"jwt 1.0": ["a<2 ; extra == 'crypto'"], "msal 1.0": ["JWT[Crypto]"]},
            {"a 2.0": []},
            ["jwt 1.0 requires a<2: 2.0"],
        ),
        (
            {"one 1.0": ["two[x]"], "two 1.0": ["three[y] ; extra == 'x'"], "three 1.0": ["a<2 ; extra == 'y'"]},
            {"a 2.0": []},
            ["three 1.0 requires a<2: 2.0"],
        ),
        ({"two 1.0": ["a<2 ; extra == 'x'"]}, {"a 2.0": [], "mine 1.0": ["two[x]"]}, ["two 1.0 requires a<2: 2.0"]),
        # what the bundle replaces requires nothing any more
        ({"server 1.0": ["a<2"]}, {"server 2.0": ["a"], "a 2.0": []}, []),
        # what is broken in the image before is none of the bundle's doing
        ({"server 1.0": ["a<2", "gone"], "a 2.0": []}, {"a 2.1": []}, []),
        ({"server 1.0": ["a<2"], "a 2.0": []}, {"b 1.0": []}, []),
        # a bundle that relies on the image
        ({"a 1.0": []}, {"mine 1.0": ["a>=1"]}, []),
        ({"a 1.0": []}, {"mine 1.0": ["a>=2"]}, ["mine 1.0 requires a>=2: 1.0"]),
        ({"b 1.0": []}, {"mine 1.0": ["a>=2"]}, ["mine 1.0 requires a>=2: None"]),
        ({"b 1.0": []}, {"mine 1.0": ["a>=2 ; extra == 'more'"]}, []),
        # an override that lacks what the image's extra needs
        (
            {"msal 1.0": ["jwt[crypto]"], "jwt 1.0": [], "cryptography 3.0": []},
            {"jwt 2.0": ["cryptography>=40 ; extra == 'crypto'"]},
            ["jwt 2.0 requires cryptography>=40: 3.0"],
        ),
    ],
)
def test_what_is_broken_and_what_is_not(installed, bundled, found):
    report = check(bundle(bundled), image(installed), PY37)
    assert faults(report) == found
    assert report.has_conflict == bool(found)
    assert report.is_fine != bool(found)


def test_overrides_are_told_from_what_is_the_same():
    report = check(
        bundle({"a 2.0": [], "b 1.0.0": [], "c 1.0": []}), image({"A 1.0": [], "b 1.0": [], "d 1.0": []}), PY37
    )
    assert [(item.name, str(item.image), str(item.bundle)) for item in report.overrides] == [("a", "1.0", "2.0")]
    assert report.same == ("b",)


def test_what_is_not_known_is_said_where_something_is_overridden():
    installed = image({"server 1.0": None, "other 1.0": [], "a 1.0": []})
    report = check(bundle({"a 2.0": []}), installed, PY37)
    assert [(item.name, item.reason) for item in report.unchecked] == [("server", "its requirements are not listed")]
    assert (report.is_fine, report.checked) == (True, 1)
    nothing = check(bundle({"a 2.0": []}), image({"server 1.0": None, "a 1.0": None}), PY37)
    assert not nothing.has_conflict
    assert not nothing.is_fine, "nothing could be checked: that is no success"
    untouched = check(bundle({"b 2.0": []}), installed, PY37)
    assert untouched.unchecked == ()
    assert untouched.is_fine


def test_a_requirement_that_cannot_be_evaluated_is_said():
    report = check(bundle({"a 2.0": []}), image({"server 1.0": ["a<2 ; platform_release ~= '4'"], "a 1.0": []}), PY37)
    assert [item.name for item in report.unchecked] == ["server"]
    assert "cannot be evaluated" in report.unchecked[0].reason


def test_what_was_left_to_another_image_is_lost():
    installed = image({"a 1.0": [], "b 1.0": []})
    relied = [provided("a 1.0"), provided("b 2.0"), provided("c 1.0")]
    report = check(bundle({"mine 1.0": []}), installed, PY37, relied)
    assert faults(report) == ["lost b 2.0: 1.0", "lost c 1.0: None"]
    assert pinned_around(bundle({"mine 1.0": []}), installed, PY37, report) == ["b", "c==1.0", "mine==1.0"]


def test_the_requirements_around_keep_what_can_stay():
    installed = image(
        {"server 1.0": ["pydantic<2", "broken<1"], "schema 1.0": ["pydantic>=1.9"], "pydantic 1.10": [], "broken 5": []}
    )
    bundled = bundle(
        {
            "pydantic 2.5": ["core==2"],
            "core 2": [],
            "needs-new 1.0": ["pydantic>=2"],
            "any 3.0": ["pydantic"],
            "broken 6": [],
        }
    )
    report = check(bundled, installed, PY37)
    assert {name: str(accepted) for name, accepted in report.pins.items()} == {"pydantic": "<2,>=1.9"}
    assert pinned_around(bundled, installed, PY37, report) == ["any==3.0", "broken==6", "needs-new"]
    alone = bundle({"pydantic 2.5": []})
    assert pinned_around(alone, installed, PY37, check(alone, installed, PY37)) == ["pydantic<2,>=1.9"]


@pytest.mark.parametrize(
    ("bundled", "matters"),
    [
        ({"a 1.0": []}, False),
        ({"a 2.0": []}, True),
        ({"mine 1.0": ["a"]}, False),
        ({"mine 1.0": ["a[x]"]}, True),
        ({"mine 1.0": ["two[x]"], "two 1.0": []}, False),
    ],
)
def test_requirements_of_the_image_matter_only_if_something_of_it_is_overridden_or_extended(bundled, matters):
    assert depends_on_requirements(bundle(bundled), image({"a 1.0": None})) is matters
