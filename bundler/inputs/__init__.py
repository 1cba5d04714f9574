"""What people have that is no requirements file → requirements and a target, or wheels.

In: an environment in which packages are installed. Out: exact requirements for the resolver, or the installed files
themselves, packed again as wheels.

In reading order: ``installed_projects``, ``environments``, ``installed_files``, ``installed_requirements``,
``packed_distributions``.
"""
