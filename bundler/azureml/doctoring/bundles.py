"""A bundle in a code folder → whether it is whole and for the target. What is in it is not hashed: that is ``verify``.

* Its documents are read and verified; of everything else, presence and size are compared.
* A packed directory or ``.pyz`` mounts itself by its ``sitecustomize.py``; without that, the entry script must.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from bundler.azureml.doctoring.findings import Finding, some
from bundler.runtime.carriers import open_carrier
from bundler.runtime.errors import BundleError, ContentError, TargetError
from bundler.runtime.images import load_image
from bundler.runtime.sites import SITE_PACKAGES
from bundler.runtime.targets import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.azureml.doctoring.deployments import Deployment
    from bundler.azureml.doctoring.directories import Place
    from bundler.runtime.carriers import Carrier
    from bundler.runtime.images import Image


def check_bundle(bundle: Place, deployment: Deployment) -> Iterator[Finding]:
    """Find what is wrong with *bundle*."""
    shown = deployment.shown(bundle.root)
    try:
        with open_carrier(str(bundle.root)) as carrier:
            image = load_image(carrier)
            wrong = _wrong_members(carrier, image)
            mounts = bundle.kind == "tree" or _has(carrier, "sitecustomize.py")
    except BundleError as error:
        yield _damaged(shown, f"is damaged or no bundle: {error.what}", (str(error.where),))
        return
    if wrong:
        yield _damaged(shown, f"is damaged: {some(wrong)} missing or of another size", tuple(wrong))
    path = os.path.relpath(bundle.root, deployment.entry_directory)
    if not mounts and not deployment.mounts_itself:
        yield Finding(
            name="bundle-does-not-mount",
            severity="fails",
            path=shown,
            what="has no sitecustomize.py, and the entry script does not mount it",
            why="on the path it is only some files: nothing unpacks it, and imports fail",
            type=f"create it again with this version; or begin {deployment.entry_script or 'the entry script'} with: "
            f'import bundle_runtime; bundle_runtime.mount("{path}")',
        )
    yield from _check_target(shown, image, deployment)


def files_at_top(bundle: Place) -> list[str]:
    """Return the names at the top of what *bundle* puts on the path; nothing if it cannot be read."""
    try:
        with open_carrier(str(bundle.root)) as carrier:
            files = load_image(carrier).tree.files
    except BundleError:
        return []
    return [file.path[len(SITE_PACKAGES) + 1 :] for file in files if file.path.rpartition("/")[0] == SITE_PACKAGES]


def pip_in(bundle: Place) -> str | None:
    """Return the version of the pip in *bundle*, if there is one."""
    try:
        with open_carrier(str(bundle.root)) as carrier:
            distributions = load_image(carrier).tree.distributions
    except BundleError:
        return None
    return next((item.version for item in distributions if item.name == "pip"), None)


def _check_target(shown: str, image: Image, deployment: Deployment) -> Iterator[Finding]:
    try:
        check(image.tree.needs, deployment.target, where=shown)
    except TargetError as error:
        yield Finding(
            name="bundle-target",
            severity="fails",
            path=shown,
            what=f"{error.what}; it is for {image.tree.target}",
            why=f"the container has {deployment.target}; a bundle for another refuses to boot (exit code 5)",
            type=f"bundle create … --force {deployment.create_options} -o {shlex.quote(shown)}, "
            "or tell doctor the container's --target",
        )


def _wrong_members(carrier: Carrier, image: Image) -> list[str]:
    """Return the members of *carrier* that are missing or have another size than *image* says."""
    if carrier.kind == "tree":
        return [file.path for file in image.tree.files if _size(f"{carrier.path}/{file.path}") != file.size]
    wrong = []
    for blob in image.manifest.layers:
        try:
            good = carrier.blob(blob.digest).size == blob.size
        except ContentError:
            good = False
        if not good:
            wrong.append(f"blobs/sha256/{blob.digest[7:]}")
    return wrong


def _size(path: str | Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return -1


def _has(carrier: Carrier, name: str) -> bool:
    try:
        carrier.member(name)
    except BundleError:
        return False
    return True


def _damaged(shown: str, what: str, files: tuple[str, ...]) -> Finding:
    return Finding(
        name="bundle-damaged",
        severity="fails",
        path=shown,
        what=what,
        why="a bundle that is not what was built refuses to boot (exit code 3)",
        type=f"bundle verify {shlex.quote(shown)}, then create or copy it again",
        files=files,
    )
