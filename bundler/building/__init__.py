"""Source → a wheel for the target. Enter by ``builder.Builder``.

* A source is built only where no wheel fits, and never before its sha256 is known.
* Other people's code runs in a sandbox (``sandbox``): no network, no HOME, nothing of the host but compilers and the
  interpreter, with bounds on time and disk.
* The same source and build requirements give the same bytes: file times, hash seed, umask and paths are fixed, and the
  wheel is packed anew (``repacking``).
* What comes out has to load on the target (``native_code``).

In reading order: ``builder``, ``projects``, ``source_trees``, ``environments``, ``backends``, ``sandbox``,
``repacking``, ``native_code``, ``built_wheels``.
"""
