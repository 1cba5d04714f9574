"""Zip and tar: strict readers and deterministic writers. The lowest stage: it knows nothing of wheels or bundles.

* A reader accepts one reading only, and accounts for every byte; anything else is refused with a rule of
  docs/security.md. A writer gives the same bytes everywhere.

In reading order: ``portable_paths``, ``zip_headers``, ``zip_reader``, ``zip_writer``, ``tar_writer``, ``tar_reader``.
"""
