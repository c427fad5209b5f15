# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Received I/Q of beams: independent blocks, captures of frames, and continuous streams."""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.beams import constants as c
from radiofm_ml.synth.beams.link import link
from radiofm_ml.synth.beams.receiver import check_gain, check_setting, draw, fft_length, noise_powers, receive
from radiofm_ml.synth.beams.stream import BeamStream

AOA_BEAMS = (4, 12, 20)
AOA_ANGLES = tuple(float(angle) for angle in range(-45, 46, 3))
_BATCH = 1 << 16  # samples that are worked on at a time: larger falls out of the cache


class BeamSimulator:
    """A transmitter and a receiver in a room.

    front_end   "a" to "d", or a number from 0
    geometry    basic, diagonal or obstacle
    codebook    24, 12 or 5 beams
    rx_gain_db  gain of the receiver; the data set has 40, 50 and 60
    seed        draws how the heads are installed
    aoa         True: the receiver turns, from -45 to 45 degrees in steps of 3 (``AOA_ANGLES``), and the beams
                are 4, 12 and 20 of the 24; or the angles themselves, in degrees. False: it faces the link.

    Attributes: beams (tuple of int), angles (tuple of float, empty without aoa), sample_rate in samples/s.
    Raises ValueError.
    """

    def __init__(self, front_end: str | int = "a", geometry: str = "basic", codebook: int = 24,
                 rx_gain_db: float = 50, seed: int = 0, aoa: bool | tuple[float, ...] = False):
        if aoa is not False and codebook != 24:
            raise ValueError(f"angles of arrival are simulated with the codebook of 24 beams, not {codebook}")
        check_gain(rx_gain_db)
        self.link = link(front_end, geometry, codebook, seed)
        self.front_end, self.geometry, self.codebook, self.seed = front_end, geometry, codebook, seed
        self.rx_gain_db = float(rx_gain_db)
        self.sample_rate = c.SAMPLE_RATE
        self.angles = () if aoa is False else AOA_ANGLES if aoa is True else tuple(float(a) for a in aoa)
        self.beams = AOA_BEAMS if self.angles else tuple(range(codebook))

    def blocks(self, beam: int, n: int, rng: np.random.Generator, rx_gain_db: float | None = None,
               angle: float | None = None, length: int = c.BLOCK) -> np.ndarray:
        """``n`` blocks, each of a capture of its own. complex64 (n, length), in units of ``RMS``."""
        drift = rng.standard_normal((n, self._states))
        return self._render(beam, drift, length, rng, rx_gain_db, angle)

    def capture(self, beam: int, frames: int, rng: np.random.Generator, rx_gain_db: float | None = None,
                angle: float | None = None, blocks: int = c.BLOCKS_PER_FRAME) -> np.ndarray:
        """The frames of one capture. complex64 (frames, blocks, 2048).

        A capture lasts 100 s, in which level, echoes and frequency drift; ``frames`` are spread evenly over
        it. The blocks of a frame are contiguous.
        """
        drift = wander(frames, self._states, c.CAPTURE_SECONDS / max(frames, 1), rng)
        x = self._render(beam, drift, blocks * c.BLOCK, rng, rx_gain_db, angle)
        return x.reshape(frames, blocks, c.BLOCK)

    def stream(self, rng: np.random.Generator) -> BeamStream:
        """A continuous stream of this set-up, whose settings can be changed while it runs."""
        return BeamStream(self, rng)

    def snr_db(self, beam: int, rx_gain_db: float | None = None, angle: float | None = None) -> float:
        """Signal over noise in the whole band, in dB, without drift."""
        gain, noise = noise_powers(self.rx_gain_db if rx_gain_db is None else rx_gain_db)
        response = self.link.response(beam, angle or 0.0, fft_length(c.BLOCK)).sum(axis=0)
        power = np.mean(self.link.sent_spectrum(fft_length(c.BLOCK)) * np.abs(response) ** 2)
        return float(10 * np.log10(power * gain * self.link.front_end.receiver.gain**2 / noise))

    @property
    def _states(self) -> int:
        return len(self.link.paths.delay) + 2

    def _render(self, beam, drift, length, rng, rx_gain_db, angle) -> np.ndarray:
        gain = self.rx_gain_db if rx_gain_db is None else rx_gain_db
        angle = check_setting(beam, gain, angle, self.codebook)
        if length < 1:
            raise ValueError(f"length must be 1 or more, got {length}")
        out = np.empty((len(drift), length), np.complex64)
        step = max(1, _BATCH // length)
        for first in range(0, len(out), step):
            some = drift[first:first + step]
            draws = draw(len(some), length, some, rng)
            out[first:first + step] = receive(draws, self.link, beam, gain, angle)
        return out


def wander(steps: int, states: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Drifting standard normal states, float64 (steps, states), ``seconds`` apart."""
    out = rng.standard_normal((steps, states))
    keep = np.exp(-seconds / c.DRIFT_SECONDS)
    for i in range(1, steps):
        out[i] = keep * out[i - 1] + np.sqrt(1 - keep**2) * out[i]
    return out
