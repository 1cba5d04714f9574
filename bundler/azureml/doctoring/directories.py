"""A directory that is put on the path → what kind of directory it is, and whether its packages can be found in it.

* A bundle: a packed directory as it is, a tree by its ``site-packages``, a ``.pyz`` as it is (``PYTHONPATH`` only).
* A virtualenv or conda environment by its ``lib/pythonX.Y/site-packages``.
* A directory of wheels is none of these: pip installs from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bundler.azureml.doctoring.deployments import LIBRARY, REQUIREMENTS, Deployment
from bundler.azureml.doctoring.findings import Finding
from bundler.runtime.carriers import TREE_MANIFEST
from bundler.runtime.sites import SITE_PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Kind = Literal["pyz", "packed", "tree", "virtualenv", "conda", "packages"]
_DEPTH = 4  # of site-packages below the root of its environment, and one to spare
_SKIPPED = frozenset({".git", "node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory or ``.pyz`` on the path. *root* is the bundle or the environment that it belongs to."""

    path: Path
    kind: Kind
    root: Path

    @property
    def is_bundle(self) -> bool:
        """Whether a bundle's own documents tell what is in it."""
        return self.kind in ("pyz", "packed", "tree")


def place_of(path: Path) -> Place:
    """Return what *path*, which exists, is."""
    if path.is_file():
        return Place(path=path, kind="pyz", root=path)
    if (path / "oci-layout").is_file():
        return Place(path=path, kind="packed", root=path)
    for root in (path, path.parent):
        if (root / TREE_MANIFEST).is_file():
            return Place(path=path, kind="tree", root=root)
    above = (path, *path.parents[:_DEPTH])
    kinds: tuple[tuple[Kind, str], ...] = (("virtualenv", "pyvenv.cfg"), ("conda", "conda-meta"))
    for kind, mark in kinds:
        for root in above:
            if (root / mark).exists():
                return Place(path=path, kind=kind, root=root)
    return Place(path=path, kind="packages", root=path)


def packages_of(path: Path, deployment: Deployment) -> Path:
    """Return what of the bundle or environment at *path* belongs on the path; where it is neither, *path*."""
    place = place_of(path)
    if place.kind == "tree" and path == place.root:
        return path / SITE_PACKAGES
    if place.kind in ("virtualenv", "conda") and path.name != SITE_PACKAGES:
        return site_packages_of(place.root, deployment)
    return path


def check_kind(place: Place, variable: str, deployment: Deployment) -> Iterator[Finding]:
    """Find out whether *place* is the directory that holds the packages, or only near it."""
    path = place.path
    right: Path | None = packages_of(path, deployment)
    what = "is the root of a tree" if place.kind == "tree" else f"is a part of a {place.kind}, not its site-packages"
    if right != path:
        pass
    elif place.kind == "packages" and not holds_packages(path):
        if wheels_in(path):
            requirements = path / "requirements.txt"
            yield Finding(
                name="directory-of-wheels",
                severity="fails",
                path=deployment.shown(path),
                what="holds wheels, which nobody can import",
                why=f"{variable} needs installed packages; wheels are installed by pip, at start",
                type=f"remove {variable}, and set {deployment.setting(REQUIREMENTS, requirements)}"
                + ("" if requirements.is_file() else " with --no-index and --find-links in it"),
            )
            return
        inner = [path / SITE_PACKAGES, *sorted(path.glob(f"lib/python3.*/{SITE_PACKAGES}"))]
        right = next((directory for directory in inner if directory.is_dir()), None)
        what = "holds nothing that can be imported"
    else:
        return
    yield Finding(
        name="not-the-packages",
        severity="fails",
        path=deployment.shown(path),
        what=what,
        why="a directory on the path is searched itself, not what is in it: imports fail",
        type=deployment.setting(variable, right) if right is not None else deployment.bundle_instead,
    )


def site_packages_of(root: Path, deployment: Deployment) -> Path:
    """Return the ``site-packages`` of the environment *root*, that of the target's Python if there are several."""
    wanted = root / "lib" / "python{}.{}".format(*deployment.target.python_minor) / SITE_PACKAGES
    found = sorted(root.glob(f"lib/python3.*/{SITE_PACKAGES}"))
    return wanted if wanted.is_dir() or not found else found[0]


def holds_packages(path: Path) -> bool:
    """Tell whether something in *path* can be imported."""
    return any(
        entry.suffix in (".py", ".so", ".dist-info", ".egg-info", ".pth")
        or (entry.is_dir() and any((entry / name).exists() for name in ("__init__.py", "py.typed")))
        for entry in path.iterdir()
    )


def wheels_in(path: Path) -> bool:
    """Tell whether *path* holds wheels, itself or in a directory ``wheels``."""
    return any(path.glob("*.whl")) or any(path.glob("wheels/*.whl"))


def find_places(deployment: Deployment) -> Iterator[Place]:
    """Yield the bundles in the code folder; where no settings are known, virtualenvs and conda environments, too."""
    for place in _find(deployment.folder, 3):
        if place.is_bundle:
            yield place
        elif deployment.settings is None:
            yield place_of(site_packages_of(place.root, deployment))


def _find(folder: Path, depth: int) -> Iterator[Place]:
    """Yield what is no ordinary directory in *folder*, at most *depth* directories down."""
    for entry in sorted(folder.iterdir()):
        if entry.suffix == ".pyz" and entry.is_file():
            yield place_of(entry)
        elif entry.is_dir() and not entry.is_symlink() and entry.name not in _SKIPPED:
            place = place_of(entry)
            if place.kind == "tree":
                yield place_of(entry / SITE_PACKAGES)
            elif place.kind != "packages":
                yield place
            elif depth > 1:
                yield from _find(entry, depth - 1)


def check_is_used(place: Place, deployment: Deployment) -> Iterator[Finding]:
    """Find out whether anything puts *place*, which no known setting mentions, on the path."""
    if deployment.mounts_itself:
        return
    noun = "bundle" if place.is_bundle else place.kind
    how = LIBRARY if place.path.is_dir() and not deployment.image_ignores_variables else "PYTHONPATH"
    yield Finding(
        name="nothing-puts-it-on-the-path",
        severity="warning" if deployment.settings is None else "fails",
        path=deployment.shown(place.root),
        what=f"is a {noun} that no setting and no line of the entry script mentions"
        if deployment.settings is not None
        else f"is a {noun}; no settings are known here (--deployment, --env) that mention it",
        why="without one of them imports fail",
        type=deployment.setting(how, place.path),
    )
