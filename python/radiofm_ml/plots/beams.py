# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pictures of beams and angles: Table I, pairs of antennas, embeddings of a sweep, estimated angles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.ticker import PercentFormatter

from radiofm_ml.plots import style
from radiofm_ml.plots.results import SHARE


def draw_table(path: str | os.PathLike, rows: Mapping[str, Sequence[float]], columns: Sequence[str], *,
               published: Mapping[str, Sequence[float]] | None = None, title: str = "") -> None:
    """Write a table of accuracies as bars: a group for each column, a bar for each row.

    rows: name to a share of one for each column, NaN where there is none. published: what was reported of
    rows of the same name elsewhere, drawn as lines across their bars.
    """
    fig = style.figure(12, 5.6)
    plot = fig.add_axes((0.06, 0.2, 0.925, 0.69))
    width = 0.86 / len(rows)
    halo = [patheffects.withStroke(linewidth=2.5, foreground=style.BACKGROUND)]
    colours = style.colours(rows)
    for i, (name, values) in enumerate(rows.items()):
        at = np.arange(len(columns)) - 0.43 + width * (i + 0.5)
        values = np.asarray(values, float)
        plot.bar(at, np.nan_to_num(values), width * 0.9, color=colours[name], zorder=2, label=name)
        for x, value in zip(at, values, strict=True):
            if np.isfinite(value):
                plot.text(x, value + 0.008, f"{100 * value:.1f}", color=style.TEXT, size=8, ha="center",
                          va="bottom", zorder=4, path_effects=halo)
        if published and name in published:
            plot.hlines(published[name], at - width / 2, at + width / 2, color="white", linewidth=2, zorder=3,
                        label="published, measured on other data" if i == 0 else None)
    style.dress(plot, grid=True)
    plot.tick_params(axis="x", length=0, labelcolor=style.TEXT, labelsize=11)
    plot.set_xticks(range(len(columns)), columns)
    plot.set(ylim=(0, 1.04), ylabel="Accuracy")
    plot.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    fig.legend(loc="lower center", ncols=4, facecolor="#181e29", edgecolor="#3a4352", labelcolor=style.TEXT,
               fontsize=10)
    if title:
        fig.text(0.06, 0.945, title, color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)


def draw_pairs(path: str | os.PathLike, matrices: Mapping[str, np.ndarray], antennas: Sequence[str], *,
               title: str = "") -> None:
    """Write a matrix for each method: row = antenna that it was trained on, column = antenna that it was
    taught and tested on; a cell's number is the accuracy in per cent. matrices: shares of one, NaN for none.
    """
    size = len(antennas)
    side, gap, left, below = 0.72 * size, 0.45, 0.95, 0.95
    width = left + len(matrices) * (side + gap)
    height = below + side + 1.15
    fig = style.figure(max(width, 5), height)
    width = fig.get_figwidth()
    if title:
        fig.text(0.25 / width, 1 - 0.3 / height, title, color=style.TEXT, size=14, weight="bold", va="center")
    for i, (name, values) in enumerate(matrices.items()):
        axes = fig.add_axes(((left + i * (side + gap)) / width, below / height, side / width, side / height))
        values = np.asarray(values, float)
        axes.imshow(SHARE(np.nan_to_num(values)), aspect="equal", interpolation="nearest")
        style.dress(axes)
        axes.tick_params(length=0, labelcolor=style.TEXT)
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
            value = values[row, column]
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", size=13, weight="bold",
                      color=style.BACKGROUND if value > 0.75 else style.TEXT)
        axes.set_xticks(range(size), antennas)
        axes.set_yticks(range(size), antennas if i == 0 else [""] * size)
        other = values[~np.eye(size, dtype=bool)]
        axes.set_title(f"{name}\nsame {100 * np.nanmean(np.diag(values)):.1f} %, "
                       f"other {100 * np.nanmean(other):.1f} %", color=style.TEXT, size=11, loc="left", pad=7)
        axes.set_xlabel("taught and tested on")
        if i == 0:
            axes.set_ylabel("trained on")
    style.save(fig, path)


def draw_projections(path: str | os.PathLike, panels: Mapping[str, Mapping], *, title: str = "") -> None:
    """Write embeddings of a sweep of beams on their first two principal axes, a panel each.

    panels: title to {"points": (N, 2), "beam": N numbers, "share": of the variance on either axis}. Colours
    go round with the beam's number, so that neighbours look alike; the number stands at the beam's mean.
    """
    fig = style.figure(6.1 * len(panels), 6.4)
    halo = [patheffects.withStroke(linewidth=3, foreground=style.BACKGROUND)]
    for i, (name, panel) in enumerate(panels.items()):
        plot = fig.add_axes(((i + 0.115) / len(panels), 0.09, 0.865 / len(panels), 0.78))
        points, beam = np.asarray(panel["points"], float), np.asarray(panel["beam"])
        colour = colormaps["hsv"](beam / (beam.max() + 1) * 0.92)
        plot.scatter(*points.T, s=16, color=colour, alpha=0.7, linewidth=0, zorder=2)
        for b in np.unique(beam):
            plot.text(*points[beam == b].mean(0), str(b), color="white", size=12, weight="bold", ha="center",
                      va="center", zorder=3, path_effects=halo)
        style.dress(plot, grid=True)
        plot.set(xlabel=f"First principal axis ({panel['share'][0]:.0%} of the variance)",
                 ylabel=f"Second ({panel['share'][1]:.0%})")
        plot.set_title(name, color=style.TEXT, size=11, loc="left", pad=7)
    if title:
        fig.text(0.115 / len(panels), 0.955, title, color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)


def draw_angles(path: str | os.PathLike, panels: Mapping[str, Mapping], seen: Sequence[float], *,
                title: str = "") -> None:
    """Write estimated over true angles, a panel each. panels: title to {"truth": (N,), "estimate": (N,)} in
    degrees. seen: the angles that the encoder was trained on, marked on the axis."""
    fig = style.figure(5.6 * len(panels), 6.1)
    for i, (name, panel) in enumerate(panels.items()):
        plot = fig.add_axes(((i + 0.13) / len(panels), 0.1, 0.845 / len(panels), 0.76))
        truth, estimate = (np.asarray(panel[key], float) for key in ("truth", "estimate"))
        ends = min(truth.min(), min(seen)), max(truth.max(), max(seen))
        plot.plot(ends, ends, color="#3a4352", linewidth=1.2, zorder=1)
        angles = np.unique(truth)
        spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(truth)) * np.diff(angles).min()
        plot.scatter(truth + spread, estimate, s=9, color=style.PALETTE[0], alpha=0.35, linewidth=0, zorder=2)
        plot.scatter(angles, [np.median(estimate[truth == a]) for a in angles], s=26, color="white",
                     linewidth=0, zorder=3, label="median")
        plot.scatter(seen, np.full(len(seen), ends[0] - 6), marker="^", s=34, color=style.PALETTE[1],
                     zorder=3, label="trained on")
        style.dress(plot, grid=True)
        error = np.abs(estimate - truth)
        plot.set_title(f"{name}\nmean error {error.mean():.1f}°, median {np.median(error):.1f}°",
                       color=style.TEXT, size=11, loc="left", pad=7)
        plot.set(xlabel="True angle in degrees", ylabel="Estimated angle in degrees" if i == 0 else "",
                 ylim=(ends[0] - 9, ends[1] + 9))
        plot.legend(loc="upper left", facecolor="#181e29", edgecolor="#3a4352", labelcolor=style.TEXT,
                    fontsize=10)
    if title:
        fig.text(0.13 / len(panels), 0.955, title, color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)
