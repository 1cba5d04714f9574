"""The source of an ``__init__.py`` → whether it declares a namespace package and does nothing else.

* One is parsed at a time, and only what may be a stub: ``ast.parse`` of Python 3.11 raises ``SystemError`` where two
  threads are in it, which a garbage collection can bring about.
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


def is_namespace_stub(source: bytes) -> bool:
    """Tell whether *source* is one of the known ways to declare a namespace package, comments and docstring aside."""
    if not any(word in source for word in _WORDS):
        return False
    try:
        with _PARSING:
            module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if module.body and isinstance(module.body[0], ast.Expr) and isinstance(module.body[0].value, ast.Constant):
        module.body = module.body[1:]
    module.body = [node for node in module.body if not isinstance(node, ast.ImportFrom) or node.module != "__future__"]
    return bool(module.body) and ast.dump(module) in _STUBS
