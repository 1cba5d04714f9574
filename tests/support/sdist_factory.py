"""Source distributions, made here: each brings its own build backend, so that no package index is needed."""

from __future__ import annotations

import io
import tarfile
import textwrap

PYPROJECT = '[build-system]\nrequires = {requires}\nbuild-backend = "backend"\nbackend-path = ["."]\n'
# Builds a wheel with the files of ``package/``, and with what *before* leaves there.
BACKEND = """
import base64, hashlib, os, zipfile

NAME, VERSION, TAG, REQUIRES = {name!r}, {version!r}, {tag!r}, {requires!r}

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    before()
    info = "%s-%s.dist-info/" % (NAME, VERSION)
    metadata = "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (NAME, VERSION)
    metadata += "".join("Requires-Dist: %s\\n" % line for line in REQUIRES)
    wheel = "Wheel-Version: 1.0\\nGenerator: backend\\nRoot-Is-Purelib: true\\nTag: %s\\n" % TAG
    files = {{info + "METADATA": metadata.encode(), info + "WHEEL": wheel.encode()}}
    for directory, _, names in os.walk("package"):
        for name in names:
            path = os.path.join(directory, name)
            files[os.path.relpath(path, "package")] = open(path, "rb").read()
    out = "%s-%s-%s.whl" % (NAME, VERSION, TAG)
    with zipfile.ZipFile(os.path.join(wheel_directory, out), "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(info + "RECORD", "")
    return out

def before():
{before}
"""


def project_files(name, version, files, *, before="pass", tag="py3-none-any", requires=(), build_requires=()):
    """Return the files of a project, by their paths. *before* is code that runs while it is built."""
    backend = BACKEND.format(
        name=name, version=version, tag=tag, requires=list(requires), before=textwrap.indent(before, "    ")
    )
    return {
        "PKG-INFO": f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": PYPROJECT.format(requires=list(build_requires)),
        "backend.py": backend,
        **{f"package/{path}": text for path, text in files.items()},
    }


def make_sdist(directory, name, version, files, **options):
    """Write ``name-version.tar.gz`` to *directory*; return its path. *options* are those of ``project_files``."""
    members = project_files(name, version, files, **options)
    path = directory / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member, text in members.items():
            data = text if isinstance(text, bytes) else text.encode()
            info = tarfile.TarInfo(f"{name}-{version}/{member}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path
