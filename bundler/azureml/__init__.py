"""A code folder → whether Azure ML can run it, and the settings that do. Enter by ``doctor.diagnose``.

In reading order: ``doctor``, ``doctoring/`` (what it looks at, subject by subject), ``settings``.
"""
