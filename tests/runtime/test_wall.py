"""The wall: the runtime imports the standard library only, relatively only, on every Python from 3.7 on."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from support.interpreters import VERSIONS, python

RUNTIME = Path(__file__).parents[2] / "bundler" / "runtime"
MODULES = sorted(path.stem for path in RUNTIME.glob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_the_standard_library_or_itself_relatively(module):
    culprits = []
    for node in ast.walk(ast.parse((RUNTIME / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            culprits += [alias.name for alias in node.names if alias.name.split(".")[0] not in sys.stdlib_module_names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # Of the standard library in some versions only.
            if node.module.split(".")[0] not in sys.stdlib_module_names | {"compression", "_sha256", "_sha2"}:
                culprits.append(node.module)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"line {node.lineno} leaves the package"
    assert not culprits


@pytest.mark.parametrize("version", VERSIONS)
def test_every_module_imports_with_nothing_installed(version):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import importlib\n"
        "for name in sys.argv[2:]: importlib.import_module('runtime.' + name)\n"
        "print(sorted(name for name, module in sys.modules.items()"
        " if 'site-packages' in (getattr(module, '__file__', None) or '')))"
    )
    answer = subprocess.run(
        [python(version), "-I", "-S", "-W", "error", "-c", code, RUNTIME.parent, *MODULES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == ""
    assert answer.stdout.strip() == "[]"
