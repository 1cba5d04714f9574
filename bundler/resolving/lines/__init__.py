"""Requirement files → requirements, each with the place it stands at, and the options of the files.

* Files are read as pip reads them. What is handed on names wheels only: projects in them were built.

In reading order: ``requirement_text``, ``requirement_files``, ``project_lines``, ``expansion``, ``requirement_lines``.
"""
