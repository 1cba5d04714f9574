"""What people have that is no requirements file → requirements and a target, or wheels.

``installed/``: an environment in which packages are installed.
"""
