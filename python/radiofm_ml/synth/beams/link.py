# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""One installed pair of heads in a room: what a beam makes of the signal on each path.

The response of a beam on a path is the sum over the transmitting elements, each with its own gain, phase and
slope over the band and with its phase shifter's error in that setting, times the same sum of the receiver's
fixed broadside beam, times the path. So each codeword of each front end has its own response, and in it the
room's echoes, excited as the pattern of that very array has it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache

import numpy as np
from scipy.fft import fft, fftfreq

from radiofm_ml.synth.beams import constants as c
from radiofm_ml.synth.beams.array import Array, Codebook, codebook
from radiofm_ml.synth.beams.frontend import FrontEnd, front_end, key
from radiofm_ml.synth.beams.geometry import GEOMETRIES, Paths, paths
from radiofm_ml.synth.beams.waveform import draw_symbols, transmit

_SEED = 0x524F4F4D
RESPONSE_BYTES = 128 << 20  # of responses kept: a sweep of 24 beams through a front end takes 40 MB


class ResponseCache:
    """Arrays by key, as many of the last used as ``size`` bytes hold; for several threads."""

    def __init__(self, size: int):
        self.size, self.held = size, 0
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What is kept under ``key``, or else what ``make`` gives."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        made = make()
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = made
                self.held += made.nbytes
            while self.held > self.size:
                self.held -= self._arrays.popitem(last=False)[1].nbytes
        return made


_RESPONSES = ResponseCache(RESPONSE_BYTES)  # one for all links: there may be many, each with every angle


class Link:
    """A front end (name, number, or the FrontEnd itself) with a codebook, installed in a room.

    No head is put back to a fraction of a wavelength: the phases of the echoes are drawn for each front end,
    geometry and seed. Raises ValueError.
    """

    def __init__(self, name: str | int | FrontEnd, geometry: str, beams: int, seed: int):
        self.codebook: Codebook = codebook(beams)
        elements = self.codebook.array.elements
        self.front_end = name if isinstance(name, FrontEnd) else front_end(name, elements)
        self.paths: Paths = paths(geometry)
        self.weights = _weights(self.codebook, self.front_end)
        kind = (2, 0) if isinstance(name, FrontEnd) else key(name)
        place = [_SEED, c.VERSION, seed, GEOMETRIES.index(geometry)]
        count = len(self.paths.delay)
        self.phases = np.random.default_rng(place).uniform(0, 2 * np.pi, count)
        self.phases += np.random.default_rng([*place, *kind]).normal(0, c.INSTALL_PHASE_RAD, count)
        self.phases[0] = 0
        self._spectra: dict[int, np.ndarray] = {}

    def response(self, beam: int, angle: float, n: int) -> np.ndarray:
        """complex64 (paths, n) on the ``n`` frequencies of the FFT; 1 is a perfect array's best beam on an
        open line of sight. angle: degrees by which the receiver is turned away."""
        return _RESPONSES.get((self, beam, angle, n), lambda: self._respond(beam, angle, n))

    def sent_spectrum(self, n: int) -> np.ndarray:
        """Power density of what is sent, (n,) on the frequencies of the FFT; its mean is the power."""
        if n not in self._spectra:
            symbols = draw_symbols((64, n // c.SAMPLES_PER_SYMBOL), np.random.default_rng(0))
            sent = fft(transmit(symbols, self.front_end.transmitter), axis=1)
            self._spectra[n] = np.mean(np.abs(sent) ** 2, axis=0) / n
        return self._spectra[n]

    def _respond(self, beam: int, angle: float, n: int) -> np.ndarray:
        frequency = fftfreq(n)
        transmitter, receiver = self.front_end.transmitter, self.front_end.receiver
        # The arrays' responses are smooth: a coarse grid carries them.
        coarse = np.linspace(-0.5, 0.5, 33)
        array, paths = self.codebook.array, self.paths
        sent = _field(array, paths.departure - [transmitter.pointing, 0], self.weights[beam],
                      transmitter.gain_polynomial, coarse)
        broadside = receiver.elements / np.sqrt(array.elements)
        received = _field(array, paths.arrival - [angle, 0], broadside, receiver.gain_polynomial, coarse)
        both = sent * received / array.elements
        fine = np.array([np.interp(frequency, coarse, path) for path in both])
        phase = self.phases[:, None] - 2 * np.pi * frequency * (paths.delay * c.SAMPLE_RATE)[:, None]
        return (paths.gain[:, None] * fine * np.exp(1j * phase)).astype(np.complex64)


@lru_cache(maxsize=256)
def link(name: str | int, geometry: str, beams: int, seed: int) -> Link:
    return Link(name, geometry, beams, seed)


def _weights(book: Codebook, end: FrontEnd) -> np.ndarray:
    """complex128 (beams, elements): the codewords with the front end's errors."""
    errors = end.transmitter.elements
    if book.states is None:
        return book.weights * errors
    return book.weights * errors * end.transmitter.shifters[np.arange(book.array.elements), book.states]


def _field(array: Array, directions: np.ndarray, weights: np.ndarray,
           gain_polynomial: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """complex128 (directions, frequencies). frequency: cycles per sample."""
    frequency_ratio = 1 + frequency * c.SAMPLE_RATE / c.CARRIER
    gain = 1 + gain_polynomial @ (2 * frequency) ** np.arange(1, 4)[:, None]
    return np.einsum("def,e,ef->df", array.steering(directions, frequency_ratio), weights, gain)


def effective_pattern(end: FrontEnd, beams: int, beam: int, azimuth: np.ndarray) -> np.ndarray:
    """Power of a beam of a front end over that of one element, in dB (azimuths,), at the carrier."""
    book = codebook(beams)
    return book.pattern(beam, np.asarray(azimuth) - end.transmitter.pointing,
                        weights=_weights(book, end)[beam])


