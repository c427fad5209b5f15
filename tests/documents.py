# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The commands and Python snippets that the documents, help texts and messages of this tree show."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT

DOCUMENTS = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
    *sorted((ROOT / "python" / "radiofm_ml" / "pretrained").glob("*/README.md"))]  # fmt: skip
SOURCES = [*sorted((ROOT / "python").rglob("*.py")), *sorted((ROOT / "apps").glob("*.py")),
           *sorted((ROOT / "bench").glob("*.py"))]  # fmt: skip
TEXTS = [ROOT / "run", *sorted((ROOT / "grc").glob("*.yml")), *sorted((ROOT / "examples").glob("*.grc"))]

# What a command begins with. A line of a shell block may begin with anything.
PROGRAM = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:radiofm|\./run|\.?\w*/bin/\w+|sudo|apt|apt-get|pip|python3?|grcc|git|cd|cmake|ctest"
    r"|conda|source|export|torchrun|gnuradio-companion)(?= |$)")


@dataclass(frozen=True)
class Shown:
    """Something that a reader may copy.

    text   one line of shell (continued lines joined, comment left out), or a snippet of Python
    file   where it stands, relative to the project's root, and ``line`` in it
    block  stands in a block of its own: not a mention within a sentence
    """

    text: str
    file: str
    line: int
    block: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Block:
    language: str  # '' where none is stated
    text: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """Fenced and indented blocks of a Markdown text."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        fence = re.match(r"( *)(`{3,})(\w*)$", lines[at])
        if fence:
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == fence[2])
            body = [line.removeprefix(fence[1]) for line in lines[at + 1 : end]]
            yield Block(fence[3], "\n".join(body), at + 2)
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield Block("", "\n".join(line[4:] for line in lines[at:end]).rstrip(), at + 1)
            at = end
        else:
            at += 1


def is_shell(block: Block) -> bool:
    return block.language == "sh" or not block.language and bool(PROGRAM.match(block.text))


def shell_lines(text: str) -> Iterator[tuple[int, str]]:
    """(offset of the line, command) of a shell script; comments are left out, continued lines are joined."""
    first, pending = 0, ""
    for offset, line in enumerate(text.split("\n")):
        if not pending:
            first = offset
        if line.endswith("\\"):
            pending += line[:-1].rstrip() + " "
            continue
        command = _without_comment(pending + line.strip()).strip()
        pending = ""
        if command:
            yield first, command


def _without_comment(command: str) -> str:
    """Cut at the first # that begins a word outside of quotes."""
    quote = ""
    for i, c in enumerate(command):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "#" and (i == 0 or command[i - 1].isspace()):
            return command[:i]
    return command


def in_document(file: Path) -> Iterator[Shown]:
    """Commands of a Markdown document, in its blocks and between backticks in its text."""
    text, name = file.read_text(encoding="utf-8"), str(file.relative_to(ROOT))
    found, rest = [], text.split("\n")
    for block in blocks(text):
        if is_shell(block):
            found += [Shown(command, name, block.line + offset, True)
                      for offset, command in shell_lines(block.text)]  # fmt: skip
        for line in range(block.line - 1, block.line + block.text.count("\n")):
            rest[line] = ""
    found += in_text("\n".join(rest), name, 1)
    return iter(sorted(found, key=lambda shown: shown.line))


def in_text(text: str, name: str, line: int) -> Iterator[Shown]:
    """Commands between backticks, single quotes where they are messages, or alone in a quoted string."""
    for span in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text):
        command = " ".join(span[1].split())
        if PROGRAM.match(command) and " " in command:
            yield Shown(command, name, line + text.count("\n", 0, span.start()), False)


def in_source(file: Path) -> Iterator[Shown]:
    """Commands that a program shows: in docstrings, help texts and messages. VALUE is what
    it fills in; where that is the command itself, nothing is known of it."""
    name = str(file.relative_to(ROOT))
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        yield from in_text(text, name, node.lineno)
        for span in re.finditer(r"'((?:radiofm|\./run) [^']+)'", text):
            yield Shown(" ".join(span[1].split()), name, node.lineno, False)


def in_plain_text(file: Path) -> Iterator[Shown]:
    """Commands in quotes in the script ./run, in GRC's block descriptions and in the examples."""
    text, name = file.read_text(encoding="utf-8"), str(file.relative_to(ROOT))
    quoted = r'"(\./run (?:demo|test|grc|bench|shell)\b[^"]*)"|\'{1,2}(radiofm [^\']+)\'{1,2}'
    for span in re.finditer(quoted, text):
        command = " ".join((span[1] or span[2]).split())
        yield Shown(command, name, 1 + text.count("\n", 0, span.start()), False)


def commands() -> list[Shown]:
    found = [shown for file in DOCUMENTS for shown in in_document(file)]
    found += [shown for file in SOURCES for shown in in_source(file)]
    found += [shown for file in TEXTS for shown in in_plain_text(file)]
    seen: set[tuple[str, str, int]] = set()  # parts of an f-string are constants of their own
    return [shown for shown in found if not shown.text.startswith("radiofm VALUE")
            and (key := (shown.text, shown.file, shown.line)) not in seen and not seen.add(key)]  # fmt: skip


def snippets() -> list[Shown]:
    """Blocks of Python in the documents."""
    return [Shown(block.text, str(file.relative_to(ROOT)), block.line, True) for file in DOCUMENTS
            for block in blocks(file.read_text(encoding="utf-8")) if block.language == "python"]  # fmt: skip


def words(command: str) -> list[str]:
    """Arguments of a command, as a shell would split them."""
    return shlex.split(command)
