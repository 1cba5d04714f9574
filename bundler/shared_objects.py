"""An ELF file → the machine it is for, the oldest glibc that will do, and the libraries that it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

if TYPE_CHECKING:
    from pathlib import Path

_GLIBC = re.compile(r"GLIBC_(2\.[0-9]+)(?:\.[0-9]+)?", re.ASCII)
_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_386": "i686", "EM_ARM": "armv7l"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedObject:
    """An ELF file: its machine, the oldest glibc that has all symbols it needs (None: it needs none), its libraries."""

    machine: str
    glibc: tuple[int, int] | None
    libraries: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> SharedObject | None:
        """Read the file *path*; return None if it is no ELF file."""
        try:
            with path.open("rb") as file:
                return cls.parse(file)
        except OSError:
            return None

    @classmethod
    def parse(cls, file: BinaryIO) -> SharedObject | None:
        """Read *file*; return None if it is no ELF file."""
        versions = []
        libraries = []
        try:
            elf = ELFFile(file)
            machine = str(elf["e_machine"])
            for section in elf.iter_sections():
                if isinstance(section, GNUVerNeedSection):
                    for _, needs in section.iter_versions():
                        versions += [match[1] for need in needs if (match := _GLIBC.fullmatch(need.name))]
                elif isinstance(section, DynamicSection):
                    libraries += [str(getattr(tag, "needed", "")) for tag in section.iter_tags("DT_NEEDED")]
        except (ELFError, ValueError):
            return None
        glibc = max((_numbers(version) for version in versions), default=None)
        return cls(machine=_MACHINES.get(machine, machine), glibc=glibc, libraries=tuple(libraries))


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)
