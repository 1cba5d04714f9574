"""A query → what uv answers. Enter by ``uv_query.compile_once``.

* uv decides, and runs no code of a package. Nothing outside of this folder knows its options or its wording.

In reading order: ``uv_query``, ``uv_command``, ``no_build_python``, ``own_indexes``, ``unsolved``.
"""
