# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Many signals as few tight cells, of which the groups of the unknown are made, in bounded memory.

A cell is what BIRCH calls a clustering feature (Zhang, Ramakrishnan, Livny, SIGMOD 1996): how many signals,
their sum and sum of squares. From these the mean squared distance between the signals of two cells follows
exactly, so that joining cells by it (average linkage: Sokal, Michener, 1958) is joining their signals.

M cells, D values in an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MAX_CELLS = 128
KEPT = 16  # members of a cell that are kept as they came


@dataclass
class Cell:
    """Signals near one another.

    id            another one for every cell that there ever was
    number        of the group that it belongs to; 0 while it has none
    count, total, squares  signals, the sum (D,) and the sum of squares of their normalised embeddings
    first, last   when the first and the last of them was heard, in seconds
    kept          up to KEPT of them, spread evenly: float32 (k, D) as they came; ``marks`` (k,): the numbers
                  that they were given
    stride        one of so many is kept
    """

    id: int
    count: int
    total: np.ndarray
    squares: float
    first: float
    last: float
    number: int = 0
    kept: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    marks: list[int] = field(default_factory=list)
    stride: int = 1

    def join(self, other: Cell) -> None:
        """Take in the signals of another cell, or a new one, which is a cell of its own."""
        keep = other.count > 1 or self.count % self.stride == 0
        self.count, self.total, self.squares = (self.count + other.count, self.total + other.total,
                                                self.squares + other.squares)
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        if keep:
            self.kept, self.marks = np.concatenate([self.kept, other.kept]), self.marks + other.marks
        while len(self.marks) > KEPT:
            self.kept, self.marks, self.stride = self.kept[::2], self.marks[::2], self.stride * 2


def distances(cells: list[Cell], others: list[Cell]) -> np.ndarray:
    """Mean squared distance between the signals of cells and of others, float64 (M, N)."""
    (a, square_a), (b, square_b) = _means(cells), _means(others)
    return np.maximum(square_a[:, None] + square_b - 2.0 * (a @ b.T), 0.0)


def _means(cells: list[Cell]) -> tuple[np.ndarray, np.ndarray]:
    counts = np.array([cell.count for cell in cells], np.float64)
    return (np.stack([cell.total for cell in cells]) / counts[:, None],
            np.array([cell.squares for cell in cells]) / counts)


def average_linkage(between: np.ndarray, counts: np.ndarray, apart: float) -> np.ndarray:
    """Which group each of M cells belongs to, int (M,): the two groups whose signals are nearest on average
    become one until all are farther than ``apart``. between: (M, M), see ``distances``."""
    size = len(counts)
    group, weight = np.arange(size), np.asarray(counts, np.float64).copy()
    d = np.array(between, np.float64)
    np.fill_diagonal(d, np.inf)
    nearest = d.argmin(1)
    rows = np.arange(size)
    for _ in range(size - 1):
        a = int(d[rows, nearest].argmin())
        b = int(nearest[a])
        if not d[a, b] <= apart:
            break
        joined = (weight[a] * d[a] + weight[b] * d[b]) / (weight[a] + weight[b])
        joined[a] = np.inf
        d[a], d[:, a] = joined, joined
        d[b], d[:, b] = np.inf, np.inf
        weight[a] += weight[b]
        group[group == group[b]] = group[a]
        stale = np.flatnonzero((nearest == a) | (nearest == b) | (rows == a))
        nearest[stale] = d[stale].argmin(1)
        closer = joined < d[rows, nearest]
        nearest[closer] = a
    return group
