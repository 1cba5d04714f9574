"""Requirements + target → lock. Enter by ``resolver.resolve``.

* uv decides; what it answers is validated, narrowed to the target, and held to the hashes that the user demands.
* Over an image with packages of its own, ``baseline_constraints`` asks until the result does not break the image.

In reading order: ``resolver``; ``lines/``, what is asked; ``uv/``, who answers; ``sources``, ``invalid_requirements``,
``exact_target``, ``preferring_wheels``: which answer is taken; ``indexes/``. If there is none: ``diagnosis``,
``wheel_versions``, ``resolver_errors``. What is said of a result: ``cuda_wheels``, ``dropped_requirements``. Images:
``baseline_constraints``, ``baseline_requirements``, ``image_overlaps``, ``baseline/``.
"""
