# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The newest samples of a stream, and their spectra in overlapping blocks: what ``cutter`` cuts from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

import numpy as np
from scipy import fft

BLOCK = 8192  # samples of a forward transform …
GUARD = BLOCK // 8  # … of which so many on either side are left out: a filter may last as long
KEPT = BLOCK - 2 * GUARD


class Samples(Protocol):
    """What a Cutter cuts from: samples ``oldest`` to ``position`` of a stream."""

    @property
    def oldest(self) -> int: ...

    @property
    def position(self) -> int: ...

    def read(self, start: int, out: np.ndarray) -> None:
        """Fill ``out`` (complex64) from sample ``start`` on; what does not exist is zero."""


class Ring:
    """The last ``size`` samples of a stream. One thread may feed it while another reads."""

    def __init__(self, size: int):
        self._kept = np.zeros(size, np.complex64)
        self._lock = threading.Lock()
        self.position = 0  # samples that came

    @property
    def oldest(self) -> int:
        """The first sample that is kept."""
        return max(0, self.position - len(self._kept))

    def feed(self, samples: np.ndarray) -> None:
        with self._lock:
            self.position += len(samples)
            samples = samples[-len(self._kept):]
            at = (self.position - len(samples)) % len(self._kept)
            head = min(len(samples), len(self._kept) - at)
            self._kept[at:at + head] = samples[:head]
            self._kept[:len(samples) - head] = samples[head:]

    def read(self, start: int, out: np.ndarray) -> None:
        """Fill ``out`` (complex64) from sample ``start`` on; what does not exist is zero."""
        with self._lock:
            inside = clip(start, out, self.oldest, self.position)
            at = inside.start % len(self._kept)
            out = out[inside.start - start:inside.stop - start]
            head = min(len(out), len(self._kept) - at)
            out[:head] = self._kept[at:at + head]
            out[head:] = self._kept[:len(out) - head]


def clip(start: int, out: np.ndarray, oldest: int, position: int) -> range:
    """Samples of those from ``start`` on that exist; in ``out``, the others are set to zero."""
    low = min(max(start, oldest), start + len(out))
    high = max(low, min(start + len(out), position))
    out[:low - start] = 0
    out[high - start:] = 0
    return range(low, high)


class Spectra:
    """Transforms of the blocks of a stream, complex64; the ``count`` asked for last are kept.

    Block i begins at sample i · KEPT - GUARD.
    """

    def __init__(self, samples: Samples, count: int):
        self._samples = samples
        self._kept = np.empty((count, BLOCK), np.complex64)
        self._slots: OrderedDict[int, int] = OrderedDict()  # of each block, the one longest unused first

    def bins(self, blocks: range, bins: np.ndarray) -> np.ndarray:
        """Of some blocks, complex64 (n, bins)."""
        for block in blocks:
            if block in self._slots:
                self._slots.move_to_end(block)
        missing = [block for block in blocks if block not in self._slots]
        if missing:
            position = self._samples.position
            fresh = self._transform(missing)
            whole = max(missing[0] * KEPT - GUARD, 0) >= self._samples.oldest
            if not whole or missing[-1] * KEPT - GUARD + BLOCK > position:
                return self._transform(blocks)[:, bins]  # not to be kept: more of it may come
            self._kept[[self._slot(block) for block in missing]] = fresh
        slots = np.array([self._slots[block] for block in blocks])
        return self._kept[slots[:, None], bins]

    def _slot(self, block: int) -> int:
        """A place for a block, that of the one longest unused if need be."""
        full = len(self._slots) == len(self._kept)
        slot = self._slots.popitem(last=False)[1] if full else len(self._slots)
        self._slots[block] = slot
        return slot

    def _transform(self, blocks) -> np.ndarray:
        samples = self._read(blocks)
        spectra = fft.fft(samples, axis=1)
        wrong = ~np.isfinite(spectra[:, 0])  # the sum of all samples
        if wrong.any():
            heard = np.where(np.isfinite(samples[wrong]), samples[wrong], 0)
            spectra[wrong] = fft.fft(heard, axis=1)
        return spectra

    def _read(self, blocks) -> np.ndarray:
        """Samples of some blocks, complex64 (n, BLOCK); what does not exist is zero."""
        first, count = blocks[0], blocks[-1] - blocks[0] + 1
        if count > len(blocks):
            return np.concatenate([self._read([block]) for block in blocks])
        start = first * KEPT - GUARD
        samples = np.empty(count * KEPT + 2 * GUARD, np.complex64)
        self._samples.read(start, samples)
        return np.lib.stride_tricks.sliding_window_view(samples, BLOCK)[::KEPT]
