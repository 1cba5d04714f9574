"""A target: the interpreter and system that a bundle is built for, and what this process runs on.

* A target is complete: implementation, full version, ABI, architecture, libc and its version.
* It is data. Only ``this_target`` looks at the running interpreter.
* ``check`` compares the two at boot. The patch version may differ: the ABI does not depend on it.
"""

from __future__ import annotations

from typing import NamedTuple

from .errors import ContentError, TargetError
from .probe import probe


class Target(NamedTuple):
    """What a bundle is built for, for example ``cpython 3.7.16 cp37m x86_64 glibc 2.27``."""

    implementation: str
    python: str
    abi: str
    arch: str
    libc: str
    libc_version: str

    @classmethod
    def from_json(cls, value: object, where: str = "target") -> Target:
        """Validate *value*, a JSON object with exactly the fields of this type, all of them strings."""
        if not isinstance(value, dict) or sorted(value) != sorted(cls._fields):
            got = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise ContentError(where, "is not a target", got=got, want=", ".join(cls._fields), rule="B15")
        for field, text in value.items():
            if not isinstance(text, str) or not text:
                raise ContentError(f"{where}.{field}", "is not a name", got=repr(text), want="text", rule="B15")
        for field in ("python", "libc_version"):
            parts = value[field].split(".")
            enough = 3 if field == "python" else 2
            if len(parts) < enough or not all(part.isdigit() for part in parts):
                raise ContentError(
                    f"{where}.{field}",
                    "is not a complete version",
                    got=value[field],
                    want=".".join("XYZ"[:enough]),
                    rule="B15",
                )
        return cls(**value)

    def to_json(self) -> dict[str, str]:
        """Return the JSON object that ``from_json`` reads."""
        return dict(self._asdict())

    @property
    def python_minor(self) -> tuple[int, int]:
        """Major and minor version, such as (3, 7)."""
        major, minor = self.python.split(".")[:2]
        return int(major), int(minor)

    def __str__(self) -> str:
        return f"{self.implementation} {self.python} {self.abi} {self.arch} {self.libc} {self.libc_version}"


def this_target() -> Target:
    """Return the target that the running interpreter is."""
    return Target(**probe())


def check(target: Target, here: Target, *, where: str) -> None:
    """Raise ``TargetError`` (rule C22) unless a bundle for *target* works on *here*."""
    pairs = [
        ("implementation", here.implementation, target.implementation),
        ("Python", "{}.{}".format(*here.python_minor), "{}.{}".format(*target.python_minor)),
        ("ABI", here.abi, target.abi),
        ("architecture", here.arch, target.arch),
        ("libc", here.libc, target.libc),
    ]
    for what, got, want in pairs:
        if got != want:
            raise TargetError(
                where,
                f"was built for another {what}",
                got=f"{got} ({here})",
                want=f"{want} ({target})",
                hint=f"run it with CPython {target.python} or create a bundle for this interpreter",
                rule="C22",
            )
    if _numbers(here.libc_version) < _numbers(target.libc_version):
        platform = "manylinux" if here.libc == "glibc" else "musllinux"
        raise TargetError(
            where,
            f"needs a newer {here.libc}",
            got=here.libc_version,
            want=f"{target.libc_version} or newer",
            hint=f"create the bundle with --platform {platform}_{here.libc_version.replace('.', '_')}_{here.arch}",
            rule="C22",
        )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
