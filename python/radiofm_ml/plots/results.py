# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Results of an evaluation as pictures: confusion matrices, error curves, learning curves."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import NullFormatter, PercentFormatter

from radiofm_ml.plots import style

# From the background to the first colour of the palette, so that an empty cell is no cell.
SHARE = LinearSegmentedColormap.from_list("share", [style.BACKGROUND, "#1d3a52", "#2f78a8", "#7fcbf5"])
WRONG = LinearSegmentedColormap.from_list("wrong", [style.BACKGROUND, "#54293a", "#a83e5c", "#ff6b8b"])
MARKS = "osD^vPX*<>"


def draw_confusion(path: str | os.PathLike, matrices: Mapping[str, np.ndarray], labels: Sequence[str], *,
                   title: str = "") -> None:
    """Write one or more confusion matrices side by side.

    matrices: name of the panel to counts, int (K, K), row = truth, column = decision, in the order of
    ``labels``. A cell's colour and its large number are its share of the row in per cent (what a true signal
    of that label was taken for), the small number below is the count; the diagonal is blue, errors are red.
    """
    size = len(labels)
    matrices = {name: np.asarray(counts) for name, counts in matrices.items()}
    for name, counts in matrices.items():
        if counts.shape != (size, size) or counts.min(initial=0) < 0:
            raise ValueError(f"confusion matrix {name!r}: {size} labels need counts of shape "
                             f"({size}, {size}), got {counts.shape}")
    cell = min(1.3, max(0.5, 5.0 / size))
    names = 0.25 + 0.088 * max(map(len, labels))
    side, gap = size * cell, 0.45
    turned = 0.078 * max(map(len, labels)) > cell * 0.95
    below = (0.75 * names if turned else 0.35) + 0.45
    width = 0.85 + names + len(matrices) * side + (len(matrices) - 1) * gap
    height = 1.2 + side + below
    fig = style.figure(max(width, 4.6), height)
    width = fig.get_figwidth()
    if title:
        fig.text(0.25 / width, 1 - 0.3 / height, title, color=style.TEXT, size=14, weight="bold", va="center")
    for i, (name, counts) in enumerate(matrices.items()):
        left = 0.5 + names + i * (side + gap)
        axes = fig.add_axes((left / width, below / height, side / width, side / height))
        _draw_matrix(axes, counts, cell)
        axes.set_xticks(range(size), labels, rotation=45 if turned else 0, ha="right" if turned else "center",
                        rotation_mode="anchor")
        axes.set_yticks(range(size), labels if i == 0 else [""] * size)
        right = np.trace(counts) / max(counts.sum(), 1)
        rows = counts.sum(1)
        recall = (np.diag(counts) / np.maximum(rows, 1))[rows > 0]
        balanced = f"{recall.mean():.1%}" if len(recall) else "none"
        axes.set_title(f"{name}\n{right:.1%} right, balanced {balanced}", color=style.TEXT, size=11,
                       loc="left", pad=7)
        axes.set_xlabel("decided")
        if i == 0:
            axes.set_ylabel("true")
    style.save(fig, path)


def _draw_matrix(axes, counts: np.ndarray, cell: float) -> None:
    size = len(counts)
    total = counts.sum(1, keepdims=True)
    share = counts / np.maximum(total, 1)
    diagonal = np.eye(size, dtype=bool)
    colour = np.where(diagonal[..., None], SHARE(share), WRONG(np.sqrt(share)))
    axes.imshow(colour, aspect="equal", interpolation="nearest")
    style.dress(axes)
    axes.tick_params(length=0, labelcolor=style.TEXT)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#232a36", linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    large = 13 if cell > 0.7 else 10.5
    for row, column in zip(*np.nonzero(counts), strict=True):
        bright = share[row, column] > (0.75 if row == column else 0.4)
        colour = style.BACKGROUND if bright else style.TEXT
        percent = 100 * share[row, column]
        text = f"{percent:.0f}" if percent >= 1 else "<1"
        axes.text(column, row - 0.02, text, color=colour, size=large, weight="bold", ha="center", va="bottom")
        axes.text(column, row + 0.07, _short(counts[row, column]), color=colour, size=large - 3, alpha=0.85,
                  ha="center", va="top")
    for row in np.flatnonzero(total[:, 0] == 0):  # a label without a true example says so
        axes.text((size - 1) / 2, row, "no example", color=style.FAINT, size=9, ha="center", va="center")


def _short(count: int) -> str:
    """A count that fits a cell, also of pixels: 12345678 as 12M."""
    for digits, unit in ((9, "G"), (6, "M"), (3, "k")):
        if count >= 10 ** max(digits, 4):
            return f"{count // 10**digits}{unit}"
    return str(count)


def draw_error_cdf(path: str | os.PathLike, errors: Mapping[str, np.ndarray], *, unit: str = "m",
                   title: str = "", quantity: str = "Error") -> None:
    """Write the share of queries whose error is at most so large, a curve for each method.

    errors: method to absolute errors (N,), in ``unit``; dots mark the median and the 90th percentile, which
    the legend repeats. The axis ends where 99 % of every curve but the worst third lie.
    """
    if not errors:
        raise ValueError("no errors to draw")
    sorted_errors = {name: np.sort(np.asarray(values, np.float64).ravel()) for name, values in errors.items()}
    for name, values in sorted_errors.items():
        if not len(values) or not np.isfinite(values).all() or values[0] < 0:
            raise ValueError(f"errors of {name!r} must be finite numbers of 0 or more, and at least one")
    fig = style.figure(10, 6.4)
    plot = fig.add_axes((0.075, 0.105, 0.905, 0.8))
    colour = style.colours(sorted_errors)
    ends = sorted(float(np.quantile(values, 0.99)) for values in sorted_errors.values())
    end = ends[max(0, -(-2 * len(ends) // 3) - 1)] * 1.04
    end = max(end, 1.1 * max(float(np.quantile(v, 0.9)) for v in sorted_errors.values())) or 1.0
    for name, values in sorted_errors.items():
        share = np.arange(1, len(values) + 1) / len(values)
        median, ninety = np.quantile(values, [0.5, 0.9])
        x = np.concatenate([[0.0], values, [max(end, values[-1])]])
        y = np.concatenate([[0.0], share, [1.0]])
        plot.step(x, y, where="post", color=colour[name], linewidth=2.2, zorder=3,
                  label=f"{name}: median {median:.3g} {unit}, 90 % {ninety:.3g} {unit}")
        plot.scatter([median, ninety], [0.5, 0.9], s=52, color=colour[name], edgecolor=style.BACKGROUND,
                     linewidth=1.2, zorder=4)
    for level in (0.5, 0.9):
        plot.axhline(level, color="#3a4352", linewidth=1, linestyle=(0, (4, 4)), zorder=1)
    style.dress(plot, grid=True)
    plot.set(xlim=(0, end), ylim=(0, 1.005), xlabel=f"{quantity} in {unit}", ylabel="Share of queries")
    plot.set_yticks([0, 0.25, 0.5, 0.75, 0.9, 1])
    plot.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _legend(plot, "lower right")
    if title:
        fig.text(0.075, 0.953, title, color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)


def draw_learning_curves(path: str | os.PathLike, curves: Mapping[str, Mapping[float, Sequence[float]]], *,
                         ylabel: str = "Balanced accuracy", chance: float | None = None,
                         percent: bool = True, title: str = "",
                         xlabel: str = "Labels per class") -> None:
    """Write a score over the number of labels per class, a curve for each method.

    curves: method to {labels per class, infinity for all: its scores, one for each seed}. A line joins the
    means, the band and whiskers span the seeds (lowest to highest). chance draws a line; percent: scores are
    shares of one.
    """
    counts = sorted({count for curve in curves.values() for count in curve})
    if not counts or counts[0] < 1 or not all(len(v) for curve in curves.values() for v in curve.values()):
        raise ValueError("a learning curve needs a score or more at each number of labels")
    known = [count for count in counts if math.isfinite(count)]
    everything = 2.5 * max(known, default=1)  # where 'all' stands
    fig = style.figure(10, 6.4)
    plot = fig.add_axes((0.08, 0.105, 0.9, 0.8))
    colour = style.colours(curves)
    for i, (name, curve) in enumerate(curves.items()):
        at = sorted(curve)
        mean, low, high = (np.array([reduce(curve[c]) for c in at]) for reduce in (np.mean, np.min, np.max))
        x = np.minimum(at, everything)
        x = x * 1.018 ** (i - (len(curves) - 1) / 2)  # side by side, so that whiskers stay apart
        plot.fill_between(x, low, high, color=colour[name], alpha=0.16, linewidth=0, zorder=2)
        plot.errorbar(x, mean, [mean - low, high - mean], color=colour[name], linewidth=2.2, elinewidth=1.4,
                      capsize=3.5, marker=MARKS[i % len(MARKS)], markersize=7.5, zorder=3, label=name,
                      markeredgecolor=style.BACKGROUND)
    if chance is not None:
        plot.axhline(chance, color=style.UNKNOWN, linewidth=1.2, linestyle=(0, (4, 4)), zorder=1,
                     label="chance")
    style.dress(plot, grid=True)
    plot.set_xscale("log")
    ticks = [min(count, everything) for count in counts]
    plot.set_xticks(ticks, [str(count) if math.isfinite(count) else "all" for count in counts])
    plot.xaxis.set_minor_formatter(NullFormatter())
    plot.tick_params(axis="x", which="minor", length=0)
    plot.set(xlabel=xlabel, ylabel=ylabel)
    plot.set_xlim(ticks[0] / 1.2, ticks[-1] * 1.2)
    if percent:
        top = max(max(v) for curve in curves.values() for v in curve.values())
        plot.set_ylim(0, min(1.01, max(top * 1.12, 0.2)))
        plot.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _legend(plot, "best")
    if title:
        fig.text(0.08, 0.953, title, color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)


def _legend(plot, place: str) -> None:
    legend = plot.legend(loc=place, facecolor="#181e29", edgecolor="#3a4352", labelcolor=style.TEXT,
                         fontsize=10)
    legend.set_zorder(7)
