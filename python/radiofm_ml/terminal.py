# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Text on the terminal as it is: labels, file names and messages are data.

Rich would take square brackets for markup and ``:smile:`` for a picture; a terminal obeys control characters.
Whatever is printed goes through here.
"""

from __future__ import annotations

import sys
import unicodedata

from rich.console import Console
from rich.text import Text

# What turns the direction of the text around it, so that a name reads as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_HARMFUL = frozenset(("Cc", "Cs", "Zl", "Zp"))  # control characters, half characters, line separators


def visible(text: object, keep: str = "") -> str:
    """``text`` with what a terminal would obey written out, as ``\\x1b``; ``keep``: characters to leave."""
    return "".join(_escaped(c) if c not in keep and (
        c in _TURNING or unicodedata.category(c) in _HARMFUL) else c for c in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


class VerbatimConsole(Console):
    """A console that prints text as it is, also in tables and titles."""

    def __init__(self, **options):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options) -> Text:
        return super().render_str(visible(text, keep="\n"), **options)


def console(*, stderr: bool = False) -> VerbatimConsole:
    """For standard output, or standard error, as it is now."""
    return VerbatimConsole(stderr=stderr)


def echo(text: object, *, error: bool = False, flush: bool = False) -> None:
    """Print a text; what stands in it for a line's end ends a line."""
    stream = sys.stderr if error else sys.stdout
    line = visible(text, keep="\n")
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=flush)


def say(text: object) -> None:
    """One line on standard error, as this program's; one that the text has in it is written out."""
    echo(f"radiofm: {visible(text)}", error=True)
