# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Progress on stderr, so that what a command prints can be piped."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

stderr = Console(stderr=True)


def bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
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
