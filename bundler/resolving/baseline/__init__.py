"""What an image has installed, and what a bundle over it would change. Enter by ``baselines.read_baseline``.

In reading order: ``baselines``, ``list_installed`` (run by the image's own Python), ``conflicts``,
``metadata_only_wheels``.
"""
