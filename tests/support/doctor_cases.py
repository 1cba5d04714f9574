"""Deployments with one thing wrong, as rows of the tables in the tests of ``bundle doctor``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.deployment_factory import deployment, dist_info, make_bundle, make_folder

from bundler.azureml.doctor import diagnose
from bundler.targets import PRESETS

if TYPE_CHECKING:
    from pathlib import Path

LIB = "AZUREML_EXTRA_PYTHON_LIB_PATH"
REQ = "AZUREML_EXTRA_REQUIREMENTS_TXT"
CONDA = "AZUREML_EXTRA_CONDA_YAML"
# What github.com offers for Python projects drops these, too.
GITIGNORE = "__pycache__/\n*.py[cod]\n*.so\nlib/\n"


def under(directory: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{directory}/{name}": content for name, content in files.items()}


PLAIN = {"deps/alpha.py": "", **under("deps", dist_info("alpha"))}


@dataclass
class Case:
    """A deployment with one thing wrong: which finding, its words, and what is to be typed."""

    name: str
    severity: str
    what: str
    type: str
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, object] = field(default_factory=dict)
    bundles: dict[str, dict] = field(default_factory=dict)
    script: str | None = "score.py"
    target: str = "azureml-py37"
    inside: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"

    def check(self, directory: Path) -> None:
        """Look at the deployment in *directory*: the finding is there, once, and says what and why."""
        for name, options in self.bundles.items():
            make_bundle(make_folder(directory / "code") / name, **options)
        folder = make_folder(directory / "code", self.files)
        target = PRESETS[self.target]
        findings = diagnose(deployment(folder, self.script, target=target, inside=self.inside, **self.env))
        (finding,) = [item for item in findings if item.name == self.name]
        assert finding.severity == self.severity
        assert self.what in f"{finding.path}: {finding.what}; {finding.why}"
        assert self.type in finding.type
        assert finding.why
