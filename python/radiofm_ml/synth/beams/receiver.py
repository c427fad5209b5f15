# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the receiver gives, from all that is random in a stretch and the link it comes by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import fft, ifft, next_fast_len

from radiofm_ml.arguments import is_whole
from radiofm_ml.synth.beams import constants as c
from radiofm_ml.synth.beams.link import Link
from radiofm_ml.synth.beams.waveform import draw_symbols, transmit

GUARD = 128  # samples on either side, beyond all that the filters and echoes carry over
_WALK_STEP = 32  # samples between the points of the oscillators' random walk


@dataclass
class RandomDraws:
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


def draw(n: int, length: int, drift: np.ndarray, rng: np.random.Generator) -> RandomDraws:
    """Independent stretches. drift: (n, paths + 2)."""
    points = -(-length // _WALK_STEP) + 1
    walk = rng.standard_normal((n, points), np.float32) * np.float32(np.sqrt(_WALK_STEP))
    return RandomDraws(
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


def receive(draws: RandomDraws, one: Link, beam: int, rx_gain_db: float, angle: float) -> np.ndarray:
    """The receiver's output, complex64 (n, length), in units of ``RMS``."""
    n, length = draws.noise.shape
    end, count = one.front_end, len(one.paths.delay)
    size = draws.symbols.shape[1] * c.SAMPLES_PER_SYMBOL
    x = fft(transmit(draws.symbols, end.transmitter), axis=1, overwrite_x=True)

    # Echoes turn slowly against the line of sight, and the level drifts.
    echoes = np.exp(1j * c.DRIFT_PHASE_RAD * draws.drift[:, :count])
    echoes[:, 0] = 1
    level = 10 ** (c.DRIFT_LEVEL_DB / 20 * draws.drift[:, count])
    gain, noise = noise_powers(rx_gain_db)
    scale = c.RMS * np.sqrt(gain) * end.receiver.gain
    x *= (echoes * (scale * level)[:, None]).astype(np.complex64) @ one.response(beam, angle, size)
    x = ifft(x, axis=1, overwrite_x=True)[:, GUARD:GUARD + length]

    x *= _oscillators(draws, length, end.cfo, end.phase_noise,
                      frequency_drift(draws))
    x += draws.noise * np.float32(c.RMS * np.sqrt(noise / 2))
    if end.receiver.image:
        x += np.complex64(end.receiver.image) * x.conj()
    x += np.complex64(end.receiver.dc)
    return x


def frequency_drift(draws: RandomDraws) -> np.ndarray:
    """Cycles per sample, (n,), on top of the front end's own offset."""
    return c.CFO_DRIFT_HZ / c.SAMPLE_RATE * draws.drift[:, -1]


def _oscillators(draws: RandomDraws, length: int, cfo: float, sigma: float, drift: np.ndarray) -> np.ndarray:
    """complex64 (n, length): both local oscillators. Their noise is applied once, behind the channel, whose
    echoes are too short for it to differ between them."""
    points = draws.walk.shape[1]
    # A chord of the circle between the points of the walk: its steps are well below a radian.
    steps = _WALK_STEP * np.arange(points)
    cycles = (cfo * (draws.sample + steps)) % 1.0 + drift[:, None] * steps
    phase = draws.start[:, None] + 2 * np.pi * cycles + sigma * draws.walk
    node = np.exp(1j * phase).astype(np.complex64)
    slope = np.diff(node, axis=1) * np.float32(1 / _WALK_STEP)
    fraction = np.arange(_WALK_STEP, dtype=np.float32)
    fine = node[:, :-1, None] + slope[..., None] * fraction
    return fine.reshape(len(node), -1)[:, :length]


def check_gain(rx_gain_db: float) -> None:
    if not 0 <= rx_gain_db <= 80:
        raise ValueError(f"rx_gain_db must be 0 to 80 dB, got {rx_gain_db}")


def check_setting(beam: int, rx_gain_db: float, angle: float | None, beams: int) -> float:
    """The angle to use. Raises ValueError."""
    check_gain(rx_gain_db)
    if not is_whole(beam, 0, beams - 1):
        raise ValueError(f"beam must be a whole number from 0 to {beams - 1}, got {beam!r}")
    angle = 0.0 if angle is None else float(angle)
    if not -90 < angle < 90:
        raise ValueError(f"angle must lie between -90 and 90 degrees, got {angle:g}")
    return angle
