"""Mount the bundle that this file lies in, in every Python that has it on its path, or end that Python.

Any Python may find this file, even one that is too old for the runtime: it has to be readable by Python 2.
"""

import os
import sys


def _start(directory):
    if sys.version_info < (3, 7):
        os.write(2, b"bundle: python will not start: %s needs Python 3.7 or newer\n" % directory.encode("utf-8"))
        try:  # noqa: SIM105 - contextlib.suppress is too new
            os.remove(globals().get("__cached__") or __file__ + "c")  # what it has compiled would be an extra file
        except OSError:
            pass
        os._exit(5)
    sys.dont_write_bytecode = True  # a .pyc that Python adds would be a fault of the tree
    # Of several bundles on the path, each is opened by its own runtime.
    loaded = [name for name in sys.modules if name.partition(".")[0] == "bundle_runtime"]
    for name in loaded:
        del sys.modules[name]
    # Nothing but the runtime can be imported from the bundle's own directory: it does not stay on the path.
    position = sys.path.index(directory) if directory in sys.path else 0
    path = [entry for entry in sys.path if entry != directory]
    try:
        sys.path[:] = path
        import __future__  # noqa: F401 - the one module that the first steps need

        sys.path[:] = [directory]
        from bundle_runtime.startup import start
    except BaseException as error:  # noqa: BLE001 - fail closed, whatever it is
        os.write(2, ("bundle: python will not start: %s: %r\n" % (directory, error)).encode("utf-8", "replace"))
        os._exit(3)
    sys.path[:] = path
    start(directory, position, __loader__.get_data, __spec__)


_start(os.path.dirname(os.path.abspath(__file__)))
