# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A band with a box around every signal, named in the picture; to be read on paper, also without colours."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from radiofm_ml.plots import style
from radiofm_ml.plots.waterfall import NIGHT, Box, save_palette

WIDTH, HEIGHT, DPI = 10, 6, 160  # inches, and pixels to an inch
_LEGEND = 26  # lines beside the picture
_TAGS = 400  # boxes that get their name, the longest ones first, as far as there is room
_LEAST = 4.0  # pixels of a box: a shorter or narrower one is drawn so large
_SPREAD = (35, 99.8)  # percentiles that are black and white


def draw_survey(path: str | os.PathLike, decibel: np.ndarray, seconds: float, band: tuple[float, float],
                boxes: Sequence[Box], sample_rate: float, title: str = "", begin: float = 0.0) -> None:
    """Write a picture of a recording with its signals.

    decibel: float32 (columns, bins), see ``spectrogram_columns``. seconds: that it shows, from ``begin`` on.
    band: its edges in Hz. boxes: with their labels; those of unknown signals have dashed edges, grey ones
    without a group. Raises OSError.
    """
    order = [label for label, _ in Counter(box.label for box in boxes if not box.unknown).most_common()]
    order += sorted({box.label for box in boxes if box.unknown and " " in box.label}, key=_number)
    colour = style.colours(order)
    fig = style.figure(WIDTH, HEIGHT)
    fig.set_dpi(DPI)
    axes = fig.add_axes((0.085, 0.095, 0.715, 0.82))
    time, time_unit = style.si(begin + seconds, "s")
    span = begin * time, (begin + seconds) * time
    freq, freq_unit = style.si(max(map(abs, band)), "Hz")
    floor, peak = np.percentile(decibel, _SPREAD)
    axes.imshow(decibel.T, origin="lower", aspect="auto", cmap=NIGHT, vmin=floor, vmax=max(peak, floor + 20),
                extent=(*span, band[0] * freq, band[1] * freq), interpolation="nearest")
    axes.set(xlim=span, ylim=(band[0] * freq, band[1] * freq), xlabel=f"Time ({time_unit})",
             ylabel=f"Frequency ({freq_unit})")
    axes.ticklabel_format(useOffset=False)
    style.dress(axes)
    placed = _draw_boxes(axes, boxes, colour, time / sample_rate, freq, band)
    fig.canvas.draw()
    _draw_tags(axes, placed, colour)
    _draw_legend(axes, boxes, order, colour)
    if title:
        fig.text(0.085, 0.955, style.verbatim(title), color=style.TEXT, size=12, weight="bold", va="center")
    fig.canvas.draw()
    save_palette(fig, path, [*colour.values(), style.UNKNOWN, style.TEXT, style.FAINT])


def _number(label: str) -> int:
    return int(label.rpartition(" ")[2])


def _draw_boxes(axes: Axes, boxes: Sequence[Box], colour: dict[str, str], time: float, freq: float,
                band: tuple[float, float]) -> list[tuple[Box, Rectangle]]:
    """time: of the axis, in a sample."""
    pixel = axes.transData.inverted().transform(((0, 0), (_LEAST, _LEAST)))
    wide, high = abs(pixel[1] - pixel[0])
    placed = []
    for box in boxes:
        low, top = ((edge if edge is not None else end) * freq for edge, end in
                    zip((box.low, box.high), band, strict=True))
        width, height = max((box.stop - box.start) * time, wide), max(top - low, high)
        left, bottom = (box.start + box.stop) * time / 2 - width / 2, (low + top) / 2 - height / 2
        placed.append((box, Rectangle((left, bottom), width, height)))
    # a dark rim, so that a box shows on a bright signal, too
    axes.add_collection(PatchCollection([patch for _, patch in placed], facecolor="none", linewidth=2.8,
                                        edgecolor=style.BACKGROUND), autolim=False)
    for unknown in (False, True):
        some = [(box, patch) for box, patch in placed if box.unknown == unknown]
        axes.add_collection(PatchCollection(
            [patch for _, patch in some], facecolor="none", linewidth=1.1,
            edgecolor=[colour.get(box.label, style.UNKNOWN) for box, _ in some],
            linestyle=(0, (2.5, 1.5)) if unknown else "-"), autolim=False)
    return placed


def _draw_tags(axes: Axes, placed: list[tuple[Box, Rectangle]], colour: dict[str, str]) -> None:
    """Names above or below boxes, none over another name."""
    renderer, taken = axes.figure.canvas.get_renderer(), []
    inside = axes.get_window_extent(renderer)
    largest = sorted(placed, key=lambda item: -item[1].get_width())[:_TAGS]
    for box, patch in largest:
        for upper, outside in ((True, True), (False, True), (True, False)):
            at = patch.get_x(), patch.get_y() + (patch.get_height() if upper else 0)
            over = upper == outside
            text = axes.annotate(style.verbatim(_short(box)), at, (0 if outside else 2, 2 if over else -2),
                                 textcoords="offset points", ha="left", va="bottom" if over else "top",
                                 size=7.5, weight="bold", color=colour.get(box.label, style.UNKNOWN),
                                 annotation_clip=True)
            text.set_path_effects([withStroke(linewidth=2.2, foreground=style.BACKGROUND)])
            place = text.get_window_extent(renderer).padded(1)
            if _contains(inside, place) and not any(place.overlaps(other) for other in taken):
                taken.append(place)
                break
            text.remove()


def _contains(outer: Bbox, inner: Bbox) -> bool:
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1


def _short(box: Box) -> str:
    """'?3' of 'unknown 3', '?' of 'unknown'."""
    if not box.unknown:
        return box.label if len(box.label) <= 24 else f"{box.label[:23]}…"
    return f"?{_number(box.label)}" if " " in box.label else "?"


def _draw_legend(axes: Axes, boxes: Sequence[Box], order: list[str], colour: dict[str, str]) -> None:
    """What there is, with the short name that it has in the picture, and how often."""
    counts = Counter(box.label for box in boxes)
    kinds = {box.label: box for box in boxes}
    shown = [*order, *sorted(set(counts) - set(order))]
    left_out = len(shown) - _LEGEND
    for line, label in enumerate(shown[:_LEGEND]):
        box, y = kinds[label], 0.985 - line / _LEGEND
        edge = colour.get(label, style.UNKNOWN)
        axes.add_patch(Rectangle((1.02, y - 0.011), 0.025, 0.022, transform=axes.transAxes, clip_on=False,
                                 fill=False, edgecolor=edge, linewidth=1.3,
                                 linestyle=(0, (2.5, 1.5)) if box.unknown else "-"))
        mark = f"{_short(box)}  " if box.unknown else ""
        name = label if len(label) <= 24 else f"{label[:23]}…"
        axes.text(1.055, y, style.verbatim(f"{mark}{name}"), transform=axes.transAxes, color=style.TEXT,
                  size=9, va="center")
        axes.text(1.275, y, str(counts[label]), transform=axes.transAxes, color=style.FAINT, size=9,
                  va="center", ha="right")
    if left_out > 0:
        axes.text(1.02, 0.0, f"and {left_out} more", transform=axes.transAxes, color=style.FAINT, size=9)
    if not boxes:
        axes.text(1.02, 0.985, "no signals", transform=axes.transAxes, color=style.FAINT, size=9, va="center")
