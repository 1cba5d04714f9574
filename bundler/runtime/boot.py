"""A bundle at boot: from a carrier to a verified tree on disk, doing no more work than needed.

* A tree is taken as it is if it was unpacked and verified since the system started; after a restart every byte of it
  is hashed again; a tree that has changed is unpacked anew.
* Processes that start together do the work once: one unpacks, the others wait for it.
* Everything that was decided goes into a report, a plain dict that ``--report`` writes as JSON.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, Mapping, Optional, Tuple

from .carriers import Carrier, open_carrier
from .documents import parse_json, to_json
from .errors import BundleError, ContentError, PlaceError
from .images import Image, load_image, read_digest
from .places import Lock, Staging, boot_id, choose_cache, remove_tree
from .targets import Target, check, this_target
from .trees import faults_of_tree, raise_faults, write_tree
from .zstd import Decoder


def open_tree(
    path: str,
    expect: Optional[str] = None,
    *,
    environ: Optional[Mapping[str, str]] = None,
    report: Optional[Dict[str, Any]] = None,
) -> str:
    """Return the directory of the verified tree of the bundle at *path*, unpacked into the cache if need be.

    *expect* is the digest it must have; *report* is filled with what was done. Raise a ``BundleError`` of the class
    that tells why not.
    """
    environ = os.environ if environ is None else environ
    report = {} if report is None else report
    started = time.monotonic()
    with open_carrier(path) as carrier:
        report.update(bundle=carrier.path, carrier=carrier.kind, python=sys.version.split()[0])
        if carrier.kind == "tree":
            image = load_image(carrier, expect)
            check(image.tree.needs, this_target(), where=carrier.path)
            raise_faults(carrier.path, faults_of_tree(image, carrier.path))
            report.update(digest=image.digest, decision="verified in place", tree=carrier.path)
            root = carrier.path
        else:
            digest = read_digest(carrier, expect)
            report.update(digest=digest)
            root = _cached_tree(carrier, digest, expect, environ, report)
            report.update(tree=root)
    report.update(
        trust="verified" if expect else "self-consistent", milliseconds=round((time.monotonic() - started) * 1000, 1)
    )
    return root


def _cached_tree(
    carrier: Carrier, digest: str, expect: Optional[str], environ: Mapping[str, str], report: Dict[str, Any]
) -> str:
    image: Optional[Image] = None
    name = digest[7:]

    def needed(cache: str) -> Tuple[int, int]:
        """Bytes and files still to be written into *cache*: none if the tree is there."""
        nonlocal image
        if os.path.isdir(os.path.join(cache, name)):
            return 0, 0
        if image is None:
            image = load_image(carrier, expect)
            check(image.tree.needs, this_target(), where=carrier.path)
        return sum(file.size + 4096 for file in image.tree.files), len(image.tree.files)

    cache = choose_cache(environ, needed)
    root = os.path.join(cache, name)
    report.update(cache=cache)
    if _is_finished(root, carrier.path):
        report.update(decision="found finished")
        return root
    image = image or load_image(carrier, expect)
    check(image.tree.needs, this_target(), where=carrier.path)
    try:
        with Lock(root + ".lock"):
            if _is_finished(root, carrier.path):
                report.update(decision="waited for another process")
            elif os.path.isdir(root) and not faults_of_tree(image, root):
                report.update(decision="verified again")
            else:
                if os.path.isdir(root):
                    report.update(replaced="a tree that had changed")
                    remove_tree(root)
                _unpack_into(image, carrier, root, report)
            _finish(root, image)
    except OSError as error:
        if os.path.isdir(root) and not faults_of_tree(image, root):  # a cache that is read-only by now
            report.update(decision="verified again, and not noted down")
            return root
        raise PlaceError(
            error.filename or cache, f"cannot be used: {error.strerror}", hint="set BUNDLE_CACHE", rule="C23"
        ) from error
    return root


def _unpack_into(image: Image, carrier: Carrier, root: str, report: Dict[str, Any]) -> None:
    with Staging(root) as staging:
        decoder = write_tree(image, carrier, staging.path)
        report.update(decision="unpacked", decoder=decoder)
        try:
            staging.publish()
        except OSError:
            # Without locks another process may have been first; then its tree serves as well.
            if not os.path.isdir(root) or faults_of_tree(image, root):
                raise


def _finish(root: str, image: Image) -> None:
    """Write down that *root* is verified, as long as the system runs."""
    marker = root + ".verified"
    temporary = f"{marker}.{os.getpid()}"
    data = to_json({"boot": boot_id(), "needs": image.tree.needs.to_json()})
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, marker)


def _is_finished(root: str, where: str) -> bool:
    """Tell whether *root* was verified since the system started; check the target that it was built for."""
    try:
        with open(root + ".verified", "rb") as file:
            marker = parse_json(file.read(4096), root)
        needs = Target.from_json(marker["needs"])
        known = bool(marker["boot"]) and marker["boot"] == boot_id() and os.path.isdir(root)
    except (OSError, KeyError, TypeError, ContentError):
        return False
    check(needs, this_target(), where=where)
    return known


def unpack(
    path: str, directory: str, expect: Optional[str] = None, *, decode: Optional[Decoder] = None, force: bool = False
) -> Image:
    """Unpack the bundle at *path* into *directory*, which appears complete or not at all.

    With *force* a bundle's tree that is already there is replaced. The interpreter need not be the target.
    """
    directory = os.path.abspath(directory)
    with open_carrier(path) as carrier:
        if carrier.kind == "tree":
            raise BundleError(carrier.path, "is unpacked already", hint="copy the directory")
        image = load_image(carrier, expect)
        replace = _must_replace(directory, force=force)
        try:
            with Staging(directory) as staging:
                write_tree(image, carrier, staging.path, decode=decode)
                staging.publish(replace=replace)
        except OSError as error:
            raise PlaceError(directory, f"cannot be written: {error.strerror}", rule="D26") from error
    return image


def _must_replace(directory: str, *, force: bool) -> bool:
    """Tell whether a tree is to be replaced; refuse anything else that is in the way."""
    if not os.path.isdir(os.path.dirname(directory)):
        raise BundleError(directory, "cannot be made: its parent directory does not exist")
    if not os.path.lexists(directory) or (os.path.isdir(directory) and not os.listdir(directory)):
        return False
    if not force:
        raise BundleError(directory, "exists already", hint="choose another directory, or replace it with --force")
    open_carrier(directory).close()
    return True
