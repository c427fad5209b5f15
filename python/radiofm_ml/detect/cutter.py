# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Each signal from the stream to baseband, at a sample rate of its own.

    cutter = Cutter(10e6, history=20_000_000)
    cutter.feed(samples)                  # the stream, in pieces of any size
    cut = cutter.cut(box)                 # of radiofm_ml.detect.stream: cut.samples at cut.rate

Filter bank by overlap-save: one forward transform of a block serves all signals that it holds; of each the
bins around its middle, times a filter, go through a short inverse transform, whose size sets the rate (M.
Borgerding, "Turning overlap-save into a multiband mixing, downsampling filter bank", IEEE Signal Processing
Magazine 23(2), 2006). Much narrower signals take a second transform, of what the first one left.

In time and frequency the result is exact: with t = start + n · sample_rate / rate, an input sample,

    samples[n] = filtered(t) · exp(-2j·pi · middle · t / sample_rate)

so the parts of a long signal go on in phase where they have one band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.special import erf

from radiofm_ml.arguments import is_number, whole
from radiofm_ml.detect.spectra import BLOCK, GUARD, KEPT, Ring, Samples, Spectra
from radiofm_ml.detect.stream import Box

_PASSED = 0.8  # of a cut-out's band is passed unchanged, noise beside the signal included …
_STOPPED = 0.98  # … and what lies outside of so much of it is not
_STEEP = 2.75  # erf: 80 dB
_FADE = 27  # bins of a block that a filter fades over, at least: so it is short enough for the guard …
_LASTS = 6.0  # … and lasts so long to either side, over what it fades over
_MARGIN = 4.0  # on either side of a box, over its bandwidth; at least, in samples:
_LEAST_MARGIN = 8
_NARROWEST = 2.0**-20  # of the sample rate: a narrower box counts as so wide
_CACHE_BYTES = 1 << 28
_STORED_BLOCKS = 1024  # of which spectra are kept where samples are stored elsewhere
_AT_ONCE = 64  # blocks
_TURN = 4096  # samples
_TRIES = 4  # where samples get lost while they are cut


@dataclass(frozen=True)
class CutOut:
    """A signal at baseband.

    box      that was asked for
    samples  complex64 (n,), the box's middle frequency at 0 Hz, amplitudes as in the stream
    rate     samples/s: the stream's times 4, 5, 6 or 7 and a power of two
    start    sample of the stream that samples[0] lies on
    lead     samples before the one that lies on the box's first: they fade in, as many or fewer behind fade
             out; 0 where the stream begins or was lost
    missing  samples of the stream at the box's beginning that were not kept any more: the cut-out begins
             behind them
    """

    box: Box
    samples: np.ndarray
    rate: float
    start: int
    lead: int
    missing: int


class Cutter:
    """Keeps the newest samples of a stream and cuts signals out of them. One thread may feed it while another
    cuts.

    sample_rate   of the stream, samples/s
    oversampling  least rate of a cut-out over the bandwidth of its box, 1.25 to 16
    history       samples of the stream to keep: 8 bytes each, and 11 for their spectra (256 MiB at most); or
                  where they are kept already: then nothing is fed

    Raises ValueError.
    """

    def __init__(self, sample_rate: float, oversampling: float = 2.0, history: int | Samples = 1 << 24):
        if not is_number(sample_rate) or sample_rate <= 0:
            raise ValueError(f"sample_rate must be above 0 samples/s, got {sample_rate!r}")
        if not is_number(oversampling, 1.25, 16):
            raise ValueError(f"oversampling must lie in 1.25..16, got {oversampling!r}")
        self.sample_rate, self.oversampling = float(sample_rate), float(oversampling)
        slots = _STORED_BLOCKS
        if is_number(history):
            slots = min(-(-whole("history", history, BLOCK) // KEPT) + 2, _CACHE_BYTES // (8 * BLOCK))
            history = Ring(history)
        self._samples = history
        self._spectra = Spectra(self._samples, max(slots, _AT_ONCE))
        # fewer bins make no filter that fades over _FADE of them
        self.least_bins = 2 ** math.ceil(math.log2(2 * _FADE / (_STOPPED - _PASSED)))
        self.lost = 0  # boxes of which nothing was left

    @property
    def position(self) -> int:
        """Samples that came."""
        return self._samples.position

    @property
    def oldest(self) -> int:
        """The first sample that is kept."""
        return self._samples.oldest

    def feed(self, samples: np.ndarray) -> None:
        """Take the samples that follow, complex64 (n,)."""
        self._samples.feed(np.asarray(samples, np.complex64))

    def needs(self, box: Box) -> int:
        """How many samples must have come for all that the box's cut-out depends on, its margins and filters
        included. Raises ValueError for a box that is none."""
        return _Cut(self, box).needs

    def complete(self, box: Box) -> bool:
        """Have they come?"""
        return self.position >= self.needs(box)

    def cut(self, box: Box) -> CutOut | None:
        """The signal in a box, as far as its samples have come and are kept; None where none of them are
        kept, which ``lost`` counts. Raises ValueError for a box that is none, or that begins later than what
        has come."""
        for _ in range(_TRIES):
            cut = _Cut(self, box)
            if box.sample_start >= self.position:
                raise ValueError(f"the box begins at sample {box.sample_start}, {self.position} have come")
            if box.sample_start + box.sample_count <= self.oldest:
                break
            made = cut.make()
            if self.oldest <= made.start:  # else another thread has fed so much meanwhile
                return made
        self.lost += 1
        return None

    def bank(self, centre: int, gains: np.ndarray, start: int, count: int) -> np.ndarray:
        """complex64 (count,): the bins around bin ``centre``, as many as there are gains (in the order of an
        FFT), at baseband: the n-th sample lies on sample start + n · BLOCK / bins of the stream."""
        bins = len(gains)
        up, down = bins // math.gcd(bins, BLOCK), BLOCK // math.gcd(bins, BLOCK)
        kept, guard = bins * 3 // 4, bins // 8
        first = start // KEPT
        skip, rest = divmod((start - first * KEPT) * up, down)
        k = _indices(bins)
        gains = gains * _within_band(centre + k) * np.exp(2j * np.pi * k * (rest / up / BLOCK))
        gains = (gains * (bins / BLOCK)).astype(np.complex64)
        place = (centre + k) % BLOCK
        blocks = range(first, first - (-(skip + count) // kept))
        out = np.empty((len(blocks), kept), np.complex64)
        for at in range(0, len(blocks), _AT_ONCE):
            some = blocks[at:at + _AT_ONCE]
            # The shift by whole bins counts from sample 0; a block begins at (6 block - 1) / 8 of its length.
            eighths = np.array([centre * (6 * block - 1) % 8 for block in some])
            spectra = self._spectra.bins(some, place) * gains
            spectra *= np.exp(-2j * np.pi / 8 * eighths).astype(np.complex64)[:, None]
            out[at:at + _AT_ONCE] = fft.ifft(spectra, axis=1, overwrite_x=True)[:, guard:guard + kept]
        return out.ravel()[skip:skip + count]


class _Cut:
    """How one box is cut. Raises ValueError."""

    def __init__(self, cutter: Cutter, box: Box):
        self._cutter, self._box = cutter, box
        rate = cutter.sample_rate
        width = box.freq_upper - box.freq_lower
        if not (is_number(width) and width > 0 and box.sample_count > 0 and box.sample_start >= 0):
            raise ValueError(f"a box must have a width and samples, and begin at 0 or later, got {box}")
        middle = (box.freq_lower + box.freq_upper) / 2 / rate  # cycles a sample
        if abs(middle) > 0.5:
            raise ValueError(f"the middle of a box must lie within {rate / 2:g} Hz of the centre, got {box}")
        self._centre = round(middle * BLOCK)
        self._offset = middle - self._centre / BLOCK
        self._width = max(width / rate, _NARROWEST)
        self._up, self._down = _ratio(self._width * cutter.oversampling)
        bins = BLOCK * self._up // self._down
        self._narrow = bins < cutter.least_bins
        self._bins = cutter.least_bins if self._narrow else bins
        # the filter's edges, in cycles a sample from the middle
        self._stop = (_STOPPED * self._up / self._down if self._up < self._down else 1 - 1 / BLOCK) / 2
        self._pass = _PASSED * self._width * cutter.oversampling / 2
        if not self._narrow:
            self._pass = min(self._pass, self._stop - _FADE / BLOCK)
        self._place()

    def _place(self) -> None:
        """Where the cut-out begins and ends, in samples of its own."""
        box, up, down = self._box, self._up, self._down
        oldest, position = self._cutter.oldest, self._cutter.position
        begin, end = max(box.sample_start, oldest), box.sample_start + box.sample_count
        self._missing = begin - box.sample_start
        margin = -(-max(_LEAST_MARGIN, math.ceil(_MARGIN / self._width * up / down)) // up)
        before = 0 if self._missing else min(margin, (begin - oldest) // down)
        self._lead, self._start = before * up, begin - before * down  # whole samples of the stream
        stop = end + margin * down
        self._count = self._samples_until(min(stop, position))
        self._body = self._samples_until(min(end, position))
        self._around = 0  # samples of the first transform that the second one's filter needs on either side
        if self._narrow:
            self._around = math.ceil(_LASTS / (self._stop - self._pass) * self._bins / BLOCK)
        reach = stop + (self._around + 1) * (BLOCK // self._bins)
        self.needs = (reach // KEPT + 1) * KEPT + GUARD  # samples that must have come

    def _samples_until(self, position: int) -> int:
        return -((self._start - position) * self._up // self._down)

    def make(self) -> CutOut:
        samples, turn, slope = self._twice() if self._narrow else self._once()
        _turn(samples, turn, slope)
        for part in (samples[:self._lead], samples[self._body:][::-1]):
            part *= 0.5 - 0.5 * np.cos(np.pi * (np.arange(len(part)) + 0.5) / max(len(part), 1))
        rate = self._cutter.sample_rate * self._up / self._down
        return CutOut(self._box, samples, rate, self._start, self._lead, self._missing)

    def _once(self) -> tuple[np.ndarray, float, float]:
        """Samples; cycles that are to be taken off the first one; and those a sample from there on."""
        gains = self._gains(self._bins, BLOCK, self._offset * BLOCK, self._stop)
        return (self._cutter.bank(self._centre, gains, self._start, self._count),
                self._offset * self._start, self._offset * self._down / self._up)

    def _twice(self) -> tuple[np.ndarray, float, float]:
        """By a second transform of all that the first one left."""
        step, around = BLOCK // self._bins, self._around
        gains = self._gains(self._bins, BLOCK, self._offset * BLOCK, 0.49 / step)
        count = 2 * around + self._count * self._down // (self._up * step) + 2
        wide = self._cutter.bank(self._centre, gains, self._start - around * step, count)
        down = self._down // step
        times = fft.next_fast_len(max(-(-count // down), 64))
        size, bins = times * down, times * self._up
        centre = round(self._offset * step * size)
        k = _indices(bins)
        gains = self._gains(bins, step * size, self._offset * step * size - centre, self._stop)
        gains = gains * np.exp(2j * np.pi * k * (around / size)) * (bins / size)
        spectrum = fft.fft(wide, size)[(centre + k) % size] * gains.astype(np.complex64)
        return (fft.ifft(spectrum, overwrite_x=True)[:self._count],
                self._offset * self._start - centre * around / size,
                self._offset * self._down / self._up - centre * down / self._up / size)

    def _gains(self, bins: int, per_cycle: int, middle: float, stop: float) -> np.ndarray:
        """Gains (bins,), in the order of an FFT, that pass the box's band around ``middle`` and end at
        ``stop`` cycles a sample from it; bins, of which ``per_cycle`` make a cycle a sample."""
        fade = (stop - self._pass) * per_cycle
        return _edges(_indices(bins) - middle, self._pass * per_cycle, fade)


def _turn(samples: np.ndarray, first: float, following: float) -> None:
    """Take ``first`` cycles off the phase of the first sample, ``following`` more off each that follows."""
    fine = np.exp(-2j * np.pi * following * np.arange(min(len(samples), _TURN))).astype(np.complex64)
    for at in range(0, len(samples), _TURN):
        part = samples[at:at + _TURN]
        part *= fine[:len(part)] * np.complex64(np.exp(-2j * np.pi * ((first + at * following) % 1)))


def _ratio(share: float) -> tuple[int, int]:
    """The least (up, down) whose quotient is at least ``share``, up to 1: 4 to 7 over a power of two, in
    lowest terms."""
    if share >= 1:
        return 1, 1
    exponent = math.floor(math.log2(share)) - 2
    up, down = math.ceil(share * 2.0**-exponent), 2**-exponent
    common = math.gcd(up, down)
    return up // common, down // common


def _indices(bins: int) -> np.ndarray:
    """Of the bins of an FFT, from the middle: 0, 1, ... -1."""
    return fft.ifftshift(np.arange(bins) - bins // 2)


def _edges(k: np.ndarray, inner: float, fade: float) -> np.ndarray:
    """Gains at ``k``: 1 up to ``inner`` to either side of 0, and 0 from ``fade`` farther on.

    The edges are those of a Gaussian's integral: short in time and in frequency.
    """
    steep, middle = 2 * _STEEP / fade, inner + fade / 2
    return 0.5 * (erf((k + middle) * steep) - erf((k - middle) * steep))


def _within_band(k: np.ndarray) -> np.ndarray:
    """Gains of bins of a block, from the centre of the band: what lies beyond its edges is left out."""
    return _edges(k, BLOCK / 2 - _FADE, _FADE)
