"""Wheel → the files of the tree. Enter by ``wheel_reader.Wheel`` and ``install.files_of``.

* A wheel is the one that the lock names and follows the rules A of docs/security.md; its files have the hashes of its
  RECORD.
* No code of a wheel runs. Code that would run by itself at boot is refused unless somebody allows it.

In reading order: ``wheel_reader``, ``records``, ``entry_points``, ``install``, ``backports``,
``startup_code``, ``standard_library``, ``allowances``, ``requirers``, ``empty_projects``, ``wheelhouse_layout``.
"""
