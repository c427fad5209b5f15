# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Beams of simulated arrays, as they should be and as they are, and who is taken for whom."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from radiofm_ml.plots import style
from radiofm_ml.synth.beams.array import codebook
from radiofm_ml.synth.beams.frontend import front_end, perfect
from radiofm_ml.synth.beams.link import effective_pattern

FLOOR_DB = -15.0


def draw_patterns(path: str | os.PathLike, antennas: Sequence[str | int], beams: int = 24,
                  shown: Sequence[int] | None = None) -> None:
    """Write a picture of the azimuth cuts of some beams (four of the codebook if None): one panel for each
    antenna, thin lines for a perfect array. Raises ValueError."""
    book = codebook(beams)
    shown = np.linspace(0, beams - 1, 6).astype(int)[1:-1] if shown is None else shown
    azimuth = np.arange(-90, 90.1, 0.5)
    fig = style.figure(11, 2.6 * len(antennas) + 0.9)
    panels = fig.subplots(len(antennas), 1, sharex=True, squeeze=False)[:, 0]
    ideal = perfect(book.array.elements)
    for axes, antenna in zip(panels, antennas, strict=True):
        style.dress(axes, grid=True)
        end = front_end(antenna, book.array.elements)
        for colour, beam in zip(style.PALETTE, shown, strict=False):
            axes.plot(azimuth, effective_pattern(ideal, beams, beam, azimuth), color=colour, lw=1, alpha=0.55)
            axes.plot(azimuth, effective_pattern(end, beams, beam, azimuth), color=colour, lw=2.2,
                      label=f"beam {beam}")
        axes.set(ylim=(FLOOR_DB, None), ylabel="dB over one element")
        axes.set_title(f"antenna {antenna}; thin: without errors", color=style.TEXT, size=12, loc="left")
    panels[0].legend(ncols=len(shown), frameon=False, labelcolor=style.TEXT, loc="lower center")
    panels[-1].set(xlabel="azimuth in degrees", xlim=(-90, 90), xticks=np.arange(-90, 91, 30))
    fig.tight_layout()
    style.save(fig, path)


def draw_confusions(path: str | os.PathLike, matrices: Mapping[str, np.ndarray]) -> None:
    """Write confusion matrices of many classes side by side: title to counts (beams, beams), true in rows.
    A cell's brightness is its share of the row."""
    fig = style.figure(5.6 * len(matrices) + 0.4, 6)
    panels = fig.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (title, counts) in zip(panels, matrices.items(), strict=True):
        style.dress(axes)
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(share, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
        correct = 100 * np.trace(counts) / max(counts.sum(), 1)
        axes.set_title(f"{title}: {correct:.1f} %", color=style.TEXT, size=12)
        axes.set(xlabel="decided beam", ylabel="true beam")
    fig.tight_layout()
    style.save(fig, path)
