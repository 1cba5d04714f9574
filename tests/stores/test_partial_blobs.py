"""Parts of blobs that several pushes and a collection have under their hands at once."""

from __future__ import annotations

from pathlib import Path

from bundler.stores.blobs import Blob
from bundler.stores.partial_blobs import receive

DATA = b"the same bytes, twice"
BLOB = Blob.of(DATA, "application/octet-stream")


def test_a_push_that_ends_leaves_the_part_of_the_next_one_alone(tmp_path, monkeypatch):
    """A collection removes the blob as soon as it has its name, and another push begins before the first has ended."""
    part, final = tmp_path / "parts" / BLOB.hex, tmp_path / "blobs" / BLOB.hex
    replace = Path.replace

    def replaced_and_collected(self, target):
        replace(self, target)
        final.unlink()
        part.touch()  # the next push's: empty, and locked

    monkeypatch.setattr(Path, "replace", replaced_and_collected)
    receive(BLOB, part, final, lambda offset: iter([DATA[offset:]]))
    assert part.exists()
