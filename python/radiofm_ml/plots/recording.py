# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A picture of a recording, with its annotations as boxes."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from radiofm_ml.plots.survey import draw_survey
from radiofm_ml.plots.waterfall import Box, spectrogram_columns
from radiofm_ml.sigmf.recording import UNKNOWN, Recording, RecordingError

_BINS, _COLUMNS = 512, 1200  # of the picture
_FEWEST_BINS = 4


def boxes_of(recording: Recording) -> list[Box]:
    """The annotations of a recording as boxes: where they lie in the received band, the whole band where they
    do not say."""
    first = recording.captures[0].frequency or 0.0
    boxes = []
    for a in recording.annotations:
        stop = a.sample_start + a.sample_count
        shift = (recording.capture_at(max(a.sample_start, stop - 1)).frequency or 0.0) - first
        low, high = (None if edge is None else edge - shift for edge in (a.freq_lower, a.freq_upper))
        unnamed = not a.is_named
        label = a.label if not unnamed or a.label.casefold().startswith(UNKNOWN) else UNKNOWN
        boxes.append(Box(a.sample_start, stop, label, low, high, unnamed))
    return boxes


def draw_recording(path: str | os.PathLike, recording: Recording, boxes: Sequence[Box], start: int = 0,
                   count: int | None = None) -> None:
    """Write a picture of a recording, or of its samples [start, start + count), with boxes in Hz.

    Raises OSError, RecordingError.
    """
    rate, centre = recording.sample_rate, recording.captures[0].frequency or 0.0
    if rate is None:
        raise RecordingError(f"{recording.path}: states no sample rate, which a picture in seconds and hertz "
                             "needs; give --rate")
    count = recording.n_samples - start if count is None else min(count, recording.n_samples - start)
    if not (0 <= start < recording.n_samples and count > 0):
        raise RecordingError(f"{recording.path}: lasts {recording.n_samples / rate:.6g} s; choose a time "
                             "in it")
    bins = max(_FEWEST_BINS, min(_BINS, 1 << (count.bit_length() - 1)))
    decibel = spectrogram_columns(_Sliced(recording, start, count), bins, _COLUMNS)
    low, high = centre - rate / 2, centre + rate / 2
    if not recording.sample_type.is_complex:  # the lower half mirrors the upper one
        decibel, low = decibel[:, bins // 2:], centre
    inside = [box for box in boxes if box.start < start + count and box.stop > start]
    draw_survey(path, decibel, count / rate, (low, high), inside, rate, recording.name, start / rate)


class _Sliced:
    """Samples of a recording that are read where it is sliced; behind their end it is silent."""

    def __init__(self, recording: Recording, start: int, count: int):
        self._recording, self._start, self._count = recording, start, count

    def __len__(self) -> int:
        return max(self._count, _FEWEST_BINS)

    def __getitem__(self, piece: slice) -> np.ndarray:
        out = np.zeros(piece.stop - piece.start, np.complex64)
        there = max(0, min(piece.stop, self._count) - piece.start)
        if there:
            out[:there] = self._recording.read(self._start + piece.start, there)
        return out
