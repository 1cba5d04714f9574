"""Where bundles are kept by digest: one protocol (``store.py``), one file for each medium, and ``open_store``.

    path, file:///dir                       an OCI image layout in a directory           oci_layouts.py
    path of a .pyz or packed directory      a bundle, to be read from                    bundle_files.py
    oci-archive:FILE.tar                    an OCI image layout in a tar                 oci_archives.py
    oci://registry/repository               a registry                                   registries.py
    az:// s3:// gs:// https://….blob.…      an object store (the extra ``objects``)      object_stores.py

Each may be followed by ``:NAME`` or ``@sha256:…``; the default is the name ``latest``.
"""

from __future__ import annotations

from bundler.stores.store import DEFAULT_NAME, Store
from bundler.stores.urls import open_store

__all__ = ["DEFAULT_NAME", "Store", "open_store"]
