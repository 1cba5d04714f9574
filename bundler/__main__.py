"""``python -m bundler`` is the console script ``bundle``."""

import sys

from bundler.cli import main

sys.exit(main())
