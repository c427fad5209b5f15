# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""OFDM: symbols to samples, and random subcarriers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft

Rng = np.random.Generator


@lru_cache(maxsize=64)
def _edge(width: int) -> np.ndarray:
    return np.sin(np.pi / 2 * (np.arange(width) + 0.5) / width).astype(np.float32) ** 2


def ofdm_symbols(bins: np.ndarray, prefix: np.ndarray | int, overlap: int, half: bool = False) -> np.ndarray:
    """OFDM symbols with cyclic prefixes, one after another: complex64 (sum of prefix + FFT size,).

    bins     (symbols, FFT size), DC first as numpy.fft has it; scaled to keep power (sum |bins|² / FFT size)
    prefix   samples of cyclic prefix, one number or one per symbol
    overlap  samples at the begin of each prefix in which the symbol before fades out: what keeps the
             spectrum's skirts down in a transmitter
    half     subcarriers half a spacing higher, in phase at the begin of each symbol's body, as in LTE's
             uplink and sidelink and in NB-IoT
    """
    count, size = bins.shape
    prefix = np.broadcast_to(prefix, count)
    body = fft.ifft(bins.astype(np.complex64, copy=False), axis=1, norm="ortho")
    again = 1
    if half:
        body *= np.exp(1j * np.pi / size * np.arange(size)).astype(np.complex64)
        again = -1  # half a turn in each FFT length
    starts = np.concatenate([[0], np.cumsum(prefix + size)])
    if (prefix == prefix[0]).all():
        out = np.concatenate([again * body[:, size - prefix[0] :], body], 1).ravel()
    else:
        out = np.empty(starts[-1], np.complex64)
        for k in range(count):
            out[starts[k] : starts[k] + prefix[k]] = again * body[k, size - prefix[k] :]
            out[starts[k] + prefix[k] : starts[k + 1]] = body[k]
    if overlap:
        rise = _edge(overlap)
        at = starts[:-1, None] + np.arange(overlap)
        head = out[at] * rise
        head[1:] += again * body[:-1, :overlap] * rise[::-1]
        out[at] = head
    return out


def random_qam(rng: Rng, shape: tuple[int, ...] | int, order: int) -> np.ndarray:
    """Random symbols of square QAM (4, 16, 64, 256), unit mean power, complex64."""
    side = int(np.sqrt(order))
    scale = np.float32(1 / np.sqrt(2 * (order - 1) / 3))
    values = rng.integers(0, side, (2, *np.atleast_1d(shape)), np.uint8)
    levels = ((2 * np.arange(side) - side + 1) * scale).astype(np.float32)[values]
    return (levels[0] + 1j * levels[1]).astype(np.complex64)


def runs(on: np.ndarray) -> list[tuple[int, int]]:
    """(begin, end) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))
