"""Every way a bundle can be refused, each with its exit code.

One root, ``BundleError``. Its text says *where: what is wrong; got X, want Y*, then ``hint: …``.
The library raises these and nothing else on purpose; it never prints and never exits.
"""

from __future__ import annotations

_LONGEST = 4096  # of a value: a path may have as many


class BundleError(Exception):
    """Something failed: network, index, storage, input or output. The root of all errors."""

    exit_code = 1

    def __init__(
        self,
        where: object,
        what: str,
        *,
        got: object = None,
        want: object = None,
        hint: str | None = None,
        rule: str | None = None,
    ) -> None:
        """Say what is wrong at *where* (a path, a URL, ``layers[3].size``).

        *rule* is the number of a rule in docs/security.md, such as ``A9``.
        """
        super().__init__(where, what)
        self.where = str(where)
        self.what = what
        self.got = got
        self.want = want
        self.hint = hint
        self.rule = rule

    @property
    def fault(self) -> str:
        """The error in one line, without the hint. Names come from strangers: a terminal must not obey them."""
        text = f"{_clipped(self.where)}: {self.what}"
        if self.got is not None:
            text += f"; got {_clipped(self.got)}"
        if self.want is not None:
            text += f"{';' if self.got is None else ','} want {_clipped(self.want)}"
        return printable(text if self.rule is None else f"{text} [{self.rule}]")

    @property
    def one_line(self) -> str:
        """The whole error in one line, for a log."""
        return str(self).replace("\n", "; ")

    def __str__(self) -> str:
        return self.fault if self.hint is None else f"{self.fault}\nhint: {printable(self.hint)}"


def _clipped(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def printable(text: str) -> str:
    """Return *text* with every character but the end of a line escaped that would do more than be seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


class UsageError(BundleError):
    """The command or the call does not make sense."""

    exit_code = 2


class ContentError(BundleError):
    """Bytes or documents are not what was promised."""

    exit_code = 3


class Faults(ContentError):  # noqa: N818 - it is several
    """Several faults of contents, all of them reported at once."""

    def __init__(self, where: object, faults: list[ContentError]) -> None:
        """Join *faults* (one or more) found at *where*."""
        super().__init__(where, f"{len(faults)} fault{'s' if len(faults) > 1 else ''} found")
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join([f"{self.where}: {self.what}", *(f"  {fault}" for fault in self.faults)])


class TrustError(BundleError):
    """It is not the expected digest, or not signed by a trusted key."""

    exit_code = 4


class TargetError(BundleError):
    """This interpreter or system is not the one the bundle was built for."""

    exit_code = 5


class PlaceError(BundleError):
    """There is no usable place to unpack to."""

    exit_code = 6
