# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Averaged rows of a spectrogram from I/Q, a stretch at a time: what the block *STFT* makes, in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import fft, signal

from radiofm_ml.detect.stream import RowFormat

_FLOOR = 1e-20  # power
_AT_ONCE = 1 << 19  # values of spectra in memory


def row_format(sample_rate: float, fft_size: int = 1024, hop: int = 0, averaging: int = 8,
               window: str = "hann") -> RowFormat:
    """hop: 0 for half of the FFT. window: of ``scipy.signal.get_window``."""
    taps = signal.get_window(window, fft_size).astype(np.float32)
    return RowFormat(float(sample_rate), fft_size, hop or fft_size // 2, averaging, taps)


def formats(sample_rate: float) -> tuple[RowFormat, RowFormat, RowFormat]:
    """A fast, a main and a fine format for ``sample_rate``, samples/s."""
    return (row_format(sample_rate, 128, averaging=8), row_format(sample_rate, 512, averaging=8),
            row_format(sample_rate, 1024, averaging=8))


class RowMaker:
    """Rows of a stream that comes in pieces. What does not fill a row at the end is left out."""

    def __init__(self, form: RowFormat):
        self._form = form
        self._scale = np.float32(10 * np.log10(float(form.window.sum()) ** 2))
        self._needed = (form.averaging - 1) * form.hop + form.fft_size
        self._most = max(1, _AT_ONCE // (form.averaging * form.fft_size))
        self._rest = np.empty(0, np.complex64)

    def feed(self, piece: np.ndarray) -> Iterator[np.ndarray]:
        """Rows float32 (n, fft_size) in dB, DC in the middle, of the next samples, complex64 (m,)."""
        form = self._form
        self._rest = np.concatenate([self._rest, np.asarray(piece, np.complex64)])
        while len(self._rest) >= self._needed:
            count = min(self._most, (len(self._rest) - self._needed) // form.stride + 1)
            frames = np.lib.stride_tricks.sliding_window_view(self._rest, form.fft_size)[::form.hop]
            spectra = fft.fft(frames[:count * form.averaging] * form.window, axis=1)
            power = (spectra.real**2 + spectra.imag**2).reshape(count, form.averaging, -1).mean(1)
            yield fft.fftshift(10 * np.log10(np.maximum(power, _FLOOR)) - self._scale,
                               axes=1).astype(np.float32)
            self._rest = self._rest[count * form.stride:]


def rows_of(pieces: Iterable[np.ndarray], form: RowFormat) -> Iterator[np.ndarray]:
    """Rows of successive pieces of a stream."""
    maker = RowMaker(form)
    for piece in pieces:
        yield from maker.feed(piece)
