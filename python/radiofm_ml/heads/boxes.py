# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Boxes in a tile and in the stream: from a picture of labels to samples and hertz, and back.

Rows are time, columns frequency with DC in the middle, as ``SpectrogramSpec`` says. A tile that was resized
has rows and columns of its own; edges then go to the STFT rows that a row was made from in whole or in part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import ndimage

from radiofm_ml.spectrogram import SpectrogramSpec

_NEIGHBOURS = np.ones((3, 3), int)  # pixels that touch at a corner belong together


@dataclass(frozen=True)
class Box:
    """A stretch of rows and columns of a tile, ``stop`` not included, and what is there.

    label       index of the class
    confidence  mean probability of ``label`` over the box's pixels of that class
    scores      float32 (classes,): mean probability of each class over these pixels
    pixels      how many they are
    """

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int
    label: int
    confidence: float
    scores: np.ndarray
    pixels: int


def find_boxes(probabilities: np.ndarray, *, background: int = 0, min_pixels: int = 16, min_rows: int = 1,
               min_cols: int = 1, min_confidence: float = 0.0) -> list[Box]:
    """Boxes around the connected pixels of each class but ``background``, by start, then lower edge.

    probabilities: float (classes, rows, cols). Pixels that touch, also at a corner, and have the same most
    probable class are one box. Smaller ones than ``min_pixels``, ``min_rows``, ``min_cols``, and those that
    are less sure than ``min_confidence`` are left out.
    """
    decided = probabilities.argmax(0)
    boxes = []
    for label in range(len(probabilities)):
        if label == background:
            continue
        regions, _ = ndimage.label(decided == label, _NEIGHBOURS)
        for number, (rows, cols) in enumerate(ndimage.find_objects(regions), 1):
            inside = regions[rows, cols] == number
            pixels = int(inside.sum())
            if pixels < min_pixels or rows.stop - rows.start < min_rows or cols.stop - cols.start < min_cols:
                continue
            scores = probabilities[:, rows, cols][:, inside].mean(1, dtype=np.float64).astype(np.float32)
            if scores[label] >= min_confidence:
                boxes.append(Box(rows.start, rows.stop, cols.start, cols.stop, label, float(scores[label]),
                                 scores, pixels))
    return sorted(boxes, key=lambda box: (box.row_start, box.col_start, box.label))


def box_samples(row_start: int, row_stop: int, spec: SpectrogramSpec) -> tuple[int, int]:
    """(first sample from the tile's first on, count) of tile rows ``row_start`` .. ``row_stop`` - 1.

    Exactly the samples that these rows were computed from: the last one's FFT included.
    """
    first = row_start * spec.rows // spec.tile_rows
    last = -(-row_stop * spec.rows // spec.tile_rows)
    return (first * spec.averaging * spec.hop,
            ((last - first) * spec.averaging - 1) * spec.hop + spec.fft_size)


def box_band(col_start: int, col_stop: int, spec: SpectrogramSpec) -> tuple[float, float]:
    """(lower, upper) edge of columns ``col_start`` .. ``col_stop`` - 1, in fractions of the sample rate.

    Bin i of an FFT is centred on i / fft_size - 1/2, so its edges lie half a bin to either side, the first
    one's lower edge at the end of the sampled band.
    """
    lower, upper = (edge / spec.tile_cols - 0.5 - 0.5 / spec.fft_size for edge in (col_start, col_stop))
    return max(lower, -0.5), min(upper, 0.5)


def tile_slices(sample_start: int, sample_count: int, lower: float, upper: float, spec: SpectrogramSpec,
                tile_start: int = 0) -> tuple[slice, slice]:
    """(rows, columns) of a tile where a signal lies.

    sample_start, sample_count: the signal's, in the stream whose sample ``tile_start`` is the tile's first.
    lower, upper: its band in fractions of the sample rate. A row counts if the signal is on at the middle of
    the samples that it is computed from, a column if its middle lies in the band; a signal that is shorter or
    narrower than that gets the row, or the column, that is nearest to its own middle. Raises ValueError for
    a spec whose time runs across.
    """
    if spec.time_axis != "down":
        raise ValueError("boxes need tiles whose time runs down; the spectrogram spec has time_axis 'across'")
    step = Fraction(spec.rows * spec.averaging * spec.hop, spec.tile_rows)
    middle = float(((spec.rows * spec.averaging // spec.tile_rows or 1) - 1) * spec.hop + spec.fft_size) / 2
    rows = _span(sample_start - tile_start, sample_start + sample_count - tile_start, middle, float(step),
                 spec.tile_rows)
    bin_width = 1 / spec.tile_cols
    cols = _span(lower + 0.5, upper + 0.5, bin_width / 2 - 0.5 / spec.fft_size, bin_width, spec.tile_cols)
    return rows, cols


def paint(labels: np.ndarray, sample_start: int, sample_count: int, lower: float, upper: float, label: int,
          spec: SpectrogramSpec, tile_start: int = 0) -> None:
    """Put ``label`` where a signal lies (``tile_slices``) into ``labels``, (tile_rows, tile_cols), in
    place."""
    labels[tile_slices(sample_start, sample_count, lower, upper, spec, tile_start)] = label


def _span(start: float, stop: float, first: float, step: float, count: int) -> slice:
    """Of ``count`` points first, first + step, ...: those in [start, stop), else the nearest to its
    middle."""
    low, high = math.ceil((start - first) / step), math.ceil((stop - first) / step)
    if low >= high:
        low = math.floor(((start + stop) / 2 - first) / step + 0.5)
        high = low + 1
    return slice(min(max(low, 0), count), min(max(high, 0), count))
