# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Does a few-shot classifier keep what it states? Rates and probabilities, stated and measured."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from radiofm_ml.plots import style

_PER_CENT = FuncFormatter(lambda value, _: f"{100 * value:g} %")
MARKS = "osD^vPX*<>"


def draw_rates(path: str | os.PathLike, rows: Sequence[dict], *, title: str = "") -> None:
    """Write a picture with a panel for each metric: share called unknown against the stated rate, of known
    signals (solid, with the wider interval at 95 %; thin, for each number of labels) and of unknown ones
    (dashed), a colour for each number of shots. rows: of ``evaluate.fewshot_check.check``."""
    fig, panels, colours = _panels(rows)
    for i, (metric, axes) in enumerate(panels.items()):
        lowest = 1.0
        for row, mark in zip([r for r in rows if r["metric"] == metric], MARKS * 4, strict=False):
            colour, name = colours[row["shots"]], f"{row['shots']} shot{'s' * (row['shots'] > 1)}"
            stated = np.array([s["stated"] for s in row["false_alarm"]])
            least = stated[0] / 20  # where a share of 0 is drawn
            lowest = min(lowest, least)
            measured = np.array([max(s["measured"], least) for s in row["false_alarm"]])
            ends = np.array([s["widest"] for s in row["false_alarm"]]).T
            bars = np.abs([measured - np.maximum(ends[0], least), np.maximum(ends[1], measured) - measured])
            axes.errorbar(stated, measured, bars, color=colour, marker=mark, ms=5, lw=1.4, capsize=3,
                          label=name)
            for found in row["by_labels"].values():
                each = [max(s["measured"], least) for s in found["false_alarm"]]
                axes.plot(stated, each, color=colour, lw=0.6, alpha=0.6)
            if row["detection"]:
                found = [max(s["measured"], least) for s in row["detection"]]
                axes.plot(stated, found, color=colour, lw=1.2, ls="--", marker=mark, ms=3, alpha=0.8)
        rates = [s["stated"] for s in rows[0]["false_alarm"]]
        axes.plot([rates[0] / 1.5, rates[-1] * 1.5], [rates[0] / 1.5, rates[-1] * 1.5], color=style.FAINT,
                  lw=1, zorder=0)
        axes.set(xscale="log", yscale="log", xlim=(rates[0] / 1.5, rates[-1] * 1.5), ylim=(lowest, 1.15),
                 xlabel="stated false-alarm rate", ylabel="share called unknown" if i == 0 else "")
        axes.set_xticks(rates)
        axes.xaxis.set_major_formatter(_PER_CENT)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(_PER_CENT)
        axes.set_title(f"{metric}: known (solid), unknown (dashed)", color=style.TEXT, size=11, loc="left")
        axes.legend(facecolor=style.BACKGROUND, edgecolor="#3a4352", labelcolor=style.TEXT, fontsize=9,
                    loc="lower right")
    _finish(fig, path, title)


def draw_reliability(path: str | os.PathLike, rows: Sequence[dict], *, title: str = "") -> None:
    """Write a reliability diagram with a panel for each metric: share right against the mean probability, in
    bins of equal width. Above the diagonal the classifier is too modest, below it too sure."""
    fig, panels, colours = _panels(rows)
    for i, (metric, axes) in enumerate(panels.items()):
        axes.plot([0, 1], [0, 1], color=style.FAINT, lw=1)
        for row, mark in zip([r for r in rows if r["metric"] == metric], MARKS * 4, strict=False):
            bins = row["reliability"]["width"]
            sizes = [14 + 160 * b["queries"] / sum(c["queries"] for c in bins) for b in bins]
            x, y = [b["confidence"] for b in bins], [b["right"] for b in bins]
            colour = colours[row["shots"]]
            axes.plot(x, y, color=colour, lw=1.2)
            axes.scatter(x, y, sizes, color=colour, marker=mark,
                         label=f"{row['shots']} shot{'s' * (row['shots'] > 1)}, "
                               f"ECE {row['ece']['all']['width']:.3f}")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="probability of the label",
                 ylabel="share right" if i == 0 else "")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        axes.set_title(metric, color=style.TEXT, size=11, loc="left")
        axes.legend(facecolor=style.BACKGROUND, edgecolor="#3a4352", labelcolor=style.TEXT, fontsize=9,
                    loc="upper left")
    _finish(fig, path, title)


def _panels(rows: Sequence[dict]) -> tuple:
    """(figure, {metric: axes}, {shots: colour})."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    fig = style.figure(1 + 5.2 * len(metrics), 5.6)
    panels = {metric: fig.add_subplot(1, len(metrics), i + 1) for i, metric in enumerate(metrics)}
    for axes in panels.values():
        style.dress(axes, grid=True)
    return fig, panels, style.colours(sorted({row["shots"] for row in rows}))


def _finish(fig, path: str | os.PathLike, title: str) -> None:
    if title:
        fig.suptitle(title, color=style.TEXT, size=13, weight="bold", x=0.02, ha="left")
    fig.tight_layout()
    style.save(fig, path)
