"""Another tool's lock → exact versions with all the hashes that it lists, and nothing that it does not list.

In reading order: ``locked_packages``, which the readers share; ``pylocks``, ``uv_locks``, ``poetry_locks``,
``pdm_locks``, ``pipfile_locks``; ``lock_age``; ``other_locks``, which holds the result to what the locks list.
"""
