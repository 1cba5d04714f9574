"""An environment in which packages are installed → exact requirements for the resolver, or wheels of its files.

* Files are read, and nothing else; what they say is a stranger's.
* What is installed is taken in its version, nothing more. What is not taken is named.

In reading order: ``installed_projects``, ``environments``, ``installed_files``; ``installed_requirements``,
``chosen_wheels``; ``packed_distributions``.
"""
