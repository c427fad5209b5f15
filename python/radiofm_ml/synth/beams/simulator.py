# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Received I/Q of beams: independent blocks, captures of frames, and continuous streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import fft, ifft, next_fast_len

from radiofm_ml.synth.beams import constants as c
from radiofm_ml.synth.beams.link import Link, link
from radiofm_ml.synth.beams.waveform import draw_symbols, transmit

GUARD = 128  # samples on either side, beyond all that the filters and echoes carry over
AOA_BEAMS = (4, 12, 20)
AOA_ANGLES = tuple(float(angle) for angle in range(-45, 46, 3))
_WALK_STEP = 32  # samples between the points of the oscillators' random walk
_BATCH = 1 << 16  # samples that are worked on at a time: larger falls out of the cache


@dataclass
class Chance:
    """All that is random in ``n`` stretches, apart from front end and setting.

    symbols  complex64 (n, S)
    noise    complex64 (n, length), power 2: real and imaginary part have 1 each
    walk     float32 (n, points): the oscillators' phase, standard deviation 1 for each root of a sample
    start    float64 (n,): their phase at the first sample, in radians
    sample   int64: number of the first sample since the start of the stream
    drift    float64 (n, paths + 2): echoes' phases, level, frequency; standard normal
    """

    symbols: np.ndarray
    noise: np.ndarray
    walk: np.ndarray
    start: np.ndarray
    sample: int
    drift: np.ndarray


def fft_length(length: int) -> int:
    """Samples that are computed for ``length`` wanted ones."""
    return c.SAMPLES_PER_SYMBOL * next_fast_len(-(-(length + 2 * GUARD) // c.SAMPLES_PER_SYMBOL))


def draw(n: int, length: int, drift: np.ndarray, rng: np.random.Generator) -> Chance:
    """Independent stretches. drift: (n, paths + 2)."""
    points = -(-length // _WALK_STEP) + 1
    walk = rng.standard_normal((n, points), np.float32) * np.float32(np.sqrt(_WALK_STEP))
    return Chance(
        symbols=draw_symbols((n, fft_length(length) // c.SAMPLES_PER_SYMBOL), rng),
        noise=rng.standard_normal((n, 2 * length), np.float32).view(np.complex64),
        walk=np.cumsum(walk, axis=1, dtype=np.float32),
        start=rng.uniform(0, 2 * np.pi, n),
        sample=0,
        drift=drift,
    )


def noise_powers(rx_gain_db: float) -> tuple[float, float]:
    """(gain, noise power) at a receiver gain, in power, over a signal of power 1 at the aerial.

    Two sources: thermal noise ahead of the gain and the converter's after it. Their powers follow from the
    SNRs at the lowest and the highest gain.
    """
    low, high = min(c.SNR_DB), max(c.SNR_DB)
    ratio = 10 ** ((high - low) / 10)
    at_low, at_high = 10 ** (-c.SNR_DB[low] / 10), 10 ** (-c.SNR_DB[high] / 10)
    converter = (at_low - at_high) / (ratio - 1)
    gain = 10 ** ((rx_gain_db - high) / 10)
    return gain, gain * (at_high - converter) + converter


def receive(chance: Chance, one: Link, beam: int, rx_gain_db: float, angle: float) -> np.ndarray:
    """The receiver's output, complex64 (n, length), in units of ``RMS``."""
    n, length = chance.noise.shape
    end, count = one.front_end, len(one.paths.delay)
    size = chance.symbols.shape[1] * c.SAMPLES_PER_SYMBOL
    x = fft(transmit(chance.symbols, end.transmitter), axis=1, overwrite_x=True)

    # Echoes turn slowly against the line of sight, and the level drifts.
    echoes = np.exp(1j * c.DRIFT_PHASE_RAD * chance.drift[:, :count])
    echoes[:, 0] = 1
    level = 10 ** (c.DRIFT_LEVEL_DB / 20 * chance.drift[:, count])
    gain, noise = noise_powers(rx_gain_db)
    scale = c.RMS * np.sqrt(gain) * end.receiver.gain
    x *= (echoes * (scale * level)[:, None]).astype(np.complex64) @ one.response(beam, angle, size)
    x = ifft(x, axis=1, overwrite_x=True)[:, GUARD:GUARD + length]

    x *= _oscillators(chance, length, end.cfo, end.phase_noise,
                      frequency_drift(chance))
    x += chance.noise * np.float32(c.RMS * np.sqrt(noise / 2))
    if end.receiver.image:
        x += np.complex64(end.receiver.image) * x.conj()
    x += np.complex64(end.receiver.dc)
    return x


def frequency_drift(chance: Chance) -> np.ndarray:
    """Cycles per sample, (n,), on top of the front end's own offset."""
    return c.CFO_DRIFT_HZ / c.SAMPLE_RATE * chance.drift[:, -1]


def _oscillators(chance: Chance, length: int, cfo: float, sigma: float, wander: np.ndarray) -> np.ndarray:
    """complex64 (n, length): both local oscillators. Their noise is applied once, behind the channel, whose
    echoes are too short for it to differ between them."""
    points = chance.walk.shape[1]
    # A chord of the circle between the points of the walk: its steps are well below a radian.
    steps = _WALK_STEP * np.arange(points)
    cycles = (cfo * (chance.sample + steps)) % 1.0 + wander[:, None] * steps
    turn = chance.start[:, None] + 2 * np.pi * cycles + sigma * chance.walk
    node = np.exp(1j * turn).astype(np.complex64)
    slope = np.diff(node, axis=1) * np.float32(1 / _WALK_STEP)
    fraction = np.arange(_WALK_STEP, dtype=np.float32)
    fine = node[:, :-1, None] + slope[..., None] * fraction
    return fine.reshape(len(node), -1)[:, :length]


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

    def stream(self, rng: np.random.Generator):
        """A continuous stream of this set-up, whose settings can be changed while it runs."""
        from radiofm_ml.synth.beams.stream import BeamStream

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
            chance = draw(len(some), length, some, rng)
            out[first:first + step] = receive(chance, self.link, beam, gain, angle)
        return out


def wander(steps: int, states: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Drifting standard normal states, float64 (steps, states), ``seconds`` apart."""
    out = rng.standard_normal((steps, states))
    keep = np.exp(-seconds / c.DRIFT_SECONDS)
    for i in range(1, steps):
        out[i] = keep * out[i - 1] + np.sqrt(1 - keep**2) * out[i]
    return out


def check_gain(rx_gain_db: float) -> None:
    if not 0 <= rx_gain_db <= 80:
        raise ValueError(f"rx_gain_db must be 0 to 80 dB, got {rx_gain_db}")


def check_setting(beam: int, rx_gain_db: float, angle: float | None, beams: int) -> float:
    """The angle to use. Raises ValueError."""
    check_gain(rx_gain_db)
    if isinstance(beam, bool) or not isinstance(beam, (int, np.integer)) or not 0 <= beam < beams:
        raise ValueError(f"beam must be a whole number from 0 to {beams - 1}, got {beam!r}")
    angle = 0.0 if angle is None else float(angle)
    if not -90 < angle < 90:
        raise ValueError(f"angle must lie between -90 and 90 degrees, got {angle:g}")
    return angle


