# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a pre-trained encoder fills in, and how it orders what it has seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import PercentFormatter

from radiofm_ml.plots import style
from radiofm_ml.plots.embedding import principal_axes
from radiofm_ml.plots.waterfall import NIGHT

HIDDEN = "#3a4352"
MARKS = "osD^vP*X"


def draw_reconstructions(path: str | os.PathLike, originals: np.ndarray, labels: Sequence[str],
                         filled: Mapping[float, tuple[np.ndarray, np.ndarray, np.ndarray]], *,
                         title: str = "") -> None:
    """Write a row for each tile: the original, then for each mask ratio what was visible and what was made
    of it.

    originals: float32 (N, rows, cols); labels: N names. filled: ratio to (hidden bool (N, rows, cols),
    pictures (N, rows, cols), accuracy (N,)). All pictures of a row have the same scale.
    """
    n, rows, cols = originals.shape
    width, gap, pair_gap, left, top, bottom = 2.2, 0.06, 0.3, 1.75, 1.2, 0.1
    height, row_gap = width * rows / cols, 0.32
    total = left + width + len(filled) * (2 * width + gap + pair_gap) + 0.15
    tall = top + n * (height + row_gap) + bottom
    fig = style.figure(total, tall)

    def place(row: int, x: float):
        y = tall - top - row * (height + row_gap) - height
        axes = fig.add_axes((x / total, y / tall, width / total, height / tall))
        axes.set(xticks=[], yticks=[])
        style.dress(axes)
        return axes

    def head(x: float, text: str) -> None:
        fig.text(x / total, 1 - (top - 0.28) / tall, text, color=style.TEXT, size=11, ha="center",
                 va="bottom")

    head(left + width / 2, "Original")
    fig.text((left - 0.12) / total, 1 - (top - 0.28) / tall, "frequency →", color=style.FAINT, size=9,
             ha="right", va="bottom")
    for row in range(n):
        low, high = np.quantile(originals[row], [0.35, 0.998])
        scale = {"vmin": low, "vmax": max(high, low + 0.5)}
        axes = place(row, left)
        axes.imshow(originals[row], cmap=NIGHT, aspect="auto", interpolation="nearest", **scale)
        axes.set_ylabel("")
        name = labels[row].replace("-", "-\n") if len(labels[row]) > 16 else labels[row]
        fig.text((left - 0.12) / total, axes.get_position().y0 + height / tall / 2, name, color=style.TEXT,
                 size=11, ha="right", va="center")
        for i, (_, (hidden, pictures, accuracy)) in enumerate(filled.items()):
            x = left + width + pair_gap + i * (2 * width + gap + pair_gap)
            shown = NIGHT((originals[row] - scale["vmin"]) / (scale["vmax"] - scale["vmin"]))[..., :3]
            shown[hidden[row]] = to_rgb(HIDDEN)
            place(row, x).imshow(shown, aspect="auto", interpolation="nearest")
            axes = place(row, x + width + gap)
            axes.imshow(pictures[row], cmap=NIGHT, aspect="auto", interpolation="nearest", **scale)
            axes.set_title(f"{accuracy[row]:.0%} of hidden cells right", color=style.FAINT, size=9,
                           loc="right", pad=3)
    for i, ratio in enumerate(filled):
        x = left + width + pair_gap + i * (2 * width + gap + pair_gap)
        head(x + width / 2, f"{ratio:.0%} hidden")
        head(x + width * 1.5 + gap, "filled in")
    if title:
        fig.text(0.15 / total, 1 - 0.32 / tall, title, color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)


def draw_accuracy(path: str | os.PathLike, ratios: Sequence[float],
                  curves: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], *,
                  baselines: Sequence[str] = (), title: str = "") -> None:
    """Write accuracy over mask ratio: a column for each kind of mask, all cells above, hidden ones below.

    curves: kind to method to {'all', 'hidden'}: accuracies, one for each ratio. Methods named in
    ``baselines`` are drawn in grey.
    """
    kinds = list(curves)
    methods = list(curves[kinds[0]])
    colour = style.colours(m for m in methods if m not in baselines)
    dashes = iter(((0, (5, 2)), (0, (1, 1.6)), (0, (5, 2, 1, 2))))
    look = {m: {"color": colour[m], "linewidth": 2.2, "marker": MARKS[i % len(MARKS)], "markersize": 5}
            if m in colour else {"color": style.UNKNOWN, "linewidth": 1.7, "linestyle": next(dashes, "-")}
            for i, m in enumerate(methods)}  # fmt: skip
    fig = style.figure(1.2 + 3.3 * len(kinds), 7.4)
    grid = fig.subplots(2, len(kinds), sharex=True, sharey="row", squeeze=False)
    fig.subplots_adjust(0.9 / fig.get_figwidth(), 0.135, 1 - 0.2 / fig.get_figwidth(), 0.85, 0.06, 0.12)
    percent = 100 * np.asarray(ratios)
    for row, key in enumerate(("all", "hidden")):
        for axes, kind in zip(grid[row], kinds, strict=True):
            for method in methods:
                axes.plot(percent, curves[kind][method][key], label=method, zorder=3, **look[method])
            style.dress(axes, grid=True)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            if row == 0:
                axes.set_title(f"{kind} masks", color=style.TEXT, size=11, loc="left")
            else:
                axes.set_xlabel("hidden (% of the patches)")
    grid[0, 0].set_ylabel("right, of all cells")
    grid[1, 0].set_ylabel("right, of hidden cells")
    legend = fig.legend(*grid[0, 0].get_legend_handles_labels(), loc="lower center", ncols=len(methods),
                        frameon=False, labelcolor=style.TEXT, fontsize=11)
    legend.set_zorder(7)
    if title:
        fig.text(0.25 / fig.get_figwidth(), 0.945, title, color=style.TEXT, size=14, weight="bold",
                 va="center")
    style.save(fig, path)


def draw_clusters(path: str | os.PathLike, panels: Mapping[str, tuple[np.ndarray, Sequence[str]]], *,
                  title: str = "") -> dict[str, dict]:
    """Write embeddings on their first two principal axes, a panel for each set.

    panels: name to embeddings (N, D) and N labels; a label has a colour, and where there are more labels
    than colours, a mark of its own too. Returns the numbers: for each panel 'points' (N, 2), 'labels', and
    'variance', the axes' shares.
    """
    side, keys = 6.2, 2.85
    fig = style.figure(len(panels) * (side + keys) + 0.2, side + 1.55)
    wide, tall = fig.get_size_inches()
    numbers = {}
    for i, (name, (embeddings, labels)) in enumerate(panels.items()):
        labels = np.asarray(labels)
        mean, axes_, share = principal_axes(embeddings)
        points = (np.asarray(embeddings, np.float64) - mean) @ axes_.T
        numbers[name] = {"points": np.round(points, 4).tolist(), "labels": labels.tolist(),
                         "variance": np.round(share, 4).tolist()}  # fmt: skip
        left = 0.85 + i * (side + keys)
        plot = fig.add_axes((left / wide, 0.62 / tall, (side - 0.3) / wide, (side - 0.1) / tall))
        names = sorted(set(labels.tolist()))
        colour = style.colours(names)
        for j, label in enumerate(names):
            mark = MARKS[j // len(style.PALETTE) % len(MARKS)]
            at = points[labels == label]
            plot.scatter(*at.T, s=30, marker=mark, color=colour[label], alpha=0.75, linewidth=0, zorder=3,
                         label=label)  # fmt: skip
        style.dress(plot, grid=True)
        low, high = np.quantile(points, [0.003, 0.997], axis=0)
        room = 0.06 * (high - low)
        plot.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))
        plot.set(xlabel=f"First principal axis ({share[0]:.0%} of the variance)",
                 ylabel=f"Second principal axis ({share[1]:.0%})")  # fmt: skip
        plot.set_title(f"{name}, {len(points)} tiles", color=style.TEXT, size=11, loc="left")
        plot.legend(loc="upper left", bbox_to_anchor=(1.0, 1.01), frameon=False, labelcolor=style.TEXT,
                    fontsize=9.5, handletextpad=0.2, labelspacing=0.5, markerscale=1.3)
    if title:
        fig.text(0.25 / wide, 1 - 0.3 / tall, title, color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)
    return numbers
