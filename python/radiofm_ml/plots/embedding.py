# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The embedding space in two dimensions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects

from radiofm_ml.plots import style


def principal_axes(vectors: np.ndarray, n: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PCA. vectors: (N, D). Returns mean (D,), axes (n, D), and the share of the variance on each (n,).

    The sign of an axis is that of its largest component, so that a picture does not flip.
    """
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or min(vectors.shape) < n:
        raise ValueError(f"{n} principal axes need at least {n} vectors of {n} values, "
                         f"got shape {vectors.shape}")
    mean = vectors.mean(0)
    _, values, axes = np.linalg.svd(vectors - mean, full_matrices=False)
    axes = axes[:n]
    axes *= np.sign(axes[np.arange(n), np.abs(axes).argmax(1)])[:, None]
    total = float((values**2).sum())
    return mean, axes, values[:n] ** 2 / total if total else np.zeros(n)


def draw_embedding(path: str | os.PathLike, embeddings: np.ndarray, labels: Sequence[str],
                   prototypes: Mapping[str, np.ndarray], *, decided: Sequence[str] | None = None,
                   title: str = "") -> None:
    """Write a picture of embeddings on their first two principal axes.

    embeddings: (N, D); labels: N names, what each really is; those without a prototype are drawn in grey.
    prototypes: name to (D,), drawn as stars in their order of colours. decided: N names, what each was
    taken for; those that differ from the truth get a ring (for a label without prototype, any prototype's).
    """
    embeddings = np.asarray(embeddings, np.float64)
    labels = np.asarray(labels, object)
    colour = style.colours(prototypes)
    mean, axes, share = principal_axes(embeddings)
    points = (embeddings - mean) @ axes.T

    fig = style.figure(10, 7.2)
    plot = fig.add_axes((0.075, 0.09, 0.905, 0.83))
    unknown_names = [name for name in dict.fromkeys(labels) if name not in prototypes]
    marks = dict(zip(unknown_names, "Dsv^<>pXP" * (len(unknown_names) // 9 + 1), strict=False))
    for name in unknown_names:
        at = points[labels == name]
        plot.scatter(*at.T, s=34, marker=marks[name], color=style.UNKNOWN, alpha=0.75, linewidth=0, zorder=2,
                     label=style.verbatim(f"{name} (never taught)"))
    for name in prototypes:
        at = points[labels == name]
        plot.scatter(*at.T, s=42, color=colour[name], alpha=0.8, linewidth=0, zorder=3)
    if decided is not None:
        taken = np.asarray(decided, object)
        wrong = np.array([got != true if true in prototypes else got in prototypes
                          for got, true in zip(taken, labels, strict=True)], bool)
        if wrong.any():
            plot.scatter(*points[wrong].T, s=130, facecolor="none", edgecolor="#ff3b30", linewidth=1.4,
                         zorder=4, label="decided wrongly")
    stars = {name: (np.asarray(vector, np.float64) - mean) @ axes.T for name, vector in prototypes.items()}
    for name, at in stars.items():
        plot.scatter(*at, s=420, marker="*", color=colour[name], edgecolor="white", linewidth=1.3, zorder=5)
    style.dress(plot, grid=True)
    plot.set(xlabel=f"First principal axis ({share[0]:.0%} of the variance)",
             ylabel=f"Second principal axis ({share[1]:.0%})")
    plot.margins(0.09)
    _name_stars(fig, plot, stars, colour)
    if plot.get_legend_handles_labels()[0]:
        legend = plot.legend(loc="best", facecolor="#181e29", edgecolor="#3a4352", labelcolor=style.TEXT,
                             fontsize=10)
        legend.set_zorder(7)
    if title:
        fig.text(0.075, 0.957, style.verbatim(title), color=style.TEXT, size=14, weight="bold", va="center")
    style.save(fig, path)


def _name_stars(fig, plot, stars: Mapping[str, np.ndarray], colour: Mapping[str, str]) -> None:
    """Each label beside its star, at the first place that no other star and no other name takes."""
    renderer = fig.canvas.get_renderer()
    frame = plot.get_window_extent(renderer)
    pixels = {name: plot.transData.transform(at) for name, at in stars.items()}
    taken: list = []
    halo = [patheffects.withStroke(linewidth=3.5, foreground=style.BACKGROUND)]
    for name in pixels:
        text = plot.annotate(style.verbatim(name), stars[name], xytext=(0, 0), textcoords="offset points",
                             size=14, color=colour[name], weight="bold", zorder=6, path_effects=halo)
        for x, y, side in ((14, -5, "left"), (-14, -5, "right"), (0, 14, "center"), (0, -25, "center"),
                           (12, 12, "left"), (-12, 12, "right"), (12, -22, "left"), (-12, -22, "right")):
            text.set(position=(x, y), ha=side)
            place = text.get_window_extent(renderer).expanded(1.02, 1.05)
            inside = frame.containsx(place.x0) and frame.containsx(place.x1) and frame.containsy(place.y1)
            inside = inside and frame.containsy(place.y0)
            covers = any(place.contains(*at) for other, at in pixels.items() if other != name)
            if inside and not covers and not any(map(place.overlaps, taken)):
                break
        taken.append(text.get_window_extent(renderer))
