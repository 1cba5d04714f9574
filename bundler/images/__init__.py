"""Layers → an OCI image → an artifact on disk. Enter by ``oci_image.assemble`` and ``carriers.write_carrier``.

* Every artifact holds the same blobs, and what starts it: the runtime, ``launch/`` and the target's zstd decoder.

In reading order: ``oci_image``, ``carriers``, ``decoder_wheels``, ``zstd_decoders``, ``launch/``,
``standalone_verifier``, ``verification``.
"""
