"""Run the command line of the bundle that this file lies in: ``python3.7 deps.pyz verify``."""

import os
import sys

if sys.version_info < (3, 7):
    sys.exit("error: this bundle needs Python 3.7 or newer, not %d.%d" % sys.version_info[:2])
sys.dont_write_bytecode = True

from bundle_runtime.cli import main
from bundle_runtime.startup import discard_compiled

discard_compiled(__spec__)
sys.exit(main(os.path.dirname(os.path.abspath(__file__))))
