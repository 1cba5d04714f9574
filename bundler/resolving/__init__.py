"""Requirements + target → lock. Enter by ``resolver.resolve``.

* uv decides; what it answers is validated, narrowed to the target, and held to the hashes that the user demands.
* Over an image with packages of its own, ``baseline_constraints`` asks until the result does not break the image.

In reading order: ``resolver``; what is asked: ``requirement_text``, ``requirement_files``, ``expansion``,
``project_lines``, ``requirement_lines``; uv: ``uv_command``, ``uv_query``, ``no_build_python``, ``unsolved``.
"""
