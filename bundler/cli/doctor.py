"""``bundle doctor``: what would fail in a deployment, and what to type."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.azureml.doctor import diagnose
from bundler.azureml.doctoring.deployments import (
    APP_ROOT,
    DEFAULT_APP_ROOT,
    ENTRY_SCRIPT,
    Deployment,
    Description,
    find_entry_script,
    read_description,
)
from bundler.cli.options import add_target
from bundler.runtime.errors import UsageError
from bundler.targets import find_target

if TYPE_CHECKING:
    import argparse

    from bundler.azureml.doctoring.findings import Finding

HELP = "find what would fail in an Azure ML deployment, and say what to type"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--score-dir",
        metavar="DIR",
        type=Path,
        help="the code folder that is uploaded (default: what --deployment says, else the current directory)",
    )
    parser.add_argument("--entry-script", metavar="FILE", help="the entry script, relative to it (default: score.py)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    group = parser.add_argument_group("settings")
    group.add_argument("--deployment", metavar="FILE", type=Path, help="take them from a deployment YAML (Azure ML v2)")
    group.add_argument(
        "--env", metavar="NAME=VALUE", action="append", default=[], help="one variable; may be given several times"
    )
    group.add_argument(
        "--env-from-process",
        action="store_true",
        help=f"take them from this process: inside the container (default where {ENTRY_SCRIPT} is set)",
    )
    add_target(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return 1 if anything would fail."""
    deployment = _deployment(options)
    findings = diagnose(deployment)
    failing = sum(finding.severity == "fails" for finding in findings)
    if options.json:
        print(json.dumps(_to_json(deployment, findings), indent=2))
    else:
        _show(deployment, findings, failing)
    return 1 if failing else 0


def _deployment(options: argparse.Namespace) -> Deployment:
    given = options.deployment or options.env
    inside = options.env_from_process or (not given and options.score_dir is None and ENTRY_SCRIPT in os.environ)
    description = Description(code=None, scoring_script=None, settings={}, image=None)
    if options.deployment:
        description = read_description(options.deployment)
    settings = {**(os.environ if inside else {}), **description.settings, **_pairs(options.env)}
    root = Path(settings.get(APP_ROOT) or DEFAULT_APP_ROOT) if inside else Path()
    folder = (options.score_dir or description.code or root).absolute()
    script = options.entry_script or description.scoring_script or settings.get(ENTRY_SCRIPT)
    return Deployment(
        folder=Path(os.path.normpath(folder)),
        entry_script=script or find_entry_script(folder),
        settings=settings if given or inside else None,
        target=find_target(
            options.target or (description.target if options.python is None else None), options.python, options.platform
        ),
        inside=inside,
    )


def _pairs(items: list[str]) -> dict[str, str]:
    for item in items:
        if not item.partition("=")[0] or "=" not in item:
            raise UsageError("--env", "is not understood", got=item, want="NAME=VALUE")
    return dict(item.split("=", 1) for item in items)


def _to_json(deployment: Deployment, findings: tuple[Finding, ...]) -> dict[str, object]:
    return {
        "score_dir": str(deployment.folder),
        "entry_script": deployment.entry_script,
        "target": deployment.target.to_json(),
        "fails": any(finding.severity == "fails" for finding in findings),
        "findings": [finding.to_json() for finding in findings],
    }


def _show(deployment: Deployment, findings: tuple[Finding, ...], failing: int) -> None:
    for finding in findings:
        print(f"{finding.severity}: {finding.path}: {finding.what} [{finding.name}]")
        print(f"  why:  {finding.why}")
        print(f"  type: {finding.type}")
    where = f"{deployment.folder}, entry script {deployment.entry_script or 'unknown'}, {deployment.target}"
    if not findings:
        print(f"nothing found that would fail ({where})")
    else:
        print(f"{failing} would fail, {len(findings) - failing} to know about ({where})")
