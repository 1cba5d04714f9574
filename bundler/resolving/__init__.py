"""Requirements + target → lock. Enter by ``resolver.resolve``.

* uv decides; what it answers is validated, narrowed to the target, and held to the hashes that the user demands.
* Over an image with packages of its own, ``baseline_constraints`` asks until the result does not break the image.
* conda's environment files become requirements files first.

In reading order: ``resolver``, ``requirement_files``, ``uv_command``, ``resolver_errors``, ``baseline_constraints``,
``baseline_requirements``, ``dropped_requirements``; what an image has is in ``baseline/``. Projects in requirement
files: ``expansion``, ``project_lines``; sources and uv: ``sources``, ``invalid_requirements``, ``uv_query``,
``no_build_python``. Conda's files are read in ``conda/``.
"""
