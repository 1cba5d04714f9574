"""What is fuzzed: bytes in, and nothing but a ``BundleError`` may come out; what is accepted is read again.

* A target is a function of bytes. It returns whether the input was accepted, and raises ``AssertionError`` (or whatever
  else got out) if something is wrong: that is a finding.
* An error has to say where and what, in characters that a terminal shows and does not obey.
* What is accepted an independent reader has to read the same: ``zipfile``, ``csv``, ``email``, ``importlib.metadata``,
  ``json``, ``tarfile``, libzstd.
* Bytes that a digest or a CRC protects are given the right one, so that the fuzzer gets behind it.
"""

from __future__ import annotations

import atexit
import configparser
import contextlib
import ctypes
import email.parser
import email.policy
import functools
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from fuzzing import seeds
from installer.records import parse_record_file
from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.refusals import check_error, refusals
from support.wheel_factory import Part, make_wheel, pin_of, zip_of

from bundler.archives.portable_paths import fault_of_name, folded
from bundler.archives.tar_reader import read_tar
from bundler.archives.tar_writer import END, FrameWriter, tar_header
from bundler.archives.zip_reader import Archive
from bundler.cli.option_keys import REFUSED, keys_of_commands
from bundler.configuring.configurations import read
from bundler.inputs.conda.environment_files import parse_conda_file
from bundler.inputs.installed.environments import read_environment
from bundler.inputs.installed.installed_files import compare_all, foreign_files
from bundler.inputs.installed.installed_requirements import requirement_lines, take
from bundler.inputs.kinds import read_input
from bundler.inputs.listings import Chosen
from bundler.locks import Lock
from bundler.resolving.lines.requirement_files import Line
from bundler.resolving.lines.requirement_lines import parse_line, without_options
from bundler.resolving.lines.requirement_text import logical_lines
from bundler.runtime.carriers import Member, open_carrier
from bundler.runtime.documents import Config, Descriptor, Manifest, digest_of, is_tree_path, parse_json, to_json
from bundler.runtime.errors import TrustError
from bundler.runtime.images import load_image, read_gzip_layer
from bundler.runtime.indexes import Index
from bundler.runtime.signatures import verify_signature
from bundler.runtime.targets import Target
from bundler.runtime.zstd import check_frame
from bundler.targets import PRESETS
from bundler.wheels.allowances import Allowances
from bundler.wheels.entry_points import launcher, parse_entry_points, scripts_of
from bundler.wheels.install import chunks_of, files_of
from bundler.wheels.records import parse_record
from bundler.wheels.requires_dist import check_requires_dist
from bundler.wheels.startup_code import check_startup_code
from bundler.wheels.wheel_reader import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.configuring.keys import Key

PY37 = PRESETS["azureml-py37"]
SEPARATOR = seeds.SEPARATOR
SCRATCH = "BUNDLER_FUZZ_SCRATCH"
# Without uv.lock, which uv reads.
PROJECT_FILES = ("pyproject.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")


class Target_(NamedTuple):  # noqa: N801 - not the target of a bundle
    """A function of bytes, and what to begin with."""

    run: Callable[[bytes], bool]
    seeds: Callable[[], list[bytes]]
    dictionary: tuple[bytes, ...] = ()


@functools.cache
def scratch() -> Path:
    """Return a directory in memory, of this process alone; a process that fuzzes is given one (``SCRATCH``)."""
    if given := os.environ.get(SCRATCH):
        return Path(given)
    path = Path(tempfile.mkdtemp(prefix="bundler-fuzz-", dir="/dev/shm"))
    atexit.register(shutil.rmtree, path)
    return path


def _file(name: str, data: bytes) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path


def fuzz_zip(data: bytes) -> bool:
    """A zip: what is accepted ``zipfile`` reads the same."""
    with refusals() as refused, Archive.open(_file("any.whl", data)) as archive:
        ours = {name: b"".join(archive.chunks(member)) for name, member in archive.members.items()}
    if refused:
        return False
    with zipfile.ZipFile(io.BytesIO(data)) as theirs:
        assert ours == {info.filename: theirs.read(info) for info in theirs.infolist() if not info.is_dir()}
    for name in ours:
        assert fault_of_name(name) is None
        assert is_tree_path(name)
    return True


def fuzz_zip_parts(data: bytes) -> bool:
    """A zip with right sizes and CRCs, but any names, modes, flags and extra fields."""
    parts = []
    for piece in data.split(SEPARATOR)[:20]:
        head, body = piece[:8].ljust(8, b"\0"), piece[8:]
        extra, name = body[: head[0] % 64], body[head[0] % 64 :]
        mode = int.from_bytes(head[1:3], "little")
        contents = name[: head[3]]
        fields = {"flags": head[5] << 8, "local_extra": extra} if head[4] & 1 else {}
        parts.append(Part(name[-(head[6] or 20) :], contents, method=8 * (head[4] & 2 > 0), mode=mode, **fields))
    return fuzz_zip(zip_of(parts))


def fuzz_wheel(data: bytes) -> bool:
    """A wheel with a right RECORD and any METADATA, WHEEL, entry points, one more file, with any name."""
    metadata, wheel, points, name, contents = (*data.split(SEPARATOR), *([b""] * 5))[:5]
    info = "demo-1.0.dist-info"
    path = name.decode("utf-8", "replace")
    files: dict[str, bytes | None] = {f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel}
    files[f"{info}/entry_points.txt"] = points or None
    files.setdefault(path, contents)
    try:
        made = make_wheel(scratch(), files=files)
    except UnicodeEncodeError:
        return False
    allowances = Allowances()
    with refusals() as refused, Wheel.open(made, pin_of(made), warn=_printable, allowances=allowances) as opened:
        check_requires_dist(opened, PY37)
        tree = files_of(opened)
        for file in tree:
            chunks = list(chunks_of(opened, file))
            assert hashlib.sha256(b"".join(chunks)).hexdigest() == file.sha256
            check_startup_code(opened.filename, file, chunks, target=PY37, allowances=allowances)
    if refused:
        return False
    for file in tree:
        assert is_tree_path(file.path), file.path
        assert fault_of_name(file.path) is None, file.path
    _same_metadata(metadata, opened)
    return True


def _printable(text: str) -> None:
    assert text.isprintable(), f"{text!a} cannot be printed"


def _same_metadata(metadata: bytes, wheel: Wheel) -> None:
    theirs, _ = parse_email(metadata)
    assert canonicalize_name(theirs["name"]) == wheel.name
    assert Version(theirs["version"]) == wheel.version
    requires = tuple(" ".join(line.split()) for line in theirs.get("requires_dist", []))
    assert requires == wheel.requires, (requires, wheel.requires)
    message = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(metadata)
    assert len(message.get_all("Name", [])) == 1


def fuzz_entry_points(data: bytes) -> bool:
    """Entry points: scripts are identifiers and nothing else, and ``configparser`` finds the same ones."""
    with refusals() as refused:
        groups = parse_entry_points(data.decode("utf-8", "replace"), "entry_points.txt")
    if refused:
        return False
    theirs = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    theirs.optionxform = str  # type: ignore[assignment, method-assign]
    theirs.read_string(data.decode("utf-8", "replace"))
    for name, value in scripts_of(groups).items():
        assert fault_of_name(f"bin/{name}") is None, name
        module, _, attr = value.partition(":")
        assert all(part.isidentifier() for part in [*module.split("."), *attr.split(".")]), value
        compile(launcher(value), name, "exec", dont_inherit=True)
        found = [theirs[group][name] for group in ("console_scripts", "gui_scripts") if theirs.has_option(group, name)]
        assert any("".join(each.split()).startswith("".join(value.split())) for each in found), (value, found)
    return True


FILES = {"a.py": b"x = 1\n", "b, c.py": b"", "ü.txt": b"text", "d/e.so": b"\x7fELF"}


def fuzz_record(data: bytes) -> bool:
    """A RECORD: rows of what is there, as `installer` reads them."""
    sizes = {path: len(contents) for path, contents in FILES.items()}
    rows, warnings, faults = parse_record(data, sizes, where="RECORD", dist_info="demo-1.0.dist-info")
    for warning in warnings:
        _printable(warning)
    for fault in faults:
        check_error(fault)
    if faults:
        return False
    assert rows.keys() == FILES.keys()
    lines = io.StringIO(data.decode("utf-8"), newline="").read().splitlines(keepends=True)
    # An empty line is none for most readers, and a fault for this one.
    theirs = {path: (hashed, size) for path, hashed, size in parse_record_file(filter(str.strip, lines))}
    for path, row in rows.items():
        hashed, size = theirs[path]
        assert hashed.startswith(row.algorithm + "=")
        assert int(size) == row.size == sizes[path]
    return True


def fuzz_json(data: bytes) -> bool:
    """Any document: strict JSON, which reads back as itself and which ``json`` reads the same."""
    with refusals() as refused:
        value = parse_json(data, "document", limit=1 << 16)
    if refused:
        return False
    assert parse_json(to_json(value), "document") == value
    assert json.loads(data) == value
    return True


def _document(parse: Callable[[bytes], object]) -> Callable[[bytes], bool]:
    def fuzz(data: bytes) -> bool:
        with refusals() as refused:
            value = parse(data)
        if refused:
            return False
        to_bytes = getattr(value, "to_bytes", None)
        again = to_bytes() if to_bytes else to_json(value.to_json())  # type: ignore[attr-defined]
        assert parse(again) == value
        return True

    return fuzz


def _index(data: bytes) -> Index:
    index = Index.parse(data)
    assert index.target.python_minor > (0,)
    assert index.needs
    for file in index.files:
        assert os.path.normpath(f"/root/{file.path}") == f"/root/{file.path}"
    return index


def fuzz_lock(data: bytes) -> bool:
    """A ``pylock.toml``: pins with a sha256 and a wheel's name, which read back as themselves."""
    with refusals() as refused:
        lock = Lock.from_toml(data.decode("utf-8", "replace"), Path("/locks/pylock.toml"), PY37)
    if refused:
        return False
    for pin in lock.pins:
        assert len(pin.sha256) == 64
        assert "/" not in pin.filename
    with refusals() as refused:
        again = Lock.from_toml(lock.to_toml(), Path("/locks/pylock.toml"), PY37)
        assert again.to_toml() == lock.to_toml()
    assert not refused, refused
    return True


@functools.cache
def _keys() -> dict[str, Key]:
    return keys_of_commands()


def fuzz_configuration(data: bytes) -> bool:
    """A configuration file: each bundle of it has settings, of keys that there are."""
    with refusals() as refused:
        found = read(_file("bundle.toml", data), _keys(), REFUSED)
    if refused:
        return False
    for name in (None, *found.bundles):
        assert set(found.settings(name)) <= set(_keys()) - set(REFUSED)
    return True


def fuzz_installed(data: bytes) -> bool:
    """What an installed distribution says of itself: no file outside is meant, and a requirement is one line."""
    root = scratch() / "environment"
    info = root / "lib/python3.9/site-packages/demo-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    for name, part in zip(seeds.INSTALLED, [*data.split(SEPARATOR), b"", b"", b"", b""], strict=False):
        (info / name).write_bytes(part)
    with refusals() as refused:
        environment = read_environment(root)
        compared = compare_all(environment)
        foreign_files(environment, compared)
        lines, _ = requirement_lines(take(environment.projects, PRESETS["azureml-py39"]).taken)
    if refused:
        return False
    for file in compared[0].files:
        assert file.place.is_relative_to(root)
        assert ".." not in file.place.parts
    for line in lines:
        assert len(line.splitlines()) == 1
        with refusals():
            parse_line(Line(where="requirement", text=line))
    return True


def fuzz_conda(data: bytes) -> bool:
    """A conda environment file: each package becomes a requirement, in its line or below."""
    with refusals() as refused:
        file = parse_conda_file(data.decode("utf-8", "replace"), Path("/project/environment.yml"))
    if refused:
        return False
    written = file.listing(Path("environment.yml")).text().splitlines()
    assert [line for line in written if line] == [line for _, line in file.lines]
    assert all(number <= at for (number, _), at in zip(file.lines, _numbers(written), strict=True))
    for mapped in file.mapped:
        Requirement(mapped.requirement)
    with refusals():
        _ = file.python and file.python.find_target()
    return True


def fuzz_project(data: bytes) -> bool:
    """A project's file or another tool's lock: each line is one requirement, which names what it is of."""
    name, _, text = data.partition(SEPARATOR)
    if name.decode("utf-8", "replace") not in PROJECT_FILES:
        return False
    directory = scratch() / "project"
    directory.mkdir(exist_ok=True)
    (directory / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["demo"]\n')
    path = directory / name.decode()
    path.write_bytes(text)
    with refusals() as refused:
        found = read_input(path, Chosen.of(["net"], ["dev"]))
    if refused:
        return False
    with refusals() as refused:
        found = found.for_target(PY37)
        _ = found.python and found.python.find_target()
    for listing in filter(None, (found.requirements, found.constraints)) if not refused else ():
        expected = sorted(listing.lines, key=lambda line: line.number)
        for line, (_, said) in zip(expected, logical_lines(listing.text(), {}), strict=True):
            requirement = Requirement(without_options(said))
            assert line.name in (None, canonicalize_name(requirement.name)), (line, said)
    return not refused


def _numbers(lines: list[str]) -> list[int]:
    return [number for number, line in enumerate(lines, 1) if line]


def fuzz_frame(data: bytes) -> bool:
    """A zstd frame: what is accepted ends for libzstd where its bytes end; it has this size and no dictionary."""
    raw = int.from_bytes(data[:3], "little")
    data = data[3:]
    with refusals() as refused:
        check_frame(data, raw, "blob")
    if refused:
        return False
    parameters = zstandard.get_frame_parameters(data)
    assert parameters.content_size == raw
    assert parameters.dict_id == 0
    assert parameters.window_size <= max(8 << 20, raw)
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_findFrameCompressedSize.restype = ctypes.c_size_t
    size = library.ZSTD_findFrameCompressedSize(data, ctypes.c_size_t(len(data)))
    assert size == len(data) or library.ZSTD_isError(ctypes.c_size_t(size)), (size, len(data))
    with contextlib.suppress(zstandard.ZstdError):
        decoded = zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)
        assert len(decoded) == raw
    return True


def fuzz_gzip(data: bytes) -> bool:
    """Layer 0: one gzip member, which ``gzip`` reads the same."""
    path = _file("layer", data)
    with path.open("rb") as file, refusals() as refused:
        member = Member("layer", file.fileno(), 0, len(data))
        layer = read_gzip_layer(member, Descriptor("", digest_of(data), len(data)))
    if refused:
        return False
    assert gzip.decompress(data) == layer
    return True


def fuzz_pyz(data: bytes) -> bool:
    """A ``.pyz``: members that ``zipfile`` finds, too, with the same bytes; and the documents in it."""
    path = _file("any.pyz", data)
    with refusals() as refused, open_carrier(str(path)) as carrier:
        names = carrier.names()
        ours = {name: carrier.member(name).read(0, carrier.member(name).size) for name in names}
        faults = carrier.faults()
        load_image(carrier)
    if refused and refused[0].rule in ("A3", "A4"):
        return False
    if refused and "names" not in locals():
        return False
    with zipfile.ZipFile(path) as theirs:
        assert sorted(theirs.namelist()) == sorted(names)
        for name in names:
            try:
                assert theirs.read(name) == ours[name]
            except zipfile.BadZipFile:  # the CRC
                assert name.startswith("blobs/") or faults
    return not refused


def fuzz_tar(data: bytes) -> bool:
    """The other way round: any names and contents that may be packed, in a tar that ``tarfile`` reads the same."""
    files: dict[str, tuple[bytes, bool]] = {}
    for piece in data.split(SEPARATOR)[:20]:
        name = piece[1:].decode("utf-8", "replace").partition("\0")[0]
        if fault_of_name(name) is None and folded(name) not in map(folded, files):
            files[name] = (piece[-30:], bool(piece[0] & 1))
    frames: list[bytes] = []
    writer = FrameWriter(1024, lambda frame: frames.append(bytes(frame)))
    offsets = {
        name: writer.add(tar_header(name, len(contents), executable=executable), len(contents), [contents])
        for name, (contents, executable) in files.items()
    }
    diff_id = writer.finish()
    tar = b"".join(frames)
    assert diff_id == digest_of(tar)
    assert tar.endswith(END)
    with tarfile.open(fileobj=io.BytesIO(tar)) as theirs:
        assert {member.name: member.offset_data for member in theirs} == offsets
        for member in theirs:
            contents, executable = files[member.name]
            assert (member.isreg(), member.mode, member.uid) == (True, 0o755 if executable else 0o644, 0)
            assert theirs.extractfile(member).read() == contents  # type: ignore[union-attr]
    return bool(files)


def fuzz_tar_reader(data: bytes) -> bool:
    """A tar: what is accepted ``tarfile`` reads the same."""
    with refusals() as refused:
        ours = list(read_tar([data], "layer"))
    if refused:
        return False
    with tarfile.open(fileobj=io.BytesIO(data)) as theirs:
        found = [(each.name, each.size, each.isdir(), each.mode & 0o111 > 0, each.offset_data) for each in theirs]
    assert found == [
        (each.path, each.size, each.directory, each.executable or each.directory, each.offset) for each in ours
    ]
    return True


def fuzz_name(data: bytes) -> bool:
    """A name in a wheel: what is accepted stays below the root, on any system, and the runtime takes it."""
    name = data.decode("utf-8", "replace")
    if fault_of_name(name) is not None:
        return False
    assert is_tree_path(name)
    assert os.path.normpath(f"/root/{name}") == f"/root/{name}"
    assert folded(folded(name)) == folded(name)
    assert folded(name.upper()) == folded(name.upper().lower().upper())
    return True


def fuzz_signature(data: bytes) -> bool:
    """A signature in a Sigstore bundle: nobody has signed, so no input may be accepted."""
    with refusals() as refused:
        verify_signature(data, seeds.DIGEST, seeds.keys(), "signature")
    return isinstance(refused[0], TrustError)


TARGETS = {
    "zip": Target_(fuzz_zip, seeds.zips, (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08")),
    "zip-parts": Target_(fuzz_zip_parts, seeds.zip_parts, (SEPARATOR, b"..", b"\x01\0\x10\0")),
    "wheel": Target_(fuzz_wheel, seeds.wheels, (SEPARATOR, *seeds.WHEEL_WORDS)),
    "entry-points": Target_(fuzz_entry_points, seeds.entry_points, (b"[console_scripts]\n", b" = ", b":", b"\n ")),
    "record": Target_(fuzz_record, seeds.records, (b"sha256=", b"sha512=", b",,\n", b'"', b"\r\n")),
    "json": Target_(fuzz_json, seeds.documents, (b'"', b"\\u", b"\\ud800", b"NaN", b"-0", b"1e9", b"{}", b"[]")),
    "manifest": Target_(_document(lambda data: Manifest.parse(data, "m")), seeds.manifests, (b'"urls":', b":1:1:")),
    "config": Target_(_document(lambda data: Config.parse(data, "c")), seeds.configs, (b'"Labels"',)),
    "index": Target_(_document(_index), seeds.indexes, (b"..", b"/", b".bundle/", b"null", "²".encode())),
    "target": Target_(_document(lambda data: Target.from_json(parse_json(data, "t"))), seeds.targets),
    "lock": Target_(fuzz_lock, seeds.locks, (b"[[packages]]\n", b"wheels = ", b"hashes = ", b"marker = ", b"size = ")),
    "configuration": Target_(fuzz_configuration, seeds.configurations, (b"\n[bundles.", b" = [", b"=", b"\n", b'"')),
    "project": Target_(fuzz_project, seeds.projects, (b"name = ", b"[[package]]", b"--hash=", b"\\n", b" @ ", b"||")),
    "conda": Target_(fuzz_conda, seeds.conda_files, (b"\n- ", b"- pip:\n", b"::", b"=", b">=", b".*", b"&a ", b"*a")),
    "installed": Target_(fuzz_installed, seeds.installed, (SEPARATOR, b"sha256=", b"../", b'{"url": "', b"vcs_info")),
    "frame": Target_(fuzz_frame, seeds.frames, (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18")),
    "gzip": Target_(fuzz_gzip, seeds.gzips, (b"\x1f\x8b\x08",)),
    "pyz": Target_(fuzz_pyz, seeds.pyzs, (b"PK\1\2", b"PK\3\4", b"PK\5\6")),
    "tar": Target_(fuzz_tar, seeds.tars, (SEPARATOR,)),
    "tar-reader": Target_(fuzz_tar_reader, seeds.tars_written, (b"ustar\x0000", b"path=", b"size=", b"x", b"5")),
    "name": Target_(fuzz_name, seeds.names, (b"..", b".wh.", b"\xe2\x80\xae")),
}
