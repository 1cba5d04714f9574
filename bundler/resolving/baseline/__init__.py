"""What an image has installed, and what a bundle over it would change. Enter by ``bundled_baselines.baseline_at``.

In reading order: ``baselines``, ``list_installed`` (run by the image's own Python), ``bundled_baselines`` (the lists of
``images/``, by preset), ``conflicts``, ``metadata_only_wheels``.
"""
