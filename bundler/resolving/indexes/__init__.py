"""What package indexes do besides answering: refuse, offer one name twice, list weak hashes → warnings and errors.

In reading order: ``asked_indexes``, ``index_errors``, ``offered_twice``, ``weak_hashes``.
"""
