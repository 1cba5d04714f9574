"""A reporter that remembers what it hears."""

from __future__ import annotations

from bundler.reporters import Reporter


class Heard(Reporter):
    def __init__(self):
        self.warnings = []
        self.notes = []
        self.built = []

    def warning(self, text):
        self.warnings.append(text)

    def note(self, text):
        self.notes.append(text)

    def building(self, what):
        self.built.append(what)
