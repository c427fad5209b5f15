# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Colours and figures that all pictures share."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from radiofm_ml import atomic
from radiofm_ml.outputs import GENERATOR
from radiofm_ml.terminal import visible

BACKGROUND, TEXT, FAINT = "#10141c", "#e8ecf2", "#8b95a5"
UNKNOWN = "#9aa3ae"
# Bright on dark, told apart in the common kinds of colour blindness for the first six.
PALETTE = ("#56b4e9", "#ffb000", "#2fd39b", "#ff6b8b", "#c18bff", "#f0e442", "#ff8a4c", "#7ee0ff", "#b6e04a",
           "#ff9bd6", "#6d9bff", "#d9b38c")


def colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label, in their order; more labels than colours begin again."""
    return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(dict.fromkeys(labels))}


def figure(width: float, height: float) -> Figure:
    """A dark figure of ``width`` x ``height`` pixels / 100, with a canvas of its own."""
    fig = Figure(figsize=(width, height), dpi=100, facecolor=BACKGROUND)
    FigureCanvasAgg(fig)
    return fig


@functools.lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    """Characters that there is a drawing of."""
    font = font_manager.findfont(font_manager.FontProperties())
    return frozenset(font_manager.get_font(font).get_charmap())


def verbatim(text: object) -> str:
    """A text that is data, such as a label or a name of a file, for matplotlib to draw as it is: dollars
    begin no formula, and what its font has no drawing of is an empty box."""
    there = _drawable()
    return "".join(c if ord(c) in there else "\N{WHITE SQUARE}" for c in visible(text)).replace("$", r"\$")


def save(fig: Figure, path: str | os.PathLike) -> None:
    """Write a picture in the format of its name (PNG without an ending), as a whole or not at all; a PNG says
    who drew it. Raises OSError, and ValueError for an ending that is no picture's."""
    path = Path(path)
    if not path.suffix:
        path = path.with_name(f"{path.name}.png")
    form = path.suffix[1:].lower()
    about = {"Software": GENERATOR} if form == "png" else None
    with atomic.replacing(path, durable=False) as part:
        fig.savefig(part, format=form, facecolor=BACKGROUND, metadata=about)


def dress(axes: Axes, grid: bool = False) -> None:
    """Colours of an axes' frame, ticks and names."""
    axes.set_facecolor(BACKGROUND)
    for spine in axes.spines.values():
        spine.set_color("#3a4352")
    axes.tick_params(colors=FAINT, labelsize=10)
    axes.xaxis.label.set(color=TEXT, size=11)
    axes.yaxis.label.set(color=TEXT, size=11)
    if grid:
        axes.grid(color="#232a36", linewidth=0.8)
        axes.set_axisbelow(True)


def si(span: float, unit: str) -> tuple[float, str]:
    """(factor, unit with prefix) in which a quantity of about ``span`` reads best: (1e-3, 'kHz')."""
    for limit, factor, prefix in ((1e9, 1e-9, "G"), (1e6, 1e-6, "M"), (1e3, 1e-3, "k"), (1.0, 1.0, ""),
                                  (1e-3, 1e3, "m"), (1e-6, 1e6, "µ")):
        if abs(span) >= limit:
            return factor, prefix + unit
    return 1.0, unit
