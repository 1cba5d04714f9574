"""A conda match spec → a name, and the versions it asks for in PyPI's words (PEP 440).

* As conda reads them: ``=1.21`` is ``==1.21.*``; ``==1.21``, `` 1.21`` and ``=1.21=BUILD`` are that version alone.
* Channel and build string choose a file of conda's. They are dropped.
* ``<1.22a0`` is how conda excludes the pre-releases of 1.22 as well. ``<1.22`` does so on PyPI, and the former would
  admit pre-releases.
* What PEP 440 cannot say is refused: ``1.2|1.3``, ``[build=…]``, versions such as ``9e``. So is a file or URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from bundler.runtime.errors import UsageError

_LONGEST = 300
_SPEC = re.compile(r"(?:\S+::)?(?P<name>_*[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?P<rest>(?:[\s=<>!~].*)?)", re.ASCII)
# Blanks between an operator and its version, and around what joins two of them, mean nothing.
_BLANKS = re.compile(r"(?<=[=<>!~,|])\s+|\s+(?=[,|])")
_WITH_BUILD = re.compile(r"==?(?P<version>[^=<>!~,|]+)=(?P<build>[^=<>!~,|]+)")
_CLAUSE = re.compile(r"(?P<operator>==|!=|~=|>=|<=|=|>|<|)(?P<version>[\w.!+*]+)", re.ASCII)
_WANT = "NAME, NAME=1.2, NAME==1.2.3 or NAME>=1.2,<2"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchSpec:
    """A conda match spec: its *text*, the *name* of the package, and what it says of versions."""

    where: str
    text: str
    name: str
    constraint: str

    @classmethod
    def parse(cls, text: str, where: str) -> MatchSpec:
        """Split *text*, which stands at *where*; raise ``UsageError`` if it is no match spec."""
        text = text.strip()
        match = _SPEC.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None or match["name"].endswith((".conda", ".bz2")):
            hint = "options and requirements of pip belong below 'pip:'" if text.startswith("-") else None
            raise UsageError(where, "is not understood as a conda package", got=text, want=_WANT, hint=hint)
        constraint = _BLANKS.sub("", match["rest"].strip())
        return cls(where=where, text=text, name=match["name"].lower(), constraint=constraint)

    def versions(self, *, is_short: bool = False) -> str:
        """Return the versions as PEP 440 writes them, ``""`` for any.

        With *is_short*, a version that is said exactly may still have more numbers. Raise ``UsageError`` if PEP 440
        has no words for them.
        """
        if not self.constraint:
            return ""
        version, *build = self.constraint.split()
        if match := _WITH_BUILD.fullmatch(version):
            version, build = match["version"], [match["build"], *build]
        if len(build) > 1:
            raise self._error()
        clauses = [self._clause(text, is_fuzzy=not build, is_short=is_short) for text in version.split(",")]
        versions = ",".join(clause for clause in clauses if clause)
        try:
            SpecifierSet(versions)
        except InvalidSpecifier:
            raise self._error() from None
        return versions

    def _clause(self, text: str, *, is_fuzzy: bool, is_short: bool) -> str:
        match = _CLAUSE.fullmatch(text)
        if match is None:
            raise self._error()
        operator, version = match["operator"], match["version"]
        base = version.rstrip("*").rstrip(".")
        if not base:
            return ""
        try:
            parsed = Version(base)
        except InvalidVersion:
            raise self._error() from None
        is_release = str(parsed) == parsed.base_version
        has_star = version.endswith("*") or (operator == "=" and is_fuzzy) or is_short
        if operator in ("", "=", "=="):
            return f"=={base}.*" if has_star and is_release else f"=={base}"
        if operator == "!=" and version.endswith("*"):
            return f"!={base}.*"
        if operator == "<":
            return f"<{re.sub(r'[.]?(?:a|dev)0$', '', base)}"
        return f"{operator}{base}"

    def _error(self) -> UsageError:
        hint = f"write it in one of these ways, or below 'pip:' as {self.name} with a version of PyPI"
        return UsageError(self.where, "asks for versions that PyPI cannot name", got=self.text, want=_WANT, hint=hint)
