"""The source of an ``__init__.py`` → whether it declares a namespace package and does nothing else.

* One is parsed at a time, and only what may be a stub: ``ast.parse`` of Python 3.11 raises ``SystemError`` where two
  threads are in it, which a garbage collection can bring about.
* azureml-telemetry 1.62 alone of its namespace adds a name to a user agent, and is silent where that fails. pip leaves
  it to the order of installation whether that is there; it counts as nothing.
"""

from __future__ import annotations

import ast
import threading

# What a stub may consist of: each way to say it, and the imports and the ``try`` around it.
_PKGUTIL = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)"
_IMPORTED = "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)"
_MODULE = "import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)"
_PKG_RESOURCES = "__import__('pkg_resources').declare_namespace(__name__)"
_OTHER_MODULE = "import pkg_resources\npkg_resources.declare_namespace(__name__)"
_USER_AGENT = """
try:
    import azureml._base_sdk_common.user_agent as user_agent
    import os
    current_package = __package__ or os.path.splitext(os.path.basename(__file__))[0]
    user_agent.append(current_package, "no_version")
except Exception:
    pass
"""


def _indented(source: str) -> str:
    return source.replace("\n", "\n    ")


_SOURCES = [_PKGUTIL, _IMPORTED, _MODULE, _PKG_RESOURCES, _OTHER_MODULE]
_SOURCES += [
    f"try:\n    {_indented(first)}\nexcept {error}:\n    {_indented(second)}"
    for first in (_PKG_RESOURCES, _OTHER_MODULE)
    for second in (_PKGUTIL, _IMPORTED, _MODULE, "pass")
    for error in ("ImportError", "Exception", "ModuleNotFoundError")
]
_WORDS = (b"pkgutil", b"pkg_resources")
_PARSING = threading.Lock()
_STUBS = frozenset(ast.dump(ast.parse(source)) for source in _SOURCES)
_NOTHING = ast.dump(ast.parse(_USER_AGENT).body[0])


def is_namespace_stub(source: bytes) -> bool:
    """Tell whether *source* is one of the known ways to declare a namespace package, comments and docstring aside."""
    if not any(word in source for word in _WORDS):
        return False
    try:
        with _PARSING:
            module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    module.body = [node for node in module.body if not _is_nothing(node)]
    return bool(module.body) and ast.dump(module) in _STUBS


def _is_nothing(node: ast.stmt) -> bool:
    """Tell whether *node* does nothing: text, an import of ``__future__``, or what counts as nothing."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return ast.dump(node) == _NOTHING
