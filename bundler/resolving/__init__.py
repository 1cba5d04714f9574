"""Requirements + target → lock. Enter by ``resolver.resolve``.

* uv decides; what it answers is validated, narrowed to the target, and held to the hashes that the user demands.
* Over an image with packages of its own, ``baseline_constraints`` asks until the result does not break the image.

In reading order: ``resolver``; what is asked: ``requirement_text``, ``requirement_files``, ``expansion``,
``project_lines``, ``requirement_lines``; uv: ``uv_command``, ``uv_query``, ``no_build_python``, ``unsolved``; the
answer: ``sources``, ``exact_target``, ``preferring_wheels``; errors: ``diagnosis``, ``wheel_versions``,
``resolver_errors``, ``index_errors``; indexes: ``asked_indexes``, ``own_indexes``, ``offered_twice``,
``weak_hashes``; images: ``baseline_constraints``, ``baseline_requirements``, ``image_overlaps``, ``baseline/``;
``dropped_requirements``.
"""
