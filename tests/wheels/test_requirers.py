"""Who requires what was dropped."""

from __future__ import annotations

from packaging.version import Version
from support.interpreters import target_of

from bundler.pins import Dropped
from bundler.wheels.requirers import missed

DROPPED = [Dropped(name="cv-x", version=Version("1.0")), Dropped(name="other", version=Version("2"))]


def test_each_that_requires_it_on_the_target_is_named():
    requires = {
        "b 1.0": ["CV_x>=1; python_version < '3.8'", "numpy"],
        "a 1.0": ["numpy", "cv.x"],
        "only elsewhere 1.0": ["cv-x; sys_platform == 'win32'"],
        "only an extra 1.0": ["cv-x; extra == 'more'"],
        "not understood 1.0": ["cv-x !!", "cv-x; os_name ~= 'posix'"],
    }
    (warning,) = missed(DROPPED, requires, target_of("3.7"))
    assert warning == "cv-x 1.0 was dropped, and is required by a 1.0, b 1.0"


def test_nobody_misses_what_nobody_requires():
    assert list(missed(DROPPED, {"a 1.0": ["numpy"]}, target_of("3.7"))) == []
