"""What people have that is no requirements file → requirements and a target, or wheels.

In: a project's file, another tool's lock, a conda file (enter by ``kinds.read_input``), or an environment in which
packages are installed (``installed/``). Out: requirements for the resolver, each with the place it
stands at, the Python that is wanted, and what a user should hear; or the installed files, packed again as wheels.
* A lock becomes exact versions with all the hashes that it lists, which the resolver enforces.
* Nothing of a project or of an environment runs.
* What is read ends in a requirements file. So nothing is written there that was not understood first: a name, a
  version, a hash, a URL.

In reading order: ``listings``, ``kinds``, ``found_inputs``; ``documents`` and ``python_versions``, which the readers
share; ``pyproject``, ``poetry_projects``; ``locks/``; ``conda/``; ``installed/``.
"""
