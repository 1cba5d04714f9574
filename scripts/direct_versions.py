"""Prints the versions that the project runs with here: Python's, and each direct dependency's."""

from __future__ import annotations

import importlib.metadata
import platform
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

project = tomllib.loads(Path(__file__).parent.with_name("pyproject.toml").read_text(encoding="utf-8"))["project"]
names = [Requirement(text).name for text in project["dependencies"] + project["optional-dependencies"]["objects"]]
print("Python", platform.python_version(), *(f"{name} {importlib.metadata.version(name)}" for name in names))
