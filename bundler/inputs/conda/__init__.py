"""A conda environment file → lines of requirements for PyPI, and a target. Enter by ``environment_files``.

* Nothing of conda's channels is used, and nothing is mapped or left out without a word.

In reading order: ``environment_files``, ``match_specs``, ``package_names``.
"""
