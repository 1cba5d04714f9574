"""Namespace packages of several wheels are one, however each wheel says it (rule A14)."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bundler.wheels.install import NAMESPACE_STUB
from bundler.wheels.namespace_stubs import is_namespace_stub

STUBS = {
    "as it is written": NAMESPACE_STUB,
    "opencensus, with CRLF": b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\r\n",
    "double quotes": b'__path__ = __import__("pkgutil").extend_path(__path__, __name__)',
    "azure": b"# Licence\n\n__path__ = __import__('pkgutil').extend_path(__path__, __name__)  # type: ignore\n",
    "pkgutil, imported": b"from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n",
    "setuptools": b"__import__('pkg_resources').declare_namespace(__name__)\n",
    "either": b"try:\n    __import__('pkg_resources').declare_namespace(__name__)\nexcept ImportError:\n"
    b"    from pkgutil import extend_path\n    __path__ = extend_path(__path__, __name__)\n",
    "with a docstring": b'"""Namespace."""\n__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n',
    "azureml-telemetry 1.62": NAMESPACE_STUB
    + b"""
'Update the user agent with the current package version.'
try:
    import azureml._base_sdk_common.user_agent as user_agent
    import os
    current_package = __package__ or os.path.splitext(os.path.basename(__file__))[0]
    user_agent.append(current_package, "no_version")
except Exception:
    # Silently continue if user agent update fails
    pass
""",
}
OTHERS = {
    "empty": b"",
    "a comment": b"# nothing\n",
    "a version besides": NAMESPACE_STUB + b"__version__ = '1.0'\n",
    "an import besides": b"import os\n" + NAMESPACE_STUB,
    "an attempt besides": NAMESPACE_STUB + b"try:\n    import os\nexcept Exception:\n    pass\n",
    "another path": b"__path__ = __import__('pkgutil').extend_path(__path__, 'os')\n",
    "other code": b"__import__('pkg_resources').declare_namespace(print(1))\n",
    "no Python": b"__path__ = = 1",
    "a nul": b"\0",
    "deep": b"(" * 4000,
}


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_is_known_by_what_it_does(name):
    assert is_namespace_stub(STUBS[name])


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_anything_else_is_none(name):
    assert not is_namespace_stub(OTHERS[name])


class Garbage:
    """Part of a cycle; lets other threads run where it is collected, as closing a file does."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0)


def test_sources_are_told_apart_in_several_threads_while_garbage_is_collected():
    """CPython 3.11 has one counter for all that are in ast.parse: SystemError, once in some hundred bundles."""
    source = (
        b"import pkgutil\n" + b"def function(a, b=[1, 2, (3, 4)]):\n    return {a: [b], 'x': lambda y: (y, a)}\n" * 12
    )

    def parse(_):
        for _ in range(30):
            Garbage()
            assert not is_namespace_stub(source)

    before = gc.get_threshold()
    gc.set_threshold(50, 1000, 1000)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(parse, range(8)))
    finally:
        gc.set_threshold(*before)
