"""Names inside wheels: which are plain relative paths on every system (rules A6, A7 and A13)."""

from __future__ import annotations

import unicodedata

MAX_COMPONENT = 143  # bytes; what encrypting file systems leave of 255
MAX_PATH = 400
MAX_DEPTH = 40


def fault_of_name(name: str) -> tuple[str, str] | None:  # noqa: PLR0911 - one line for each thing that can be wrong
    """Return what is wrong with the path *name*, and the rule it breaks; None if nothing is."""
    if not name or name.startswith("/"):
        return "is absolute or empty", "A7"
    if len(name) > MAX_PATH or name.count("/") >= MAX_DEPTH:
        return f"is longer than {MAX_PATH} characters or deeper than {MAX_DEPTH} directories", "A6"
    if "\\" in name or ":" in name:
        return "has a backslash or a colon", "A7"
    # Control, surrogate, invisible, direction-changing and unassigned characters, and spaces other than " ".
    if not name.isprintable():
        return "has characters that cannot be printed", "A7"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "has an empty component, '.' or '..'", "A7"
        if part[-1] in ". ":
            return "has a component that ends with a dot or a space", "A7"
        if len(part) * 4 > MAX_COMPONENT and len(part.encode()) > MAX_COMPONENT:
            return f"has a component of more than {MAX_COMPONENT} bytes", "A7"
        if part.startswith(".wh."):
            return "would delete a file when the layer is mounted as an image", "A13"
    return None


def folded(name: str) -> str:
    """Return what *name* is where neither case nor Unicode composition counts."""
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", decomposed))
