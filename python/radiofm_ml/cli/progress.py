# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Progress on stderr, so that what a command prints can be piped."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from radiofm_ml.terminal import console, visible

stderr = console(stderr=True)


class _Verbatim(TextColumn):
    """A column of text that is data, see ``radiofm_ml.terminal``."""

    def render(self, task) -> Text:
        return Text(visible(self.text_format.format(task=task)), justify="left")


def bar() -> Progress:
    return Progress(
        _Verbatim("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        _Verbatim("{task.fields[note]}"),
        console=stderr,
    )


def track(items: Iterable, label: str) -> Iterable:
    """Iterate over ``items`` (sized) behind a bar; nothing is shown for none."""
    items = list(items)
    if not items:
        return
    with bar() as progress:
        task = progress.add_task(label, total=len(items), note="")
        for item in items:
            yield item
            progress.advance(task)


class Warnings(logging.Handler):
    """What the library warns of and informs about, a line each above the bar."""

    def __init__(self):
        super().__init__(logging.INFO)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        kind = "radiofm" if record.levelno < logging.WARNING else record.levelname.lower()
        line = f"{kind}: {visible(record.getMessage())}"
        if line not in self._said:  # a recording that is opened twice warns twice
            self._said.add(line)
            stderr.print(line, soft_wrap=True)
