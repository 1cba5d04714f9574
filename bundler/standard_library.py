"""The names of the standard library's top-level modules, by version of Python.

The host's ``sys.stdlib_module_names`` will not do: a bundle must not depend on the Python that makes it. ``test`` is
left out, which many wheels ship by mistake and nobody imports.
"""

from __future__ import annotations

_NAMES = """
    abc antigravity argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 cProfile calendar
    cmath cmd code codecs codeop collections colorsys compileall concurrent configparser contextlib contextvars copy
    copyreg csv ctypes curses dataclasses datetime dbm decimal difflib dis doctest email encodings ensurepip enum
    errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass
    gettext glob grp gzip hashlib heapq hmac html http idlelib imaplib importlib inspect io ipaddress itertools json
    keyword linecache locale logging lzma mailbox marshal math mimetypes mmap modulefinder multiprocessing netrc
    ntpath nturl2path numbers opcode operator optparse os pathlib pdb pickle pickletools pkgutil platform plistlib
    poplib posix posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri
    random re readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal
    site smtplib socket socketserver sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string
    stringprep struct subprocess symtable sys sysconfig syslog tabnanny tarfile tempfile termios textwrap this
    threading time timeit tkinter token tokenize trace traceback tracemalloc tty turtle turtledemo types typing
    unicodedata unittest urllib uuid venv warnings wave weakref webbrowser wsgiref xml xmlrpc zipapp zipfile
    zipimport zlib
"""
_GONE_IN_313 = """
    aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap nis nntplib ossaudiodev pipes sndhdr spwd sunau telnetlib
    uu xdrlib
"""
_ALL = frozenset(_NAMES.split())
_LAST = {
    "macpath": 7,
    "dummy_threading": 8,
    **dict.fromkeys(["formatter", "parser", "symbol"], 9),
    "binhex": 10,
    **dict.fromkeys(["asynchat", "asyncore", "distutils", "imp", "smtpd"], 11),
    **dict.fromkeys(_GONE_IN_313.split(), 12),
}
_FIRST = {"graphlib": 9, "zoneinfo": 9, "tomllib": 11, "annotationlib": 14, "compression": 14}


def is_standard(name: str, version: tuple[int, int]) -> bool:
    """Tell whether *name* is a top-level module of Python *version*, such as (3, 7)."""
    minor = version[1]
    return name in _ALL or minor <= _LAST.get(name, 0) or minor >= _FIRST.get(name, minor + 1)
