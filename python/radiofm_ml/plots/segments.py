# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tiles, their labels at every pixel, and what was decided, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from radiofm_ml.heads.metrics import IGNORED
from radiofm_ml.plots.style import BACKGROUND, TEXT, UNKNOWN, colours, dress, figure, save


def draw_segments(path: str | os.PathLike, tiles: np.ndarray, truth: np.ndarray, decided: np.ndarray,
                  labels: Sequence[str]) -> None:
    """Write a picture with a row for each tile: the tile, the truth, the decision.

    tiles: float (n, rows, cols). truth, decided: uint8 (n, rows, cols), index into labels, of which the first
    is the background; 255 (grey): does not count.
    """
    names = list(labels)
    shown = [BACKGROUND, *colours(names[1:]).values()]
    scale = ListedColormap([*shown, UNKNOWN])
    fig = figure(12, 0.8 + 1.9 * len(tiles))
    axes = fig.subplots(len(tiles), 3, squeeze=False)
    for title, ax in zip(("tile", "truth", "decided"), axes[0], strict=True):
        ax.set_title(title, color=TEXT, fontsize=11)
    for row, (tile, *pictures) in zip(axes, zip(tiles, truth, decided, strict=True), strict=True):
        for ax in row:
            dress(ax)
            ax.set(xticks=[], yticks=[])
        row[0].imshow(tile, cmap="magma", aspect="auto", interpolation="nearest")
        for ax, picture in zip(row[1:], pictures, strict=True):
            index = np.where(picture == IGNORED, len(names), picture)
            ax.imshow(index, cmap=scale, vmin=-0.5, vmax=len(names) + 0.5, aspect="auto",
                      interpolation="nearest")
    patches = [Patch(color=colour, label=name) for name, colour in zip(names[1:], shown[1:], strict=True)]
    fig.legend(handles=patches, loc="lower center", ncols=min(7, len(patches)), frameon=False,
               labelcolor=TEXT, fontsize=10)
    fig.subplots_adjust(left=0.02, right=0.98, top=1 - 0.4 / fig.get_figheight(),
                        bottom=0.45 / fig.get_figheight(), hspace=0.08, wspace=0.04)
    save(fig, path)
