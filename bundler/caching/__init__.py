"""What builders keep between runs, shared by processes. Enter by ``build_cache.Cache``; ``file_locks`` is its ground.

* An entry is complete under its final name, or not there. A lock ends with its process.
"""
