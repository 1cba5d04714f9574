"""A bundle at boot: from a carrier to a verified tree on disk, doing no more work than needed.

* ``BUNDLE_VERIFY`` is the policy for a tree that is there already: ``boot`` (default) takes it as it is if it was
  verified since the system started, ``always`` hashes every byte again, ``never`` takes it whenever it is complete.
  Whatever the policy, what is unpacked is verified, and a tree that has changed is unpacked anew.
* What is demanded besides (``demands.py``) is checked first, and noted down with what was verified.
* A tree that is used where it lies is verified there; nothing has to be written for it.
* Processes that start together do the work once: one unpacks, the others wait for it.
* Everything that was decided goes into a report, a plain dict that ``BUNDLE_REPORT`` and ``--report`` write as JSON.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any, Dict, MutableMapping, Optional, Tuple

from . import markers
from .carriers import Carrier, open_carrier
from .demands import Demands, demands_of, with_options
from .errors import BundleError, PlaceError, UsageError
from .images import Image, load_image, read_config, read_digest
from .places import Lock, Staging, choose_cache, discard
from .pruning import prune_beside
from .trees import faults_of_tree, raise_faults, write_tree
from .uses import hold
from .zstd import Decoder


def open_tree(
    path: str,
    expect: Optional[str] = None,
    *,
    environ: Optional[MutableMapping[str, str]] = None,
    report: Optional[Dict[str, Any]] = None,
) -> str:
    """Return the directory of the verified tree of the bundle at *path*, unpacked into the cache if need be.

    *expect* is the digest it must have (default: ``BUNDLE_EXPECT`` of *environ*); *report* is filled with what was
    done. Raise a ``BundleError`` of the class that tells why not.
    """
    environ = os.environ if environ is None else environ
    report = {} if report is None else report
    started = time.monotonic()
    policy = policy_of(environ)
    demands = demands_of(with_options(environ, expect=expect))
    with open_carrier(path) as carrier:
        report.update(bundle=carrier.path, carrier=carrier.kind, python=sys.version.split()[0], policy=policy)
        digest = read_digest(carrier, demands.expect)
        report.update(digest=digest, trust="verified" if demands.expect or demands.keys else "self-consistent")
        named = markers.demanded(environ)
        if named != markers.NONE and not markers.met(digest, carrier.path, named):
            report.update(signed_by=demands.check(carrier, digest, read_config(carrier, digest)))
        if carrier.kind == "tree":
            root = carrier.path
            _verify_in_place(carrier, digest, policy, environ, report)
        else:
            root = _cached_tree(carrier, digest, policy, environ, report)
        if policy == "never":
            report.update(trust="NOT VERIFIED: BUNDLE_VERIFY=never takes a tree without looking at it")
    report.update(tree=root, milliseconds=round((time.monotonic() - started) * 1000, 1))
    return root


def policy_of(environ: MutableMapping[str, str]) -> str:
    """Return ``BUNDLE_VERIFY``; raise ``UsageError`` if it is not a policy."""
    policy = environ.get("BUNDLE_VERIFY") or "boot"
    if policy not in markers.POLICIES:
        raise UsageError("BUNDLE_VERIFY", "is not a policy", got=policy, want=", ".join(markers.POLICIES))
    return policy


def _verify_in_place(
    carrier: Carrier, digest: str, policy: str, environ: MutableMapping[str, str], report: Dict[str, Any]
) -> None:
    if markers.taken_in_place(digest, carrier.path, policy, environ, None):
        report.update(decision="found verified in place")
    else:
        image = load_image(carrier, digest)
        image.check_runs_here(carrier.path)
        if policy == "never":
            report.update(decision="taken without a look")
            return
        raise_faults(carrier.path, faults_of_tree(image, carrier.path, started=True))
        report.update(decision="verified in place")
    if policy == "boot":
        markers.note_in_place(carrier.path, digest, environ, markers.demanded(environ))


def _cached_tree(
    carrier: Carrier, digest: str, policy: str, environ: MutableMapping[str, str], report: Dict[str, Any]
) -> str:
    demands = markers.demanded(environ)
    found = markers.finished(digest, policy, environ, None)
    if found and hold(found, found + markers.SUFFIX):
        report.update(decision="found finished")
        if not markers.met(digest, found, demands):
            _note(found, digest, demands, looked=policy != "never")
        return found
    image: Optional[Image] = None
    name = digest[7:]

    def needed(cache: str) -> Tuple[int, int]:
        """Bytes and files still to be written into *cache*: none if the tree is there."""
        nonlocal image
        if os.path.isdir(os.path.join(cache, name)):
            return 0, 0
        if image is None:
            image = load_image(carrier, digest)
            image.check_runs_here(carrier.path)
        return sum(file.size + 4096 for file in image.tree.files), len(image.tree.files)

    cache = choose_cache(environ, needed)
    root = os.path.join(cache, name)
    report.update(cache=cache)
    image = image or load_image(carrier, digest)
    image.check_runs_here(carrier.path)
    try:
        with Lock(root + ".lock"):
            if policy == "boot" and markers.finished(digest, policy, environ, demands) == root:
                report.update(decision="waited for another process")
            else:
                _make_ready(image, carrier, root, policy, demands, report)
            hold(root, root + markers.SUFFIX)
    except OSError as error:
        if os.path.isdir(root) and not faults_of_tree(image, root):  # a cache that is read-only by now
            report.update(decision="verified again, and not noted down")
            return root
        raise PlaceError(
            error.filename or cache, f"cannot be used: {error.strerror}", hint="set BUNDLE_CACHE", rule="C23"
        ) from error
    if report["decision"] == "unpacked":
        prune_beside(root)
    return root


def _note(root: str, digest: str, demands: str, *, looked: bool) -> None:
    """Note down, where that is possible, that *demands* are met by the tree at *root*; *looked* tells if it was."""
    with suppress(OSError):  # a cache that is read-only by now
        markers.note(root, digest, demands, looked=looked)


def _make_ready(image: Image, carrier: Carrier, root: str, policy: str, demands: str, report: Dict[str, Any]) -> None:
    """Take the tree at *root* as it is, or verify it, or unpack it (anew)."""
    there = os.path.isdir(root)
    if there and policy == "never":
        report.update(decision="taken without a look")
        _note(root, image.digest, demands, looked=False)
        return
    if there and not faults_of_tree(image, root):
        report.update(decision="verified again")
    else:
        if there:
            report.update(replaced="a tree that had changed")
            markers.forget(root)
            discard(root)
        _unpack_into(image, carrier, root, report)
    markers.note(root, image.digest, demands)


def _unpack_into(image: Image, carrier: Carrier, root: str, report: Dict[str, Any]) -> None:
    with Staging(root) as staging:
        decoder = write_tree(image, carrier, staging.path, read_only=True)
        report.update(decision="unpacked", decoder=decoder)
        try:
            staging.publish(read_only=True)
        except OSError:
            # Without locks another process may have been first; then its tree serves as well.
            if not os.path.isdir(root) or faults_of_tree(image, root):
                raise


def unpack(
    path: str,
    directory: str,
    demands: Demands = Demands(),  # noqa: B008 - it is a tuple
    *,
    decode: Optional[Decoder] = None,
    force: bool = False,
) -> Image:
    """Unpack the bundle at *path* into *directory*, which appears complete or not at all; signatures come along.

    With *force* a bundle's tree that is already there is replaced. The interpreter need not be the target.
    """
    directory = os.path.abspath(directory)
    with open_carrier(path) as carrier:
        if carrier.kind == "tree":
            raise BundleError(carrier.path, "is unpacked already", hint="copy the directory")
        image = load_image(carrier, demands.expect)
        demands.check(carrier, image.digest, image.config)
        replace = _must_replace(directory, force=force)
        try:
            with Staging(directory) as staging:
                write_tree(image, carrier, staging.path, decode=decode)
                if carrier.listed()[1:]:
                    from .referrers import copy_signatures

                    copy_signatures(carrier, image.digest, staging.path)
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
