"""Names of conda packages → what PyPI calls them, or why a bundle goes without.

* Listed is what differs. Everything else is asked for by its own name, and ``environment_files`` says so.
* Names are compared as PyPI does (``canonicalize_name``): ``ruamel_yaml`` needs no row.
* docs/requirements.md shows both tables, and a test compares them.
"""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

PYPI_NAMES = {
    "brotli-python": "brotli",
    "dask": "dask[complete]",  # conda's has pandas, numpy and distributed with it
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "geopandas-base": "geopandas",
    "ignite": "pytorch-ignite",
    "keras-base": "keras",
    "keras-gpu": "keras",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "opencv": "opencv-python-headless",
    "psycopg2": "psycopg2-binary",  # PyPI has no wheel of psycopg2 for Linux
    "py-mxnet": "mxnet",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "pyg": "torch-geometric",
    "pyqt": "pyqt5",
    "pysoundfile": "soundfile",
    "pytables": "tables",
    "python-annoy": "annoy",
    "python-blosc": "blosc",
    "python-confluent-kafka": "confluent-kafka",
    "python-fastjsonschema": "fastjsonschema",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-kaleido": "kaleido",
    "python-lmdb": "lmdb",
    "python-tzdata": "tzdata",
    "python-xxhash": "xxhash",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-geometric": "torch-geometric",
    "pytorch-gpu": "torch",
    "ray-core": "ray",
    "ray-default": "ray[default]",
    "ray-serve": "ray[serve]",
    "ray-tune": "ray[tune]",
    "redis-py": "redis",
    "seaborn-base": "seaborn",
    "sentencepiece-python": "sentencepiece",
    "tensorflow-base": "tensorflow",
    "tensorflow-eigen": "tensorflow",
    "tensorflow-mkl": "tensorflow",
}

# PyPI's versions have one number more than conda's: 4.5.5 is 4.5.5.62 and 4.5.5.64.
LONGER_VERSIONS = frozenset({"opencv-python-headless"})

# Many are names of other projects on PyPI, such as tk and snappy: they must not be asked for by their own name.
LEFT_OUT = {
    "what installs: list it below pip: if your code imports it": """
        anaconda anaconda-client conda conda-build mamba nb-conda nb-conda-kernels nomkl pip setuptools wheel
    """,
    "CUDA: the wheels bring it, or the image has it": """
        cpuonly cuda cuda-cudart cuda-cupti cuda-libraries cuda-nvcc cuda-nvrtc cuda-nvtx cuda-runtime cuda-toolkit
        cuda-version cudatoolkit cudatoolkit-dev cudnn cutensor libcublas libcufft libcufile libcurand libcusolver
        libcusparse libnpp libnvjpeg nccl pytorch-cuda pytorch-mutex
    """,
    "parts of conda's numpy: not needed": """
        blas blas-devel intel-openmp libblas libcblas liblapack libopenblas mkl mkl-fft mkl-include mkl-random
        mkl-service openblas tbb
    """,
    "system libraries: the wheels bring them, or the image has them": """
        abseil-cpp arrow-cpp attr blosc boost boost-cpp brotli bzip2 c-ares ca-certificates cairo dbus expat flatbuffers
        fontconfig freetype geos gettext gflags giflib glib glog gmp gnutls gperftools grpc-cpp gst-plugins-base
        gstreamer harfbuzz hdf5 icu jpeg keyutils krb5 lame lcms2 ld-impl-linux-64 lerc libabseil libaio libarrow
        libbrotlicommon libbrotlidec libbrotlienc libcrc32c libcurl libdeflate libedit libev libevent libexpat libfaiss
        libffi libflac libgcc libgdal libgfortran libgfortran4 libgfortran5 libgl libglib libgomp libgrpc libhwloc
        libiconv libidn2 libjpeg-turbo libllvm10 libllvm11 libllvm12 libllvm14 libllvm15 libmxnet libnetcdf libnghttp2
        libnsl libogg libopencv libopus libpng libpq libprotobuf librdkafka libre2-11 libsndfile libsodium libsolv
        libspatialindex libsqlite libssh2 libstdcxx libtasn1 libthrift libtiff libunistring libutf8proc libuuid libuv
        libvorbis libvpx libwebp libwebp-base libxcb libxgboost libxkbcommon libxml2 libxslt libzlib llvm-openmp lmdb
        lz4-c mpc mpfr mpich ncurses nettle nspr nss openh264 openjpeg openmpi openssl orc pango pcre pcre2 pixman proj
        proj4 qt qt-main re2 readline snappy sqlite thrift-cpp tk tzdata unixodbc utf8proc x264 xxhash xz yaml zeromq
        zlib zstd
    """,
    "programs: needed from the image": """
        curl ffmpeg gcc git git-lfs go graphviz gxx imagemagick java-jdk make mysql nodejs openjdk pandoc perl poppler
        postgresql r-base rust tesseract wget yarn
    """,
    "conda's own: not needed": "backports python-abi",
}
PATTERNS = {
    "_*": (re.compile(r"_.*"), "conda's own: not needed"),
    "lib*-ng": (re.compile(r"lib.*-ng"), "system libraries: the wheels bring them, or the image has them"),
    "xorg-*": (re.compile(r"xorg-.*"), "system libraries: the wheels bring them, or the image has them"),
    "*_linux-64": (re.compile(r".*[_-]linux-(?:64|aarch64)"), "programs: needed from the image"),
    "r-*": (re.compile(r"r-.*"), "packages of R: no Python"),
}
_REASONS = {name: reason for reason, names in LEFT_OUT.items() for name in names.split()}


def pypi_name(name: str) -> str | None:
    """Return what PyPI calls the conda package *name*, if that differs: a project, perhaps with an extra."""
    return PYPI_NAMES.get(canonicalize_name(name))


def reason_to_leave_out(name: str) -> str | None:
    """Return why a bundle goes without the conda package *name*, if it does."""
    for pattern, reason in PATTERNS.values():
        if pattern.fullmatch(name):
            return reason
    return _REASONS.get(canonicalize_name(name))
