"""A directory of installed packages → what of it does not work from ``PYTHONPATH``, or on the target.

* A directory on ``PYTHONPATH`` is no site directory: its ``.pth`` files are dead, and with them editable installs.
* Metadata (``*.dist-info``) tells which Python and which other packages each one needs, and which wheel it was.
* ``.pyc`` files that are bound to the times of their sources are stale after an upload.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.azureml.doctoring.findings import Finding, some
from bundler.installed_distributions import distributions_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bundler.azureml.doctoring.deployments import Deployment
    from bundler.installed_distributions import Distribution

# Where the metadata is not at hand: the first pip of a series, and the Python that it needs.
_PIP_NEEDS = (("25.1", (3, 9)), ("24.1", (3, 8)), ("22.0", (3, 7)))
_EDITABLE = ("__editable__*", "*.egg-link", "easy-install.pth")
# Known to do nothing that is missed: the import lines of virtualenv, setuptools and namespace packages.
_HARMLESS = ("distutils-precedence.pth", "_virtualenv.pth")
_ANY_GLIBC = "2.99"


def check_packages(path: Path, deployment: Deployment) -> Iterator[Finding]:
    """Find what is wrong with the packages installed in *path*."""
    distributions = distributions_in(path)
    shown = deployment.shown(path)
    minor = "{}.{}".format(*deployment.target.python_minor)
    if "pip" in distributions:
        pip = distributions["pip"]
        fits = pip.python_fits(deployment.target)
        remedy = f"rm -r {shown}/pip {deployment.shown(pip.info)}"
        yield pip_finding(shown, pip.version, fits=fits, remedy=remedy, deployment=deployment)
    rest = {name: item for name, item in distributions.items() if name != "pip"}
    yield from _check_editable(path, rest, deployment)
    yield from _check_path_lines(path, deployment)
    if misfits := sorted(name for name, item in rest.items() if not item.python_fits(deployment.target)):
        yield Finding(
            name="packages-need-another-python",
            severity="fails",
            path=shown,
            what=f"holds packages that do not work with Python {deployment.target.python}: {some(misfits)}",
            why="pip chose these versions for another Python; imports fail, often with a SyntaxError",
            type=deployment.bundle_instead,
            files=tuple(misfits),
        )
    yield from _check_tags(shown, rest, deployment)
    missing = {
        canonicalize_name(requirement.name): owner
        for owner, item in rest.items()
        for requirement in item.requirements(deployment.target)
    }
    if absent := sorted(set(missing) - set(distributions)):
        yield Finding(
            name="requirements-missing",
            severity="warning",
            path=shown,
            what="lacks what its packages require: " + some([f"{name} (for {missing[name]})" for name in absent]),
            why="it was installed somewhere else (PYTHONPATH, user site, conda); imports fail unless the image has it",
            type=f"PYTHONPATH= python -s -m pip install --target {shown} {' '.join(absent)}; "
            f"or {deployment.bundle_instead}",
            files=tuple(absent),
        )
    if stale := _first_stale(path):
        yield Finding(
            name="bytecode-goes-stale",
            severity="warning",
            path=shown,
            what=f"has .pyc files that are bound to the times of their sources, such as {deployment.shown(stale)}",
            why="times do not survive the upload: every worker compiles at every start, and cannot keep the result",
            type=f"python{minor} -m compileall -qf --invalidation-mode unchecked-hash {shown}; "
            f"or {deployment.bundle_instead}",
        )


def pip_finding(shown: str, version: str, *, fits: bool | None, remedy: str, deployment: Deployment) -> Finding:
    """Return the finding for a pip in *shown*; *fits* is None where its metadata is not at hand."""
    if fits is None:
        fits = deployment.target.python_minor >= _python_for_pip(version)
    return Finding(
        name="pip-bundled",
        severity="warning" if fits else "fails",
        path=shown,
        what=f"has pip {version}"
        + ("" if fits else ", which is too new for Python {}.{}".format(*deployment.target.python_minor)),
        why="it takes the place of the image's pip, which the start script runs before the server"
        + ("" if fits else ": that ends with a SyntaxError"),
        type=remedy,
    )


def _python_for_pip(version: str) -> tuple[int, int]:
    try:
        return next((python for first, python in _PIP_NEEDS if Version(version) >= Version(first)), (3, 0))
    except InvalidVersion:
        return (3, 0)


def _check_editable(path: Path, distributions: Mapping[str, Distribution], deployment: Deployment) -> Iterator[Finding]:
    found = {file.name for pattern in _EDITABLE for file in path.glob(pattern)}
    found.update(item.info.name for item in distributions.values() if _is_editable(item.info / "direct_url.json"))
    if found:
        yield Finding(
            name="editable-install",
            severity="fails",
            path=deployment.shown(path),
            what=f"has editable installs: {some(sorted(found))}",
            why="they only point to a checkout on this host, by .pth files that nobody runs on PYTHONPATH",
            type="python -m pip install --force-reinstall --no-deps . instead of pip install -e .",
            files=tuple(sorted(found)),
        )


def _is_editable(file: Path) -> bool:
    try:
        document = json.loads(file.read_bytes())
        return bool(document["dir_info"]["editable"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_path_lines(path: Path, deployment: Deployment) -> Iterator[Finding]:
    for file in sorted(path.glob("*.pth")):
        if file.name in _HARMLESS or file.name.endswith("-nspkg.pth") or any(file.match(item) for item in _EDITABLE):
            continue
        lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        paths = [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]
        if not any(line and not line.startswith("#") for line in lines):
            continue
        yield Finding(
            name="pth-is-dead",
            severity="fails" if paths else "warning",
            path=deployment.shown(file),
            what=f"adds {some(paths)} to the path" if paths else "runs code when Python starts",
            why="PYTHONPATH is no site directory: .pth files in it are not read"
            + (", and what they name is not found" if paths else ""),
            type=f"{deployment.bundle_instead}: a bundle processes them when it is mounted",
        )


def _check_tags(shown: str, distributions: Mapping[str, Distribution], deployment: Deployment) -> Iterator[Finding]:
    target = deployment.target
    roomy = target._replace(libc_version=_ANY_GLIBC) if target.libc == "glibc" else target
    misfits = {name: item for name, item in distributions.items() if not item.tags_fit(target)}
    newer = sorted(name for name, item in misfits.items() if item.tags_fit(roomy))
    other = sorted(set(misfits) - set(newer))
    if other:
        yield Finding(
            name="wheels-for-another-target",
            severity="fails",
            path=shown,
            what="holds packages from wheels for another Python or platform: "
            + some([f"{name} ({misfits[name].wheel.get('Tag')})" for name in other]),
            why=f"the container is {target}; their modules do not load there",
            type=deployment.bundle_instead,
            files=tuple(other),
        )
    if newer:
        yield Finding(
            name="wheels-for-newer-glibc",
            severity="warning",
            path=shown,
            what="holds packages from wheels for a newer glibc: "
            + some([f"{name} ({misfits[name].wheel.get('Tag')})" for name in newer]),
            why=f"the container has glibc {target.libc_version}; pip would not have installed them there",
            type=deployment.bundle_instead,
            files=tuple(newer),
        )


def _first_stale(path: Path) -> Path | None:
    """Return the first ``.pyc`` in *path* that is valid only with the time of its source (PEP 552)."""
    for file in sorted(path.glob("*/__pycache__/*.pyc")) or sorted(path.glob("__pycache__/*.pyc")):
        with file.open("rb") as opened:
            flags = opened.read(8)[4:]
        return file if flags == bytes(4) else None
    return None
