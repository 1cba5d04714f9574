"""What builders keep between runs, shared by processes. Enter by ``build_cache.Cache``; it uses ``file_locks``.

* An entry is complete under its final name, or not there. A lock ends with its process.
"""
