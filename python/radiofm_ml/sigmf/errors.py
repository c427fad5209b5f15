# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is raised for a recording that cannot be read."""

from __future__ import annotations


class RecordingError(ValueError):
    """A recording that cannot be read; one line that names the file and the cure."""

    def __init__(self, text: str):
        super().__init__(one_line(text))


class NoSamplesError(RecordingError):
    """Metadata that were distributed without their samples, on purpose."""


def one_line(text: str) -> str:
    """``text`` with line breaks and whatever else cannot be printed escaped: it may quote a file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: object, length: int = 60) -> str:
    """``value`` as Python writes it, the middle of a long one left out."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length // 2]}...{text[-length // 4:]}"
