"""A project's file or another tool's lock → a requirements file, and a target. Enter by ``kinds.read_input``.

* Each kind has one reader. All return the same value: lines with the place each stands at, the Python that is wanted,
  and what a user should hear.
* A lock becomes exact versions with all the hashes that it lists, which the resolver enforces. Nothing of a project
  runs.
* What is read ends in a requirements file. So nothing is written there that was not understood first: a name, a
  version, a hash, a URL.

In reading order: ``listings``, ``kinds``, ``found_inputs``; ``documents``, ``locked_packages`` and ``python_versions``,
which the readers share; ``pyproject``, ``poetry_projects``; ``pylocks``, ``uv_locks``, ``poetry_locks``, ``pdm_locks``,
``pipfile_locks``, ``lock_age``; ``conda/``; ``other_locks``, which holds the result to what the locks list.
"""
