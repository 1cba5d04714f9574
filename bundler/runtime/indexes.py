"""``tree.json``, the index of a tree: what was installed, for which target, and every file with its sha256.

* Layer 0 holds the ``documents``, this one last. The index lists layers 1, 2, …, and the ``launch`` layer, the last of
  the image: the decoder and what makes a tree mount itself, which many bundles have alike.
* Offsets lead into the uncompressed layer, so that nobody has to parse tar (rule C21: files of a layer neither
  overlap nor leave it, and no path occurs twice or is another's directory).
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .documents import FORMAT, MAX_TREE, TREE_PATH, Fields, File, files_from_json, parse_json, to_json
from .errors import ContentError
from .targets import Target

DECODER_PATH = ".bundle/decoder.so"
LOCK_PATH = ".bundle/pylock.toml"
# ``__main__.py`` of a ``.pyz`` and a packed directory. A tree keeps it, and needs it to be packed again.
PROGRAM_PATH = ".bundle/__main__.py"
PROGRAM_PYC = ".bundle/__pycache__/__main__."
SITECUSTOMIZE_PYC = "site-packages/__pycache__/sitecustomize."
# What makes a bundle verify and mount itself: it is a program, or PYTHONPATH leads to it. It lies in the launch layer.
LAUNCH_PATHS = (
    "site-packages/sitecustomize.py",
    SITECUSTOMIZE_PYC,
    "site-packages/bundle_runtime/",
    PROGRAM_PATH,
    PROGRAM_PYC,
)
# What a tree on disk holds besides the files of the index.
CARRIED = (TREE_PATH, ".bundle/manifest.json", ".bundle/config.json")
# Where a tree on disk keeps signatures: they are about the image, so they cannot be in it.
SIGNATURES = ".bundle/signatures"


class Distribution(NamedTuple):
    """An installed project: the wheel it came from (sha256 as hex), its layer, its files' size in bytes.

    *source* is what the wheel was made of by whoever made the bundle; empty if it was published.
    """

    name: str
    version: str
    wheel: str
    sha256: str
    layer: int
    size: int
    requires: Tuple[str, ...]
    source: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> Distribution:
        """Validate one item of ``distributions``."""
        fields.only(*cls._fields)
        return cls(
            fields.get("name", str),
            fields.get("version", str),
            fields.get("wheel", str),
            fields.get("sha256", str),
            fields.size("layer"),
            fields.size("size"),
            fields.strings("requires"),
            fields.get("source", str),
        )


KNOWN = "known by its contents"
ALLOWED = "allowed"


class Allowance(NamedTuple):
    """What was accepted though it breaks a *rule*: a path or wheel, its sha256 in hex, and why it was accepted."""

    rule: str
    name: str
    sha256: str
    why: str

    @classmethod
    def from_fields(cls, fields: Fields) -> Allowance:
        """Validate one item of ``allowances``."""
        fields.only(*cls._fields)
        return cls(*(fields.get(field, str) for field in cls._fields))


class Layer(NamedTuple):
    """A part of the tree: diff_id, size of the uncompressed tar in bytes, files by offset."""

    diff_id: str
    size: int
    files: Tuple[File, ...]

    @classmethod
    def from_fields(cls, fields: Fields) -> Layer:
        """Validate one item of ``layers``."""
        fields.only(*cls._fields)
        size = fields.size("size")
        return cls(fields.digest("diff_id"), size, _parse_files(fields, "files", size))

    def to_json(self) -> Dict[str, Any]:
        """Return the JSON object."""
        return {"diff_id": self.diff_id, "size": self.size, "files": [list(file) for file in self.files]}


def _parse_files(fields: Fields, key: str, size: int) -> Tuple[File, ...]:
    """Return the files at *key*, which must lie one behind the other in a layer of *size* bytes."""
    where = fields.at(key)
    files = files_from_json(fields.get(key, list), where)
    end = 0
    for n, file in enumerate(files):
        if file.offset < end:
            raise ContentError(f"{where}[{n}]", "overlaps the file before it", got=file.path, rule="C21")
        end = file.offset + file.size
        if end > size:
            raise ContentError(f"{where}[{n}]", "lies outside its layer", got=file.path, rule="C21")
    return tuple(files)


class Index(NamedTuple):
    """The contents of ``tree.json``.

    *libc_version* is the oldest libc that the wheels accept; *bytecode* the Python that compiled the ``.pyc``, or
    None; *console_scripts* maps the names in ``bin/`` to ``module:attr``; *allowances* are the exceptions that were
    made; *documents* are the other files of layer 0, *launch* is the last layer.
    """

    target: Target
    libc_version: str
    bytecode: Optional[str]
    distributions: Tuple[Distribution, ...]
    console_scripts: Dict[str, str]
    allowances: Tuple[Allowance, ...]
    layers: Tuple[Layer, ...]
    documents: Tuple[File, ...]
    launch: Layer

    @classmethod
    def parse(cls, data: bytes, where: str = TREE_PATH) -> Index:
        """Validate the bytes of a ``tree.json``."""
        fields = Fields(Fields(parse_json(data, where, MAX_TREE), where).value, "")
        if fields.get("format", int) != FORMAT:
            raise ContentError(
                where, "has an unknown format version", got=fields.value["format"], want=FORMAT, rule="B15"
            )
        fields.only("format", *cls._fields)
        target = Target.from_json(fields.value.get("target"))
        # The version needed is a version of the target's libc, and is checked like one.
        Target.from_json(dict(target.to_json(), libc_version=fields.value.get("libc_version")), "libc_version")
        bytecode = fields.value.get("bytecode")
        scripts = fields.get("console_scripts", dict)
        if not (bytecode is None or isinstance(bytecode, str)) or not all(isinstance(v, str) for v in scripts.values()):
            raise ContentError(where, "has a wrong type in bytecode or console_scripts", want="text", rule="B15")
        index = cls(
            target,
            fields.value["libc_version"],
            bytecode,
            tuple(Distribution.from_fields(item) for item in fields.items("distributions")),
            scripts,
            tuple(Allowance.from_fields(item) for item in fields.items("allowances")),
            tuple(Layer.from_fields(item) for item in fields.items("layers")),
            _parse_files(fields, "documents", MAX_TREE),
            Layer.from_fields(Fields(fields.value.get("launch"), fields.at("launch"))),
        )
        for n, distribution in enumerate(index.distributions):
            if not 1 <= distribution.layer <= len(index.layers):
                at = f"distributions[{n}].layer"
                raise ContentError(at, "is not a layer of the index", got=distribution.layer, rule="B15")
        _check_paths(index)
        return index

    def to_bytes(self) -> bytes:
        """Return the document as canonical JSON."""
        return to_json(
            {
                "format": FORMAT,
                "target": self.target.to_json(),
                "libc_version": self.libc_version,
                "bytecode": self.bytecode,
                "distributions": [item._asdict() for item in self.distributions],
                "console_scripts": self.console_scripts,
                "allowances": [item._asdict() for item in self.allowances],
                "layers": [layer.to_json() for layer in self.layers],
                "documents": [list(file) for file in self.documents],
                "launch": self.launch.to_json(),
            }
        )

    @property
    def files(self) -> List[File]:
        """All files of the tree but ``tree.json`` itself."""
        return [*self.documents, *(file for layer in (*self.layers, self.launch) for file in layer.files)]

    @property
    def needs(self) -> Target:
        """The target with the oldest libc that will do."""
        return self.target._replace(libc_version=self.libc_version)


def _check_paths(index: Index) -> None:
    """Refuse paths that collide, also where case does not count, or that are at once file and directory."""
    paths = {*CARRIED, SIGNATURES}
    layers = [index.documents, *(layer.files for layer in index.layers), index.launch.files]
    for n, files in enumerate(layers):
        for file in files:
            folded = file.path.casefold()
            if folded in paths:
                raise ContentError(file.path, "occurs twice in the tree", rule="C21")
            paths.add(folded)
            if folded.startswith((".bundle/", *LAUNCH_PATHS)) != (n in (0, len(layers) - 1)):
                want = "what belongs to the bundle itself in the first and the last, and nothing else there"
                raise ContentError(file.path, "is in the wrong layer", want=want, rule="C21")
    for path in directories_of(paths):
        if path in paths:
            raise ContentError(path, "is both a file and a directory", rule="C21")


def directories_of(paths: Any) -> List[str]:  # noqa: ANN401 - an iterable of paths; typing.Iterable costs at boot
    """Return every directory that *paths* need, parents first."""
    directories = set()
    for path in paths:
        directory = path.rpartition("/")[0]
        while directory and directory not in directories:
            directories.add(directory)
            directory = directory.rpartition("/")[0]
    return sorted(directories)
